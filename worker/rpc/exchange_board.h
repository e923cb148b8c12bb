// Where the nodes of an attempt meet: one blob from each, all of them to each.
//
// An exchange is named by (attempt, key) and is complete when `participants` nodes gave their
// blob. The first node, whose worker this is, is told first; the others when its shim has said that
// it has the result. So a result that any node has outlives this worker: that shim gives it back to
// the next one, for nodes that ask again because the answer was lost.
//
// Threads: any. Answers are given without a lock held, on the thread that completed the exchange.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "muster/v1/peer.pb.h"
#include "worker/core/input.h"

namespace muster::worker::rpc {

class ExchangeBoard {
 public:
  using Answer = std::function<void(absl::Status, const v1::ExchangeResponse&)>;

  void Open(const core::AttemptKey& key, std::vector<std::string> nodes);
  void Close(const core::AttemptKey& key);  // whoever waits gets kAborted

  // The answer comes once: before this returns, or later. The number is for GiveUp; 0 when it is
  // answered already.
  // Errors: kNotFound, kAborted, kInvalidArgument (participants or node index cannot be).
  uint64_t Contribute(const v1::ExchangeRequest& request, Answer answer);

  // The first node's shim has this result, in node order: everybody may be told. Nothing when the
  // attempt is not known here.
  void Over(const core::AttemptKey& key, const std::string& name, std::vector<std::string> blobs);

  // Answers a waiter kDeadlineExceeded, naming the nodes that are missing. Its blob stays.
  void GiveUp(uint64_t waiter);

 private:
  struct Waiter {
    uint32_t node = 0;  // index
    Answer answer;
  };
  struct Meeting {
    uint32_t participants = 0;
    std::map<uint32_t, std::string> blobs;  // by node index
    std::map<uint64_t, Waiter> waiters;
    bool over = false;  // all may be told, not the first node alone
    bool complete() const { return blobs.size() == participants; }
    bool answers(uint32_t node) const { return complete() && (over || node == 0); }
  };
  static std::vector<Answer> TakeWaiters(Meeting& meeting);

  struct Attempt {
    std::vector<std::string> nodes;
    std::map<std::string, Meeting> meetings;
  };

  absl::Mutex mutex_;
  std::map<core::AttemptKey, Attempt> attempts_ ABSL_GUARDED_BY(mutex_);
  std::map<JobId, AttemptNumber> closed_ ABSL_GUARDED_BY(mutex_);  // highest
  uint64_t last_waiter_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace muster::worker::rpc
