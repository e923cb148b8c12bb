#include "worker/vault/fetch.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "common/status.h"
#include "worker/vault/rebuild.h"
#include "worker/vault/slot_watch.h"

namespace muster::worker::vault {
namespace {

using checkpoint::SlotFile;

constexpr size_t kWantedSteps = 2;
constexpr size_t kLanes = 4;  // slots on their way at a time

// Steps in the order in which they are gone on from (rank/checkpoint/resume.h).
using StepKey = std::pair<uint64_t, uint64_t>;  // attempt, step
StepKey KeyOf(const SlotHead& head) { return {head.id.attempt, head.id.step}; }

char Other(char letter) { return letter == 'a' ? 'b' : 'a'; }

// This node's slots of its ranks, all checksums verified.
std::map<uint32_t, std::vector<SlotHead>> WholeSlots(const FetchOrder& order) {
  std::map<uint32_t, std::vector<SlotHead>> whole;
  for (const std::string& path : SlotsIn(order.folder)) {
    const absl::StatusOr<SlotFile> file = SlotFile::Open(path);
    if (!file.ok()) continue;
    const absl::StatusOr<SlotHead> head = HeadOf(*file);
    if (!head.ok() || !order.own.has(head->id.rank) || !IsUsable(*head, order)) continue;
    const absl::StatusOr<checkpoint::SlotContent> content = file->slot().Read();
    if (!content.ok() || !file->slot().VerifyImage(*content).ok()) continue;
    whole[head->id.rank].push_back(*head);
  }
  return whole;
}

class Fetch {
 public:
  Fetch(const FetchOrder& order, const Dial& dial, const std::function<bool()>& goes_on)
      : order_(order), dial_(dial), goes_on_(goes_on) {}

  Fetched Run() {
    std::map<uint32_t, std::vector<Wanted::At>> theirs = Ask();
    if (theirs.empty() && order_.parity.empty()) return std::move(done_);
    std::map<uint32_t, std::vector<SlotHead>> mine = WholeSlots(order_);
    Bring(theirs, mine);
    for (const SlotHead& head : came_) mine[head.id.rank].push_back(head);
    RebuildSlots(order_, mine, dial_, goes_on_, &done_);
    return std::move(done_);
  }

 private:
  void Bring(const std::map<uint32_t, std::vector<Wanted::At>>& theirs,
             std::map<uint32_t, std::vector<SlotHead>>& mine) {
    for (const auto& [rank, at] : theirs) {
      for (Wanted& wanted : ChooseFetches(mine[rank], at)) wanted_.push_back(std::move(wanted));
    }
    std::vector<std::thread> lanes;
    for (size_t i = 1; i < std::min(kLanes, wanted_.size()); ++i) {
      lanes.emplace_back([this] { Work(); });
    }
    Work();
    for (std::thread& lane : lanes) lane.join();
  }

  std::map<uint32_t, std::vector<Wanted::At>> Ask() {
    std::map<uint32_t, std::vector<Wanted::At>> theirs;
    for (size_t i = 0; i < order_.sources.size() && goes_on_(); ++i) {
      const SlotSource& source = order_.sources[i];
      const auto listed =
          dial_(source.address)->List(order_.job_uid, source.first_rank, source.ranks);
      if (!listed.ok()) {
        Trouble(Annotate(listed.status(), "ask " + source.node + " for slots"));
        continue;
      }
      for (const SlotHead& head : *listed) {
        if (!order_.own.has(head.id.rank) || !IsUsable(head, order_)) continue;
        theirs[head.id.rank].push_back({i, head});
      }
    }
    return theirs;
  }

  void Work() {
    for (;;) {
      const size_t next = next_++;
      if (next >= wanted_.size() || !goes_on_()) return;
      FetchOne(wanted_[next]);
    }
  }

  void FetchOne(const Wanted& wanted) {
    for (const Wanted::At& at : wanted.at) {
      const SlotSource& source = order_.sources[at.source];
      const absl::Status got = FetchFrom(wanted, at);
      if (got.ok()) {
        const std::lock_guard<std::mutex> lock(mutex_);
        ++done_.slots;
        done_.bytes += at.head.bytes;
        came_.push_back(at.head);
        came_.back().letter = wanted.letter;
        return;
      }
      Trouble(Annotate(got, fmt::format("step {} of rank {} from {}", wanted.head.id.step,
                                        wanted.head.id.rank, source.node)));
    }
  }

  absl::Status FetchFrom(const Wanted& wanted, const Wanted::At& at) {
    SlotHead here = at.head;
    here.letter = wanted.letter;
    MUSTER_ASSIGN_OR_RETURN(IncomingSlot slot, IncomingSlot::Begin(order_.folder, here));
    MUSTER_RETURN_IF_ERROR(dial_(order_.sources[at.source].address)
                               ->Get(at.head, {0, at.head.bytes},
                                     [&](uint64_t offset, std::span<const std::byte> data) {
                                       if (!goes_on_())
                                         return absl::CancelledError("the worker ends");
                                       return slot.Write(offset, data);
                                     }));
    return slot.Seal();
  }

  void Trouble(const absl::Status& status) {
    const std::lock_guard<std::mutex> lock(mutex_);
    done_.troubles.emplace_back(status.message());
  }

  const FetchOrder& order_;
  const Dial& dial_;
  const std::function<bool()>& goes_on_;
  std::vector<Wanted> wanted_;
  std::atomic<size_t> next_ = 0;
  std::mutex mutex_;
  std::vector<SlotHead> came_;
  Fetched done_;
};

}  // namespace

bool IsUsable(const SlotHead& head, const FetchOrder& order) {
  return head.id.job_uid == order.job_uid && head.id.world_size == order.world_size &&
         head.id.attempt < order.own.attempt && head.lineage() >= order.since;
}

std::vector<Wanted> ChooseFetches(const std::vector<SlotHead>& mine,
                                  const std::vector<Wanted::At>& theirs) {
  std::map<StepKey, Wanted, std::greater<>> steps;  // newest first
  std::map<StepKey, char> here;
  for (const SlotHead& head : mine) {
    steps[KeyOf(head)].head = head;
    here[KeyOf(head)] = head.letter;
  }
  for (const Wanted::At& at : theirs) {
    Wanted& wanted = steps[KeyOf(at.head)];
    if (wanted.at.empty()) wanted.head = at.head;
    wanted.at.push_back(at);
  }
  std::vector<Wanted> chosen;
  std::string taken;
  size_t place = 0;
  for (const auto& [key, wanted] : steps) {
    if (place++ == kWantedSteps) break;
    if (const auto found = here.find(key); found != here.end()) taken += found->second;
  }
  place = 0;
  for (auto& [key, wanted] : steps) {
    if (place++ == kWantedSteps) break;
    if (here.contains(key)) continue;
    // In the file it has there, so that copies of copies do not cross.
    wanted.letter = wanted.head.letter;
    if (taken.find(wanted.letter) != std::string::npos) wanted.letter = Other(wanted.letter);
    if (taken.find(wanted.letter) != std::string::npos) continue;  // both files hold newer steps
    taken += wanted.letter;
    chosen.push_back(std::move(wanted));
  }
  return chosen;
}

Fetched FetchSlots(const FetchOrder& order, const Dial& dial,
                   const std::function<bool()>& goes_on) {
  return Fetch(order, dial, goes_on).Run();
}

Fetcher::~Fetcher() {
  ending_ = true;
  for (Run& run : runs_) run.thread.join();
}

void Fetcher::Begin(FetchOrder order) {
  if (order.sources.empty() && order.parity.empty()) return;
  absl::StatusOr<checkpoint::SlotGate> gate = checkpoint::SlotGate::Close(order.folder);
  if (!gate.ok()) {
    return spdlog::warn("{}; the ranks take what is here", std::string(gate.status().message()));
  }
  runs_.remove_if([](Run& run) {
    if (run.done) run.thread.join();
    return run.done.load();
  });
  Run& run = runs_.emplace_back();
  run.thread =
      std::thread([this, &run, order = std::move(order), gate = *std::move(gate)]() mutable {
        const auto begin = std::chrono::steady_clock::now();
        const Fetched fetched = FetchSlots(order, dial_, [this] { return !ending_.load(); });
        gate.Open();
        const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
        for (const std::string& trouble : fetched.troubles) spdlog::warn("{}", trouble);
        if (fetched.slots > 0) {
          spdlog::info("{}: {} slots, {} MB, fetched from other nodes in {:.3f} s", order.job_uid,
                       fetched.slots, fetched.bytes >> 20, seconds.count());
        }
        if (fetched.computed > 0) {
          spdlog::info("{}: {} slots, {} MB, computed from parity in {:.3f} s", order.job_uid,
                       fetched.computed, fetched.computed_bytes >> 20, fetched.computing_seconds);
        }
        run.done = true;
      });
}

}  // namespace muster::worker::vault
