#include "worker/rpc/exchange_board.h"

#include <algorithm>
#include <utility>

#include "common/hostlist.h"
#include "common/status.h"

namespace muster::worker::rpc {
namespace {

core::AttemptKey KeyOf(const v1::ExchangeRequest& request) {
  return {JobId(request.job_id()), AttemptNumber(request.attempt())};
}

v1::ExchangeResponse ResponseOf(const std::map<uint32_t, std::string>& blobs) {
  v1::ExchangeResponse response;
  for (const auto& [index, blob] : blobs) response.add_blobs(blob);
  return response;
}

}  // namespace

void ExchangeBoard::Open(const core::AttemptKey& key, std::vector<std::string> nodes) {
  absl::MutexLock lock(&mutex_);
  attempts_[key].nodes = std::move(nodes);
}

void ExchangeBoard::Close(const core::AttemptKey& key) {
  std::vector<Answer> waiters;
  {
    absl::MutexLock lock(&mutex_);
    AttemptNumber& highest = closed_[key.job];
    highest = std::max(highest, key.attempt);
    const auto attempt = attempts_.find(key);
    if (attempt == attempts_.end()) return;
    for (auto& [name, meeting] : attempt->second.meetings) {
      for (auto& [number, answer] : meeting.waiters) waiters.push_back(std::move(answer));
    }
    attempts_.erase(attempt);
  }
  const absl::Status status =
      Error(absl::StatusCode::kAborted, "exchange in attempt {}: the attempt has stopped",
            core::AttemptName(key));
  for (const Answer& answer : waiters) answer(status, {});
}

uint64_t ExchangeBoard::Contribute(const v1::ExchangeRequest& request, Answer answer) {
  const core::AttemptKey key = KeyOf(request);
  absl::Status refused;
  v1::ExchangeResponse response;
  std::vector<Answer> ready;
  {
    absl::MutexLock lock(&mutex_);
    const auto attempt = attempts_.find(key);
    if (attempt == attempts_.end()) {
      const auto closed = closed_.find(key.job);
      refused = closed != closed_.end() && key.attempt <= closed->second
                    ? Error(absl::StatusCode::kAborted,
                            "exchange \"{}\" in attempt {}: the attempt has stopped", request.key(),
                            core::AttemptName(key))
                    : NotFound("exchange \"{}\" in attempt {}: not known here yet; try again",
                               request.key(), core::AttemptName(key));
    } else if (request.participants() == 0 ||
               request.participants() > attempt->second.nodes.size() ||
               request.node_index() >= attempt->second.nodes.size()) {
      refused = InvalidArgument(
          "exchange \"{}\" in attempt {}: node {} of {} participants, but the attempt has {} nodes",
          request.key(), core::AttemptName(key), request.node_index(), request.participants(),
          attempt->second.nodes.size());
    } else {
      Meeting& meeting = attempt->second.meetings[request.key()];
      if (meeting.blobs.empty()) meeting.participants = request.participants();
      if (meeting.participants != request.participants()) {
        refused = InvalidArgument(
            "exchange \"{}\" in attempt {}: {} participants, others said {}; every node has to "
            "name the same number",
            request.key(), core::AttemptName(key), request.participants(), meeting.participants);
      } else if (meeting.complete()) {
        // Asked again after the result was given: everybody sees the same bytes.
        response = ResponseOf(meeting.blobs);
        ready.push_back(std::move(answer));
      } else {
        meeting.blobs[request.node_index()] = request.blob();
        const uint64_t waiter = ++last_waiter_;
        meeting.waiters.emplace(waiter, std::move(answer));
        if (!meeting.complete()) return waiter;
        for (auto& [number, waiting] : meeting.waiters) ready.push_back(std::move(waiting));
        meeting.waiters.clear();
        response = ResponseOf(meeting.blobs);
      }
    }
  }
  // NOLINTNEXTLINE(bugprone-use-after-move): it was moved only where nothing was refused.
  if (!refused.ok()) answer(refused, {});
  for (const Answer& one : ready) one(absl::OkStatus(), response);
  return 0;
}

void ExchangeBoard::GiveUp(uint64_t waiter) {
  Answer answer;
  absl::Status status;
  {
    absl::MutexLock lock(&mutex_);
    for (auto& [key, attempt] : attempts_) {
      for (auto& [name, meeting] : attempt.meetings) {
        const auto found = meeting.waiters.find(waiter);
        if (found == meeting.waiters.end()) continue;
        std::vector<std::string> missing;
        for (uint32_t index = 0; index < attempt.nodes.size(); ++index) {
          if (!meeting.blobs.contains(index)) missing.push_back(attempt.nodes[index]);
        }
        answer = std::move(found->second);
        meeting.waiters.erase(found);
        status = Error(absl::StatusCode::kDeadlineExceeded,
                       "exchange \"{}\" in attempt {}: {} of {} nodes came; missing: {}", name,
                       core::AttemptName(key), meeting.blobs.size(), meeting.participants,
                       FormatHostlist(missing));
        break;
      }
      if (answer) break;
    }
  }
  if (answer) answer(status, {});
}

}  // namespace muster::worker::rpc
