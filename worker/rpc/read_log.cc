#include "worker/rpc/read_log.h"

#include <atomic>
#include <optional>
#include <utility>

#include "common/status.h"
#include "worker/rpc/log_file.h"
#include "worker/rpc/run_after.h"

namespace muster::worker::rpc {
namespace {

constexpr size_t kChunkBytes = 64 << 10;
constexpr int64_t kLookAgainMs = 100;

grpc::Status ToGrpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

// One chain of Next → write or wait → Next, so only one thread is ever in here; OnCancel only
// leaves a flag for it.
class Reader : public grpc::ServerWriteReactor<v1::ReadLogResponse> {
 public:
  Reader(const v1::ReadLogRequest& request, std::string logs, std::shared_ptr<const LiveRanks> live)
      : request_(request),
        key_{JobId(request.job_id()), AttemptNumber(request.attempt())},
        logs_(std::move(logs)),
        live_(std::move(live)) {
    Next();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    Next();
  }
  void OnCancel() override { cancelled_ = true; }
  void OnDone() override { delete this; }

 private:
  void Next() {
    if (cancelled_) return Finish(grpc::Status::CANCELLED);
    // Asked before reading: what a rank wrote before it ended is then read for sure.
    const bool live = live_->IsLive(key_, request_.rank());
    if (const absl::Status status = MaybeOpen(live); !status.ok()) return Finish(ToGrpc(status));
    if (log_) {
      auto bytes = log_->Read(kChunkBytes);
      if (!bytes.ok()) return Finish(ToGrpc(bytes.status()));
      if (!bytes->empty()) {
        ended_looks_ = 0;
        response_.set_data(*std::move(bytes));
        response_.set_next_offset(log_->offset());
        return StartWrite(&response_);
      }
    }
    if (!request_.follow()) return Finish(grpc::Status::OK);
    // A rank's last bytes may still be in its pipe when its end is reported: look once more.
    if (!live && ++ended_looks_ > 1) return Finish(grpc::Status::OK);
    RunAfter(kLookAgainMs, [this] { Next(); });
  }

  absl::Status MaybeOpen(bool live) {
    if (log_) return absl::OkStatus();
    const bool is_stderr = request_.stream() == v1::LOG_STREAM_STDERR;
    const auto path = FindLog(logs_, request_.job_id(), request_.attempt(), request_.rank(),
                              is_stderr ? "stderr" : "stdout");
    const bool may_come = live && request_.follow();
    if (!path.ok()) return may_come ? absl::OkStatus() : path.status();
    if (!LogFile(*path).Exists()) {
      if (may_come) return absl::OkStatus();
      return NotFound("read log of rank {} of attempt {}: no such rank ran on this node",
                      request_.rank(), core::AttemptName(key_));
    }
    log_.emplace(*path);
    if (request_.tail_lines() > 0) return log_->SeekToTail(request_.tail_lines());
    log_->SeekTo(request_.offset());
    return absl::OkStatus();
  }

  const v1::ReadLogRequest request_;
  const core::AttemptKey key_;
  const std::string logs_;
  const std::shared_ptr<const LiveRanks> live_;
  std::optional<LogFile> log_;
  v1::ReadLogResponse response_;
  int ended_looks_ = 0;
  std::atomic<bool> cancelled_ = false;
};

}  // namespace

grpc::ServerWriteReactor<v1::ReadLogResponse>* StartReadLog(const v1::ReadLogRequest& request,
                                                            const std::string& logs,
                                                            std::shared_ptr<const LiveRanks> live) {
  return new Reader(request, logs, std::move(live));
}

}  // namespace muster::worker::rpc
