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

#include "common/status.h"

namespace muster::worker::shim {
namespace {

constexpr int64_t kStillFromMs = 1'000;
constexpr uint64_t kCollectivesTold = 4;

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
  last_.set_updates(body.updates);
  if (body.updates > 0) moved_monotonic_ns_ = body.monotonic_ns;
  return last_;
}

void RankPages::AddStillness(int64_t now_monotonic_ns, v1::RankReport* rank) const {
  if (moved_monotonic_ns_ == 0) return;
  const muster_status_page& page = pages_->status;
  const uint64_t count = __atomic_load_n(&page.collectives, __ATOMIC_ACQUIRE);
  int64_t moved_ns = moved_monotonic_ns_;
  for (uint64_t back = 0; back < std::min<uint64_t>(count, kCollectivesTold); ++back) {
    const muster_collective_entry& entry = page.ring[(count - 1 - back) % MUSTER_COLLECTIVES_MAX];
    const uint32_t state = __atomic_load_n(&entry.state, __ATOMIC_ACQUIRE);
    const int64_t begin_ns = __atomic_load_n(&entry.begin_monotonic_ns, __ATOMIC_RELAXED);
    if (state == 0) continue;
    moved_ns = std::max(moved_ns, begin_ns);
    v1::CollectiveSeen* seen = rank->add_collectives();
    seen->set_operation(OperationName(__atomic_load_n(&entry.operation, __ATOMIC_RELAXED)));
    seen->set_group(GroupName(__atomic_load_n(&entry.group, __ATOMIC_RELAXED)));
    seen->set_sequence(__atomic_load_n(&entry.sequence, __ATOMIC_RELAXED));
    seen->set_bytes(__atomic_load_n(&entry.bytes, __ATOMIC_RELAXED));
    seen->set_done(state == 2);
    seen->set_age_seconds(static_cast<double>(now_monotonic_ns - begin_ns) / 1e9);
  }
  const int64_t still_ms = (now_monotonic_ns - moved_ns) / 1'000'000;
  if (still_ms < kStillFromMs) {
    rank->clear_collectives();
    return;
  }
  rank->set_still_ms(still_ms);
}

void RankPages::RaiseStop() {
  __atomic_store_n(&pages_->order.stop, 1u, __ATOMIC_RELEASE);
  __atomic_add_fetch(&pages_->order.futex, 1u, __ATOMIC_RELEASE);
  syscall(SYS_futex, &pages_->order.futex, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace muster::worker::shim
