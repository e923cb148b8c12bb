#include "worker/vault/rebuild.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

#include "checkpoint/digest.h"
#include "common/status.h"
#include "worker/vault/parity_send.h"

namespace muster::worker::vault {
namespace {

constexpr size_t kLanes = 4;  // chunks on their way at a time
constexpr uint64_t kPartBytes = 4u << 20;

// One wanted slot while it is made.
struct Making {
  Making(Recipe made_of, IncomingSlot incoming, size_t chunks_left)
      : recipe(std::move(made_of)), slot(std::move(incoming)), left(chunks_left) {}

  Recipe recipe;
  IncomingSlot slot;
  std::atomic<size_t> left;  // chunks
  std::atomic<bool> failed = false;
};

struct Task {
  Making* making = nullptr;
  const RowAt* row = nullptr;
};

// Checksums a stream that leaves out some zeros.
class StreamCrc {
 public:
  void Add(uint64_t offset, std::span<const std::byte> data) {
    Zeros(offset - std::min(offset, next_));
    crc_ = checkpoint::Crc32c(crc_, data);
    next_ = offset + data.size();
  }
  uint32_t Finish(uint64_t end) {
    Zeros(end - std::min(end, next_));
    return crc_;
  }
  explicit StreamCrc(uint64_t begin) : next_(begin) {}

 private:
  void Zeros(uint64_t count) {
    static constexpr std::byte kZeros[512] = {};
    for (uint64_t size; count > 0; count -= size) {
      size = std::min<uint64_t>(count, sizeof(kZeros));
      crc_ = checkpoint::Crc32c(crc_, std::span(kZeros).first(size));
    }
  }

  uint64_t next_ = 0;
  uint32_t crc_ = 0;
};

class Rebuild {
 public:
  Rebuild(const FetchOrder& order, const Dial& dial, const std::function<bool()>& goes_on,
          Fetched* done)
      : order_(order), dial_(dial), goes_on_(goes_on), done_(*done) {}

  void Run(const std::map<uint32_t, std::vector<SlotHead>>& whole) {
    const auto begin = std::chrono::steady_clock::now();
    Ask();
    std::vector<uint32_t> lost;  // of which nothing is left
    std::string why;
    for (uint32_t rank = order_.own.first_rank; order_.own.has(rank); ++rank) {
      const auto found = whole.find(rank);
      const std::vector<SlotHead> mine =
          found == whole.end() ? std::vector<SlotHead>() : found->second;
      if (!Plan(rank, mine, &why) && mine.empty()) lost.push_back(rank);
    }
    Make();
    if (!lost.empty() && !why.empty()) {
      const std::string more =
          lost.size() > 1 ? fmt::format(" and {} more of this node", lost.size() - 1) : "";
      Trouble(DataLoss(
          "no node has a slot of rank {}{}, and none can be computed: {}; the job goes on from "
          "storage",
          lost.front(), more, why));
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    done_.computing_seconds = seconds.count();
  }

 private:
  void Ask() {
    for (size_t i = 0; i < order_.parity.size() && goes_on_(); ++i) {
      const SlotSource& source = order_.parity[i];
      const std::unique_ptr<PeerVault> peer = dial_(source.address);
      const auto rows = peer->ListRows(order_.job_uid);
      const auto slots =
          rows.ok() ? peer->List(order_.job_uid, source.first_rank, source.ranks) : rows.status();
      if (!slots.ok()) {
        Trouble(Annotate(slots.status(), "ask " + source.node + " for parity"));
        continue;
      }
      for (const RowHead& row : *rows) rows_.push_back({i, row});
      for (const SlotHead& slot : *slots) slots_.push_back({i, slot});
    }
  }

  // False: nothing can be computed for it.
  bool Plan(uint32_t rank, const std::vector<SlotHead>& mine, std::string* why) {
    std::vector<Recipe> recipes = FindRecipes(rank, rows_, slots_, order_.parity, why);
    std::erase_if(recipes, [&](const Recipe& one) { return !IsUsable(one.wanted, order_); });
    std::vector<Wanted::At> heads;
    for (size_t i = 0; i < recipes.size(); ++i) heads.push_back({i, recipes[i].wanted});
    for (const Wanted& wanted : ChooseFetches(mine, heads)) {
      Recipe& recipe = recipes[wanted.at.front().source];
      recipe.wanted.letter = wanted.letter;
      absl::StatusOr<IncomingSlot> slot = IncomingSlot::Begin(order_.folder, recipe.wanted);
      if (!slot.ok()) {
        Trouble(slot.status());
        continue;
      }
      const size_t chunks = recipe.rows.size();
      making_.push_back(std::make_unique<Making>(std::move(recipe), *std::move(slot), chunks));
    }
    return !heads.empty();
  }

  void Make() {
    for (const std::unique_ptr<Making>& making : making_) {
      for (const RowAt& row : making->recipe.rows) tasks_.push_back({making.get(), &row});
    }
    std::vector<std::thread> lanes;
    for (size_t i = 1; i < std::min(kLanes, tasks_.size()); ++i) {
      lanes.emplace_back([this] { Work(); });
    }
    Work();
    for (std::thread& lane : lanes) lane.join();
  }

  void Work() {
    for (;;) {
      const size_t next = next_++;
      if (next >= tasks_.size() || !goes_on_()) return;
      Making& making = *tasks_[next].making;
      const SlotHead& wanted = making.recipe.wanted;
      absl::Status status;
      if (!making.failed) status = MakeChunk(making, *tasks_[next].row);
      if (status.ok() && --making.left > 0) continue;
      if (status.ok() && !making.failed) status = making.slot.Seal();
      if (status.ok()) {
        if (making.failed) continue;
        const std::lock_guard<std::mutex> lock(mutex_);
        ++done_.computed;
        done_.computed_bytes += wanted.bytes;
      } else if (!making.failed.exchange(true)) {
        Trouble(Annotate(
            status, fmt::format("compute step {} of rank {}", wanted.id.step, wanted.id.rank)));
      }
    }
  }

  absl::Status MakeChunk(Making& making, const RowAt& at) {
    const SlotHead& wanted = making.recipe.wanted;
    const ParityGroup& group = at.row.group;
    const ByteRange mine =
        ChunkOf(wanted.bytes, group.size(), *MemberOf(group, wanted.id.rank), at.row.holder);
    if (mine.size() == 0) return absl::OkStatus();
    MUSTER_RETURN_IF_ERROR(
        Annotate(dial_(order_.parity[at.source].address)
                     ->GetRow(at.row, {0, mine.size()},
                              [&](uint64_t offset, std::span<const std::byte> data) {
                                if (!goes_on_()) return absl::CancelledError("the worker ends");
                                if (offset > mine.size() || data.size() > mine.size() - offset) {
                                  return DataLoss("{} bytes at {} of a row", data.size(), offset);
                                }
                                return making.slot.Write(mine.begin + offset, data);
                              }),
                 "the row of " + order_.parity[at.source].node));
    uint32_t wanted_crc = 0;
    for (const RowChunk& chunk : at.row.chunks) {
      if (chunk.slot.id.rank == wanted.id.rank) {
        wanted_crc = chunk.crc32c;
      } else {
        MUSTER_RETURN_IF_ERROR(AddChunk(making, at.row, chunk, mine));
      }
    }
    uint32_t crc = 0;
    MUSTER_RETURN_IF_ERROR(ForEachPart(making.slot.bytes(), mine, kPartBytes,
                                       [&crc](uint64_t, std::span<const std::byte> part) {
                                         crc = checkpoint::Crc32c(crc, part);
                                         return absl::OkStatus();
                                       }));
    if (crc == wanted_crc) return absl::OkStatus();
    return DataLoss("the row of {} is damaged", order_.parity[at.source].node);
  }

  // The chunk that another rank gave to the row.
  absl::Status AddChunk(Making& making, const RowHead& row, const RowChunk& chunk,
                        const ByteRange& mine) {
    const std::vector<Wanted::At>& others = making.recipe.others;
    const auto other = std::find_if(others.begin(), others.end(), [&](const Wanted::At& one) {
      return one.head.id == chunk.slot.id;
    });
    const SlotSource& source = order_.parity[other->source];
    const ByteRange theirs = ChunkOf(chunk.slot.bytes, row.group.size(),
                                     *MemberOf(row.group, chunk.slot.id.rank), row.holder);
    StreamCrc crc(theirs.begin);
    const auto add = [&](uint64_t offset, std::span<const std::byte> data) -> absl::Status {
      if (!goes_on_()) return absl::CancelledError("the worker ends");
      if (offset < theirs.begin || offset > theirs.end || data.size() > theirs.end - offset) {
        return DataLoss("{} bytes at {} of a slot", data.size(), offset);
      }
      crc.Add(offset, data);
      const uint64_t at = std::min(offset - theirs.begin, mine.size());
      const uint64_t size = std::min<uint64_t>(data.size(), mine.size() - at);
      return making.slot.Xor(mine.begin + at, data.first(size));
    };
    MUSTER_RETURN_IF_ERROR(
        Annotate(dial_(source.address)->Get(other->head, theirs, add), "slots of " + source.node));
    if (crc.Finish(theirs.end) == chunk.crc32c) return absl::OkStatus();
    return DataLoss("the slot of rank {} on {} is not what its parity was made of",
                    chunk.slot.id.rank, source.node);
  }

  void Trouble(const absl::Status& status) {
    const std::lock_guard<std::mutex> lock(mutex_);
    done_.troubles.emplace_back(status.message());
  }

  const FetchOrder& order_;
  const Dial& dial_;
  const std::function<bool()>& goes_on_;
  std::vector<RowAt> rows_;
  std::vector<Wanted::At> slots_;
  std::vector<std::unique_ptr<Making>> making_;
  std::vector<Task> tasks_;
  std::atomic<size_t> next_ = 0;
  std::mutex mutex_;
  Fetched& done_;
};

bool SameRow(const RowHead& a, const RowHead& b) {
  return a.attempt == b.attempt && a.step == b.step && a.group == b.group;
}

const RowChunk* ChunkOfRank(const RowHead& row, uint32_t rank) {
  for (const RowChunk& chunk : row.chunks) {
    if (chunk.slot.id.rank == rank) return &chunk;
  }
  return nullptr;
}

std::string Names(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
  return text;
}

// All rows of one step of one group that `rank` gave to.
absl::StatusOr<Recipe> Complete(uint32_t rank, const std::vector<RowAt>& rows,
                                const std::vector<Wanted::At>& slots,
                                const std::vector<SlotSource>& sources) {
  const RowHead& first = rows.front().row;
  Recipe recipe{ChunkOfRank(first, rank)->slot, {}, {}};
  std::set<std::string> there;
  for (size_t holder = 0; holder < first.group.size(); ++holder) {
    const auto at = std::find_if(rows.begin(), rows.end(),
                                 [holder](const RowAt& one) { return one.row.holder == holder; });
    if (at == rows.end()) continue;
    recipe.rows.push_back(*at);
    there.insert(sources[at->source].node);
  }
  if (recipe.rows.size() + 1 < first.group.size()) {
    return NotFound("of the {} rows of parity of step {} only those of {} are left",
                    first.group.size() - 1, first.step, Names(there));
  }
  for (const RowAt& at : recipe.rows) {
    for (const RowChunk& chunk : at.row.chunks) {
      const SlotHead& slot = chunk.slot;
      if (slot.id.rank == rank) {
        // Whoever was told last: resumes only go down for the same one.
        SlotHead& to = recipe.wanted;
        if (slot.bytes != to.bytes) return DataLoss("rows of slots of unlike sizes");
        if (slot.adopted_by < to.adopted_by) continue;
        to.resumes =
            slot.adopted_by > to.adopted_by ? slot.resumes : std::min(slot.resumes, to.resumes);
        to.adopted_by = slot.adopted_by;
        continue;
      }
      const auto has = [&slot](const Wanted::At& one) {
        return one.head.id == slot.id && one.head.bytes == slot.bytes;
      };
      if (std::any_of(recipe.others.begin(), recipe.others.end(), has)) continue;
      const auto found = std::find_if(slots.begin(), slots.end(), has);
      if (found == slots.end()) {
        return NotFound("no node has the slot of rank {} that parity of step {} was made of",
                        slot.id.rank, slot.id.step);
      }
      recipe.others.push_back(*found);
    }
  }
  return recipe;
}

}  // namespace

std::vector<Recipe> FindRecipes(uint32_t rank, const std::vector<RowAt>& rows,
                                const std::vector<Wanted::At>& slots,
                                const std::vector<SlotSource>& sources, std::string* missing) {
  std::vector<std::vector<RowAt>> sets;  // rows that belong together
  for (const RowAt& at : rows) {
    if (!IsWellFormed(at.row) || ChunkOfRank(at.row, rank) == nullptr) continue;
    const auto set = std::find_if(sets.begin(), sets.end(), [&](const std::vector<RowAt>& one) {
      return SameRow(one.front().row, at.row);
    });
    if (set == sets.end()) {
      sets.push_back({at});
    } else {
      set->push_back(at);
    }
  }
  std::sort(sets.begin(), sets.end(), [](const auto& a, const auto& b) {
    const auto key = [](const RowHead& row) { return std::tuple(row.attempt, row.step); };
    return key(a.front().row) < key(b.front().row);
  });
  std::vector<Recipe> recipes;
  for (const std::vector<RowAt>& set : sets) {
    absl::StatusOr<Recipe> recipe = Complete(rank, set, slots, sources);
    if (recipe.ok()) {
      recipes.push_back(*std::move(recipe));
    } else {
      *missing = std::string(recipe.status().message());
    }
  }
  if (sets.empty() && missing->empty()) {
    *missing = fmt::format("no node has parity of rank {}", rank);
  }
  return recipes;
}

void RebuildSlots(const FetchOrder& order, const std::map<uint32_t, std::vector<SlotHead>>& whole,
                  const Dial& dial, const std::function<bool()>& goes_on, Fetched* done) {
  if (!order.parity.empty()) Rebuild(order, dial, goes_on, done).Run(whole);
}

}  // namespace muster::worker::vault
