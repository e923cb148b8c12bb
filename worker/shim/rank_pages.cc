#include "worker/shim/rank_pages.h"

#include <fmt/format.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <string>
#include <vector>

#include "common/status.h"
#include "rank/collective_ring.h"

namespace muster::worker::shim {
namespace {

constexpr int64_t kStillFromMs = 1'000;
constexpr size_t kCollectivesTold = 4;

std::string OperationName(uint16_t operation) {
  switch (operation) {
    case MUSTER_COLLECTIVE_ALL_REDUCE:
      return "all-reduce";
    case MUSTER_COLLECTIVE_REDUCE_SCATTER:
      return "reduce-scatter";
    case MUSTER_COLLECTIVE_ALL_GATHER:
      return "all-gather";
    case MUSTER_COLLECTIVE_BROADCAST:
      return "broadcast";
    case MUSTER_COLLECTIVE_BARRIER:
      return "barrier";
    case MUSTER_COLLECTIVE_SEND:
      return "send";
    case MUSTER_COLLECTIVE_RECEIVE:
      return "receive";
    case MUSTER_COLLECTIVE_ALL_TO_ALL:
      return "all-to-all";
    default:
      return fmt::format("operation {}", operation);
  }
}

std::string GroupName(uint16_t group) {
  switch (group) {
    case MUSTER_GROUP_WORLD:
      return "world";
    case MUSTER_GROUP_DATA:
      return "data";
    case MUSTER_GROUP_TENSOR:
      return "tensor";
    case MUSTER_GROUP_PIPELINE:
      return "pipeline";
    default:
      return fmt::format("group {}", group);
  }
}

int64_t StillMs(int64_t moved_ns, int64_t now_ns) { return (now_ns - moved_ns) / 1'000'000; }

// Newest first.
std::vector<muster_collective_entry> NewestCollectives(const muster_status_page& page) {
  std::vector<muster_collective_entry> newest;
  const uint64_t count = __atomic_load_n(&page.collectives, __ATOMIC_ACQUIRE);
  for (uint64_t back = 1; back <= std::min<uint64_t>(count, MUSTER_COLLECTIVES_MAX); ++back) {
    muster_collective_entry entry;
    if (muster_ring_read(&page, count - back, &entry) != 0) newest.push_back(entry);
  }
  return newest;
}

// The oldest of those the rank is inside: more than one takes several threads.
auto FirstInside(const std::vector<muster_collective_entry>& newest) {
  return std::find_if(newest.rbegin(), newest.rend(), [](const muster_collective_entry& entry) {
    return entry.state == MUSTER_ENTRY_INSIDE;
  });
}

v1::CollectiveSeen Seen(const muster_collective_entry& entry, int64_t now_ns) {
  v1::CollectiveSeen seen;
  seen.set_operation(OperationName(entry.operation));
  seen.set_group(GroupName(entry.group));
  seen.set_sequence(entry.sequence);
  seen.set_bytes(entry.bytes);
  seen.set_done(entry.state == MUSTER_ENTRY_DONE);
  seen.set_started(entry.state == MUSTER_ENTRY_STARTED);
  seen.set_age_seconds(static_cast<double>(now_ns - entry.begin_monotonic_ns) / 1e9);
  return seen;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RankPages>> RankPages::Create() {
  const int fd = memfd_create("muster-pages", MFD_CLOEXEC);
  if (fd < 0) return ErrnoError(errno, "create the pages of a rank");
  void* memory = MAP_FAILED;
  if (ftruncate(fd, MUSTER_PAGES_SIZE) == 0) {
    memory = mmap(nullptr, MUSTER_PAGES_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  if (memory == MAP_FAILED) {
    const int error = errno;
    close(fd);
    return ErrnoError(error, "map the pages of a rank");
  }
  auto* pages = static_cast<muster_pages*>(memory);
  muster_pages_init(pages);
  return std::unique_ptr<RankPages>(new RankPages(fd, pages));
}

RankPages::~RankPages() {
  munmap(pages_, MUSTER_PAGES_SIZE);
  close(fd_);
}

v1::Progress RankPages::Read() {
  muster_status_body body;
  if (muster_pages_read_status(&pages_->status, 100, &body) == 0) return last_;
  const muster_rank_status& status = body.status;
  last_.set_phase(v1::Phase_IsValid(static_cast<int>(status.phase))
                      ? static_cast<v1::Phase>(status.phase)
                      : v1::PHASE_UNSPECIFIED);
  last_.set_step(status.step);
  last_.set_first_step(status.first_step);
  last_.set_target_steps(status.target_steps);
  last_.set_loss(status.loss);
  last_.set_grad_norm(status.grad_norm);
  last_.set_lr(status.lr);
  last_.set_tokens_per_second(status.tokens_per_second);
  last_.set_step_seconds(status.step_seconds);
  last_.set_productive_seconds(status.productive_seconds);
  last_.set_checkpoint_seconds(status.checkpoint_seconds);
  last_.set_load_seconds(status.load_seconds);
  last_.set_eval_bits_per_byte(status.eval_bits_per_byte);
  last_.set_first_eval_bits_per_byte(status.first_eval_bits_per_byte);
  last_.set_straggler_seconds(body.straggler_seconds);
  last_.set_from_memory((body.flags & MUSTER_STATUS_FROM_MEMORY) != 0);
  last_.set_updates(body.updates);
  if (body.updates > 0) moved_monotonic_ns_ = body.monotonic_ns;
  return last_;
}

void RankPages::AddStillness(int64_t now_monotonic_ns, v1::RankReport* rank) const {
  if (moved_monotonic_ns_ == 0) return;
  if (StillMs(moved_monotonic_ns_, now_monotonic_ns) < kStillFromMs) return;
  const std::vector<muster_collective_entry> newest = NewestCollectives(pages_->status);
  int64_t moved_ns = moved_monotonic_ns_;
  for (const auto& entry : newest) moved_ns = std::max(moved_ns, entry.begin_monotonic_ns);
  const int64_t still_ms = StillMs(moved_ns, now_monotonic_ns);
  if (still_ms < kStillFromMs) return;
  rank->set_still_ms(still_ms);
  const auto inside = FirstInside(newest);
  if (inside != newest.rend()) *rank->add_collectives() = Seen(*inside, now_monotonic_ns);
  for (const auto& entry : newest) {
    if (static_cast<size_t>(rank->collectives_size()) == kCollectivesTold) break;
    if (inside != newest.rend() && &entry == &*inside) continue;
    *rank->add_collectives() = Seen(entry, now_monotonic_ns);
  }
}

void RankPages::AddLastCollective(int64_t now_monotonic_ns, v1::RankReport* rank) const {
  const std::vector<muster_collective_entry> newest = NewestCollectives(pages_->status);
  const auto inside = FirstInside(newest);
  if (inside != newest.rend()) *rank->add_collectives() = Seen(*inside, now_monotonic_ns);
}

void RankPages::RaiseStop() {
  __atomic_store_n(&pages_->order.stop, 1u, __ATOMIC_RELEASE);
  WakeRank();
}

void RankPages::RaiseSave(uint64_t save) {
  __atomic_store_n(&pages_->order.save, save, __ATOMIC_RELEASE);
  WakeRank();
}

void RankPages::WakeRank() {
  __atomic_add_fetch(&pages_->order.futex, 1u, __ATOMIC_RELEASE);
  syscall(SYS_futex, &pages_->order.futex, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace muster::worker::shim
