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
      for (auto& [number, waiter] : meeting.waiters) waiters.push_back(std::move(waiter.answer));
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
  uint64_t result = 0;
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
      } else {
        // Once complete it stays as it is: everybody sees the same bytes.
        if (!meeting.complete()) meeting.blobs[request.node_index()] = request.blob();
        if (meeting.complete() && !meeting.blobs.contains(0)) meeting.over = true;
        const uint64_t waiter = ++last_waiter_;
        meeting.waiters.emplace(waiter, Waiter{request.node_index(), std::move(answer)});
        ready = TakeWaiters(meeting);
        if (!ready.empty()) response = ResponseOf(meeting.blobs);
        result = meeting.answers(request.node_index()) ? 0 : waiter;
      }
    }
  }
  // NOLINTNEXTLINE(bugprone-use-after-move): it was moved only where nothing was refused.
  if (!refused.ok()) answer(refused, {});
  for (const Answer& one : ready) one(absl::OkStatus(), response);
  return result;
}

// Of those that may be told.
std::vector<ExchangeBoard::Answer> ExchangeBoard::TakeWaiters(Meeting& meeting) {
  std::vector<Answer> answers;
  std::erase_if(meeting.waiters, [&](auto& entry) {
    if (!meeting.answers(entry.second.node)) return false;
    answers.push_back(std::move(entry.second.answer));
    return true;
  });
  return answers;
}

void ExchangeBoard::Over(const core::AttemptKey& key, const std::string& name,
                         std::vector<std::string> blobs) {
  std::vector<Answer> ready;
  v1::ExchangeResponse response;
  {
    absl::MutexLock lock(&mutex_);
    const auto attempt = attempts_.find(key);
    if (attempt == attempts_.end() || blobs.empty()) return;
    Meeting& meeting = attempt->second.meetings[name];
    if (!meeting.complete() || meeting.blobs.empty()) {
      meeting.participants = static_cast<uint32_t>(blobs.size());
      meeting.blobs.clear();
      for (uint32_t i = 0; i < blobs.size(); ++i) meeting.blobs[i] = std::move(blobs[i]);
    }
    meeting.over = true;
    ready = TakeWaiters(meeting);
    response = ResponseOf(meeting.blobs);
  }
  for (const Answer& one : ready) one(absl::OkStatus(), response);
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
        answer = std::move(found->second.answer);
        const bool complete = meeting.complete();
        meeting.waiters.erase(found);
        status = Error(absl::StatusCode::kDeadlineExceeded,
                       "exchange \"{}\" in attempt {}: {} of {} nodes came; {}", name,
                       core::AttemptName(key), meeting.blobs.size(), meeting.participants,
                       complete ? attempt.nodes.front() + " has not taken the result"
                                : "missing: " + FormatHostlist(missing));
        break;
      }
      if (answer) break;
    }
  }
  if (answer) answer(status, {});
}

}  // namespace muster::worker::rpc
