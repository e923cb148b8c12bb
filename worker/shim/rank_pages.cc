#include "worker/shim/rank_pages.h"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "common/status.h"

namespace muster::worker::shim {

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
  return last_;
}

void RankPages::RaiseStop() {
  __atomic_store_n(&pages_->order.stop, 1u, __ATOMIC_RELEASE);
  __atomic_add_fetch(&pages_->order.futex, 1u, __ATOMIC_RELEASE);
  syscall(SYS_futex, &pages_->order.futex, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace muster::worker::shim
