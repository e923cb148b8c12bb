#include "rank/checkpoint/load_state.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "checkpoint/digest.h"
#include "common/status.h"
#include "rank/checkpoint/agree.h"
#include "rank/checkpoint/asked_bytes.h"
#include "rank/checkpoint/shard_source.h"

namespace muster::rank {
namespace {

using checkpoint::ChunkKey;
using checkpoint::kChunkBytes;

constexpr uint64_t kAnswerBytesLeast = 64u << 10;
constexpr int kNobody = -1;

// A rank that asks this one.
struct Asker {
  std::vector<Ask> asks;
  size_t next = 0;
  uint64_t limit = 0;  // bytes of one answer, overstepped by less than one ask

  bool complete() const { return next == asks.size(); }
  // At most, of what is left and its checksum.
  uint64_t RoundBytes() const {
    uint64_t left = sizeof(uint32_t);
    for (size_t i = next; i < asks.size() && left < limit; ++i) left += asks[i].bytes;
    return left;
  }
};

ChunkKey KeyOf(const Ask& ask) { return {ask.file, ask.from / kChunkBytes}; }

// Who has what, told by all.
struct Holders {
  std::vector<int> of_file;  // rank, or kNobody
  std::vector<int> local;    // the ranks of this node, rising
  bool any = false;
};

absl::StatusOr<Holders> TellHolders(size_t files, const LoadSources& sources, Group& group) {
  std::vector<uint64_t> mine = {sources.node};
  for (const ShardInMemory& shard : sources.shards) mine.push_back(shard.file);
  MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<std::byte>> all,
                          group.AllGatherBytes(std::as_bytes(std::span(mine))));
  Holders holders{std::vector<int>(files, kNobody), {}, false};
  for (int r = group.size() - 1; r >= 0; --r) {
    const std::vector<std::byte>& bytes = all[static_cast<size_t>(r)];
    std::vector<uint64_t> theirs(bytes.size() / sizeof(uint64_t));
    std::memcpy(theirs.data(), bytes.data(), theirs.size() * sizeof(uint64_t));
    if (theirs.empty()) continue;
    if (theirs.front() == sources.node) holders.local.insert(holders.local.begin(), r);
    for (size_t i = 1; i < theirs.size(); ++i) {
      if (theirs[i] >= files) continue;
      holders.of_file[theirs[i]] = r;
      holders.any = true;
    }
  }
  return holders;
}

// One exchange: everybody asks, and is answered in as many rounds as it takes.
class Exchange {
 public:
  Exchange(const checkpoint::Manifest& manifest, uint64_t round_bytes, ShardSource& source,
           Group& group)
      : manifest_(manifest),
        round_bytes_(round_bytes),
        source_(source),
        group_(group),
        me_(static_cast<size_t>(group.rank())),
        asked_(static_cast<size_t>(group.size())),
        askers_(asked_.size()) {}

  // Of rank `giver`. Transfers come by rising file and place.
  void Want(int giver, size_t file, const checkpoint::Transfer& transfer) {
    wanted_.push_back({giver, file, transfer});
  }

  absl::Status Run() {
    MUSTER_RETURN_IF_ERROR(Agree(group_, Begin()));
    absl::Status taken;
    while (true) {
      std::vector<Answer> answers;
      for (const Asker& asker : askers_) answers.emplace_back(asker.RoundBytes());
      const absl::Status given = Give(answers);
      std::vector<std::vector<std::byte>> sealed;
      for (Answer& answer : answers) sealed.push_back(std::move(answer).Seal());
      MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<std::byte>> got,
                              group_.AllToAllBytes(sealed));
      for (size_t r = 0; r < got.size() && taken.ok(); ++r) {
        const absl::StatusOr<uint64_t> bytes = asked_[r].Take(got[r]);
        taken = bytes.status();
        if (bytes.ok()) from_others_ += *bytes;
      }
      MUSTER_ASSIGN_OR_RETURN(const State state, Worst(given));
      if (state == State::kFailed) return Agree(group_, given);
      if (state == State::kDone) break;
    }
    for (const Asked& asked : asked_) {
      if (taken.ok() && !asked.complete()) taken = DataLoss("not all that was asked for came");
    }
    return Agree(group_, taken);
  }

  uint64_t own() const { return own_; }
  uint64_t from_others() const { return from_others_; }

 private:
  enum class State : uint8_t { kDone, kMore, kFailed };

  struct Wanted {
    int giver;
    size_t file;
    checkpoint::Transfer transfer;
  };

  // Everybody's asks to everybody.
  absl::Status Begin() {
    std::vector<bool> gives(asked_.size());
    for (const Wanted& wanted : wanted_) gives[static_cast<size_t>(wanted.giver)] = true;
    const uint64_t limit = Share(std::count(gives.begin(), gives.end(), true));
    for (const Wanted& wanted : wanted_) {
      asked_[static_cast<size_t>(wanted.giver)].Add(wanted.file, wanted.transfer, limit);
    }
    wanted_ = {};
    std::vector<std::vector<std::byte>> out;
    for (const Asked& asked : asked_) out.push_back(AsksToBytes(limit, asked.asks()));
    MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<std::byte>> in,
                            group_.AllToAllBytes(out));
    const uint64_t mine =
        Share(std::count_if(in.begin(), in.end(), [](const auto& asks) { return !asks.empty(); }));
    for (size_t r = 0; r < in.size(); ++r) {
      MUSTER_RETURN_IF_ERROR(ParseAsks(in[r], &askers_[r].limit, &askers_[r].asks));
      askers_[r].limit = std::min(askers_[r].limit, mine);
      for (const Ask& ask : askers_[r].asks) MUSTER_RETURN_IF_ERROR(CheckAsk(ask));
    }
    source_.Expect(ChunksAsked());
    return absl::OkStatus();
  }

  std::vector<ChunkKey> ChunksAsked() const {
    std::set<ChunkKey> chunks;
    for (const Asker& asker : askers_) {
      for (const Ask& ask : asker.asks) chunks.insert(KeyOf(ask));
    }
    return {chunks.begin(), chunks.end()};
  }

  uint64_t Share(int64_t ranks) const {
    const uint64_t share = round_bytes_ / static_cast<uint64_t>(std::max<int64_t>(ranks, 1));
    return std::clamp(share, kAnswerBytesLeast, kChunkBytes);
  }

  absl::Status CheckAsk(const Ask& ask) const {
    if (ask.file < manifest_.files.size() && ask.bytes > 0) {
      const uint64_t size = manifest_.files[ask.file].size;
      const uint64_t left = kChunkBytes - ask.from % kChunkBytes;
      if (ask.from < size && ask.bytes <= size - ask.from && ask.bytes <= left) {
        return absl::OkStatus();
      }
    }
    return InvalidArgument("asked for bytes {} of file {}, which is not that long", ask.from,
                           ask.file);
  }

  bool MayGive(size_t r, const std::vector<Answer>& answers) const {
    return r == me_ || answers[r].size() < askers_[r].limit;
  }

  // One round's answers. A chunk from storage stays until everybody has had what it wants of it.
  absl::Status Give(std::vector<Answer>& answers) {
    while (true) {
      const Ask* lowest = nullptr;
      for (size_t r = 0; r < askers_.size(); ++r) {
        const Asker& asker = askers_[r];
        if (asker.complete() || (source_.in_memory() && !MayGive(r, answers))) continue;
        const Ask& ask = asker.asks[asker.next];
        if (lowest == nullptr || ask < *lowest) lowest = &ask;
      }
      if (lowest == nullptr) return absl::OkStatus();
      const ChunkKey key = KeyOf(*lowest);
      MUSTER_ASSIGN_OR_RETURN(const std::span<const std::byte> chunk, source_.Chunk(key));
      const bool all = GiveOf(key, chunk, answers);
      if (!all && !source_.in_memory()) return absl::OkStatus();
    }
  }

  // False: somebody waits for more of this chunk.
  bool GiveOf(ChunkKey key, std::span<const std::byte> chunk, std::vector<Answer>& answers) {
    bool all = true;
    for (size_t r = 0; r < askers_.size(); ++r) {
      Asker& asker = askers_[r];
      for (; !asker.complete() && KeyOf(asker.asks[asker.next]) == key; ++asker.next) {
        if (!MayGive(r, answers)) {
          all = false;
          break;
        }
        const Ask& ask = asker.asks[asker.next];
        const std::span<const std::byte> bytes = chunk.subspan(ask.from % kChunkBytes, ask.bytes);
        if (r == me_) {
          asked_[r].TakeNext(bytes);
          own_ += bytes.size();
        } else {
          answers[r].Add(bytes);
        }
      }
    }
    return all;
  }

  absl::StatusOr<State> Worst(const absl::Status& given) {
    const bool done = std::all_of(askers_.begin(), askers_.end(),
                                  [](const Asker& asker) { return asker.complete(); });
    const State mine = !given.ok() ? State::kFailed : done ? State::kDone : State::kMore;
    MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<std::byte>> all,
                            group_.AllGatherBytes(std::as_bytes(std::span(&mine, 1))));
    State worst = State::kDone;
    for (const std::vector<std::byte>& one : all) {
      worst = std::max(worst, static_cast<State>(one.front()));
    }
    return worst;
  }

  const checkpoint::Manifest& manifest_;
  const uint64_t round_bytes_;
  ShardSource& source_;
  Group& group_;
  const size_t me_;
  std::vector<Wanted> wanted_;
  std::vector<Asked> asked_;   // by giver
  std::vector<Asker> askers_;  // by rank
  uint64_t own_ = 0;           // bytes this rank gave itself
  uint64_t from_others_ = 0;
};

}  // namespace

absl::StatusOr<LoadedBytes> LoadState(const checkpoint::Manifest& manifest,
                                      std::span<const checkpoint::Request> requests,
                                      const LoadSources& sources, Group& group,
                                      checkpoint::FileSystem& files) {
  MUSTER_ASSIGN_OR_RETURN(const Holders holders,
                          TellHolders(manifest.files.size(), sources, group));
  MemoryShards memory(manifest.files.size());
  for (const ShardInMemory& shard : sources.shards) memory.Add(shard.file, shard.image);
  StoredShards storage(manifest, sources.folder, files);
  Exchange in_memory(manifest, sources.round_bytes, memory, group);
  Exchange on_storage(manifest, sources.round_bytes, storage, group);

  const absl::StatusOr<checkpoint::LoadPlan> plan = checkpoint::PlanLoad(manifest, requests);
  absl::Status planned = plan.status();
  for (auto at = plan.ok() ? plan->begin() : checkpoint::LoadPlan::const_iterator();
       planned.ok() && at != plan->end(); ++at) {
    const auto& [file, transfers] = *at;
    const int holder = holders.of_file[file];
    if (holder == kNobody && sources.folder.empty()) {
      planned =
          DataLoss("{} of step {} is in nobody's memory", manifest.files[file].name, manifest.step);
    }
    for (const checkpoint::Transfer& transfer : transfers) {
      if (holder != kNobody) {
        in_memory.Want(holder, file, transfer);
      } else {
        // The ranks of a node read different chunks, each for all of them.
        const size_t turn = file + transfer.from / kChunkBytes;
        on_storage.Want(holders.local[turn % holders.local.size()], file, transfer);
      }
    }
  }
  MUSTER_RETURN_IF_ERROR(Agree(group, planned));

  LoadedBytes loaded;
  if (holders.any) {
    MUSTER_RETURN_IF_ERROR(in_memory.Run());
    loaded.own_memory = in_memory.own();
    loaded.other_memory = in_memory.from_others();
  }
  if (!sources.folder.empty()) {
    MUSTER_RETURN_IF_ERROR(on_storage.Run());
    loaded.storage = on_storage.own() + on_storage.from_others();
    loaded.read = storage.bytes_read();
  }
  return loaded;
}

}  // namespace muster::rank
