#include <atomic>
#include <map>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tests/bench/jobs_client.h"
#include "tests/bench/jobs_load.h"
#include "tests/bench/latencies.h"

namespace muster::bench {
namespace {

constexpr uint64_t kAgainEvery = 10;
constexpr uint32_t kPage = 1'000;

// What the clients share.
class Answers {
 public:
  explicit Answers(uint64_t jobs) : ids_(jobs) {}

  // The next submission to make; false when all are taken or one failed.
  bool Take(uint64_t* index) {
    absl::MutexLock lock(&mutex_);
    *index = taken_;
    if (taken_ == ids_.size() || !failure_.ok()) return false;
    ++taken_;
    return true;
  }

  void Acknowledge(uint64_t index, uint64_t job, absl::Duration took) {
    absl::MutexLock lock(&mutex_);
    const absl::Time now = absl::Now();
    ids_[index] = job;
    latencies_.Add(took);
    longest_gap_ = std::max(longest_gap_, now - newest_);
    newest_ = now;
    if (++acknowledged_ % std::max<uint64_t>(1, ids_.size() / 10) != 0) return;
    fmt::print("{{\"acknowledged\": {}}}\n", acknowledged_);
    std::fflush(stdout);
  }

  void Fail(const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    failure_.Update(status);
  }

  void CountAgain(uint64_t calls) {
    absl::MutexLock lock(&mutex_);
    again_ += calls;
  }

  void Print(absl::Duration took) {
    absl::MutexLock lock(&mutex_);
    fmt::print(
        "{{\"jobs\": {}, \"seconds\": {:.3f}, \"per_second\": {:.0f}, \"p50_ms\": {:.2f}, "
        "\"p99_ms\": {:.2f}, \"max_ms\": {:.2f}, \"longest_gap_s\": {:.3f}, \"tried_again\": "
        "{}}}\n",
        ids_.size(), absl::ToDoubleSeconds(took),
        static_cast<double>(ids_.size()) / absl::ToDoubleSeconds(took), latencies_.Percentile(0.5),
        latencies_.Percentile(0.99), latencies_.Percentile(1), absl::ToDoubleSeconds(longest_gap_),
        again_);
  }

  // After the clients have ended.
  const std::vector<uint64_t>& ids() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return ids_; }
  absl::Status failure() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return failure_; }

 private:
  absl::Mutex mutex_;
  std::vector<uint64_t> ids_ ABSL_GUARDED_BY(mutex_);  // by submission; 0 = not yet
  uint64_t taken_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t acknowledged_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t again_ ABSL_GUARDED_BY(mutex_) = 0;
  Latencies latencies_ ABSL_GUARDED_BY(mutex_);
  absl::Duration longest_gap_ ABSL_GUARDED_BY(mutex_);
  absl::Time newest_ ABSL_GUARDED_BY(mutex_) = absl::Now();
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

std::string NameOf(const SubmitLoad& load, uint64_t index) {
  return fmt::format("{}-{}", load.word, index);
}

v1::SubmitJobRequest RequestFor(const SubmitLoad& load, const v1::JobSpec& spec, uint64_t index) {
  v1::SubmitJobRequest request;
  *request.mutable_spec() = spec;
  request.mutable_spec()->set_name(NameOf(load, index));
  request.set_request_id("request-of-" + request.spec().name());
  request.set_user("bench");
  request.set_validate_only(load.check_only);
  return request;
}

void SubmitUntilNoneIsLeft(const SubmitLoad& load, const v1::JobSpec& spec, Answers& answers) {
  JobsClient client(load.address);
  uint64_t index = 0;
  uint64_t calls = 0;
  while (answers.Take(&index)) {
    const v1::SubmitJobRequest request = RequestFor(load, spec, index);
    const absl::Time start = absl::Now();
    v1::SubmitJobResponse response;
    const absl::Status status = client.Call(&v1::JobService::Stub::SubmitJob, request, &response);
    if (!status.ok()) return answers.Fail(status);
    ++calls;
    answers.Acknowledge(index, response.job().id(), absl::Now() - start);
  }
  answers.CountAgain(client.tries() - calls);
}

// The same submission again, long after its answer, is the same job.
absl::Status SubmitSomeAgain(const SubmitLoad& load, const v1::JobSpec& spec,
                             const std::vector<uint64_t>& ids) {
  JobsClient client(load.address);
  for (uint64_t index = 0; index < ids.size(); index += kAgainEvery) {
    v1::SubmitJobResponse response;
    MUSTER_RETURN_IF_ERROR(
        client.Call(&v1::JobService::Stub::SubmitJob, RequestFor(load, spec, index), &response));
    if (response.job().id() == ids[index]) continue;
    return DataLoss("submission {} made job {}; sent again it made job {}", NameOf(load, index),
                    ids[index], response.job().id());
  }
  return absl::OkStatus();
}

absl::Status CheckAllAreThereOnce(const SubmitLoad& load, const std::vector<uint64_t>& ids) {
  JobsClient client(load.address);
  std::map<std::string, std::vector<uint64_t>> listed;
  v1::ListJobsRequest request;
  request.set_page_size(kPage);
  do {
    v1::ListJobsResponse page;
    MUSTER_RETURN_IF_ERROR(client.Call(&v1::JobService::Stub::ListJobs, request, &page));
    for (const v1::Job& job : page.jobs()) {
      if (job.spec().name().compare(0, load.word.size() + 1, load.word + "-") == 0) {
        listed[job.spec().name()].push_back(job.id());
      }
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());

  uint64_t lost = 0;
  uint64_t doubled = 0;
  uint64_t other = 0;
  for (uint64_t index = 0; index < ids.size(); ++index) {
    const auto found = listed.find(NameOf(load, index));
    if (found == listed.end()) {
      ++lost;
      continue;
    }
    doubled += found->second.size() - 1;
    if (found->second.front() != ids[index]) ++other;
    listed.erase(found);
  }
  fmt::print("{{\"lost\": {}, \"doubled\": {}, \"other_id\": {}, \"unknown\": {}}}\n", lost,
             doubled, other, listed.size());
  if (lost + doubled + other + listed.size() == 0) return absl::OkStatus();
  return DataLoss(
      "of {} acknowledged submissions {} are lost, {} doubled, {} have another id than was "
      "answered; {} jobs nobody submitted",
      ids.size(), lost, doubled, other, listed.size());
}

}  // namespace

absl::Status SubmitAndCheck(const SubmitLoad& load) {
  const v1::JobSpec spec = OrdinaryJob("load", 8);
  Answers answers(load.jobs);
  const absl::Time start = absl::Now();
  std::vector<std::thread> clients;
  for (uint32_t i = 0; i < load.clients; ++i) {
    clients.emplace_back([&] { SubmitUntilNoneIsLeft(load, spec, answers); });
  }
  for (std::thread& client : clients) client.join();
  MUSTER_RETURN_IF_ERROR(answers.failure());
  answers.Print(absl::Now() - start);
  if (load.check_only) return absl::OkStatus();
  MUSTER_RETURN_IF_ERROR(SubmitSomeAgain(load, spec, answers.ids()));
  return CheckAllAreThereOnce(load, answers.ids());
}

}  // namespace muster::bench
