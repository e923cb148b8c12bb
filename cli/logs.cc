#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "absl/time/clock.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/log_fold.h"
#include "cli/rank_set.h"
#include "common/status.h"

namespace muster::cli {
namespace {

constexpr absl::Duration kFoldWait = absl::Milliseconds(300);

struct LogsOptions {
  std::string job;
  std::string ranks;
  uint64_t attempt = 0;  // 0 = the last
  uint64_t tail = 0;
  bool follow = false;
  bool from_stderr = false;
};

struct Source {
  uint32_t rank = 0;
  std::string node;
  std::string peer_address;
};

absl::StatusOr<std::vector<Source>> FindSources(Session& session, const LogsOptions& options,
                                                const v1::Attempt& attempt) {
  MUSTER_ASSIGN_OR_RETURN(const v1::ListNodesResponse nodes, session.client().ListNodes());
  std::vector<Source> sources;
  uint32_t count = 0;
  for (const v1::NodeShare& share : attempt.shares()) count += share.ranks();
  MUSTER_ASSIGN_OR_RETURN(const std::set<uint32_t> wanted, ParseRankSet(options.ranks, count));
  std::map<std::string, std::string> addresses;
  for (const v1::Node& node : nodes.nodes()) addresses[node.name()] = node.peer_address();
  for (const v1::NodeShare& share : attempt.shares()) {
    for (uint32_t rank = share.first_rank(); rank < share.first_rank() + share.ranks(); ++rank) {
      if (!wanted.empty() && wanted.count(rank) == 0) continue;
      sources.push_back({rank, share.node(), addresses[share.node()]});
    }
  }
  return sources;
}

// One attempt's logs, merged to stdout.
class AttemptLogs {
 public:
  AttemptLogs(Session& session, const LogsOptions& options, uint64_t job_id, uint64_t attempt,
              std::vector<Source> sources)
      : session_(session),
        options_(options),
        job_id_(job_id),
        attempt_(attempt),
        sources_(std::move(sources)),
        // What is already there is folded as a whole, what is still being said in a short window.
        fold_(sources_.size(), options.follow ? kFoldWait : absl::InfiniteDuration()) {}

  // The first failure to read, after all that could be read was printed.
  absl::Status Print() {
    std::vector<std::thread> readers;
    size_t running = sources_.size();
    for (const Source& source : sources_) {
      readers.emplace_back([this, &source, &running] {
        Read(source);
        const std::lock_guard<std::mutex> lock(mutex_);
        --running;
      });
    }
    for (bool last = false; !last;) {
      absl::SleepFor(absl::Milliseconds(30));
      const std::lock_guard<std::mutex> lock(mutex_);
      last = running == 0;
      for (const std::string& line : fold_.Take(absl::Now(), last)) fmt::print("{}\n", line);
      std::fflush(stdout);
    }
    for (std::thread& reader : readers) reader.join();
    return failure_;
  }

 private:
  void Read(const Source& source) {
    v1::ReadLogRequest request;
    request.set_job_id(job_id_);
    request.set_attempt(attempt_);
    request.set_rank(source.rank);
    request.set_stream(options_.from_stderr ? v1::LOG_STREAM_STDERR : v1::LOG_STREAM_STDOUT);
    request.set_tail_lines(static_cast<int64_t>(options_.tail));
    request.set_follow(options_.follow);
    absl::Status status =
        source.peer_address.empty()
            ? Unavailable("its worker is not known; see muster node list")
            : session_.client().ReadLog(source.peer_address, request,
                                        [&](const v1::ReadLogResponse& part) {
                                          const std::lock_guard<std::mutex> lock(mutex_);
                                          fold_.Add(source.rank, part.data(), absl::Now());
                                        });
    const std::lock_guard<std::mutex> lock(mutex_);
    fold_.End(source.rank, absl::Now());
    if (!status.ok()) {
      status = Annotate(status, fmt::format("log of rank {} on {} ({})", source.rank, source.node,
                                            source.peer_address));
      if (failure_.ok()) failure_ = status;
    }
  }

  Session& session_;
  const LogsOptions& options_;
  const uint64_t job_id_;
  const uint64_t attempt_;
  const std::vector<Source> sources_;
  std::mutex mutex_;  // of what is below
  LogFold fold_;
  absl::Status failure_;
};

const v1::Attempt* FindAttempt(const v1::Job& job, uint64_t number) {
  if (number == 0) return job.attempts().empty() ? nullptr : &job.attempts(job.attempts_size() - 1);
  for (const v1::Attempt& attempt : job.attempts()) {
    if (attempt.number() == number) return &attempt;
  }
  return nullptr;
}

// The next attempt after `number`, or the job's end.
absl::StatusOr<v1::Job> WaitForNext(Session& session, const std::string& id, uint64_t number) {
  for (;;) {
    auto job = session.client().GetJob(id);
    if (job.ok()) {
      const v1::Attempt* last = FindAttempt(*job, 0);
      if (IsEnded(job->state()) || (last != nullptr && last->number() > number)) return job;
    } else if (job.status().code() != absl::StatusCode::kUnavailable) {
      return job.status();
    }
    absl::SleepFor(absl::Milliseconds(300));
  }
}

absl::StatusOr<int> Logs(Session& session, const LogsOptions& options) {
  const std::string what = fmt::format("logs of job {}", options.job);
  auto job = session.client().GetJob(options.job);
  if (!job.ok()) return During(what, job.status());
  const std::string id = std::to_string(job->id());
  const v1::Attempt* attempt = FindAttempt(*job, options.attempt);
  if (attempt == nullptr && options.attempt != 0) {
    return NotFound("{}: no attempt {}; it has had {}", what, options.attempt,
                    job->attempts_size());
  }
  if (attempt == nullptr && !options.follow) {
    return FailedPrecondition("{}: nothing has run yet: {}", what, job->reason());
  }
  for (uint64_t number = 0;;) {
    if (attempt != nullptr && attempt->number() != number) {
      if (number != 0) fmt::print(stderr, "muster: attempt {}\n", attempt->number());
      number = attempt->number();
      const auto sources = FindSources(session, options, *attempt);
      if (!sources.ok()) return During(what, sources.status());
      const absl::Status status =
          AttemptLogs(session, options, job->id(), number, *sources).Print();
      if (!status.ok() && !options.follow) return During(what, status);
      if (!status.ok()) {
        fmt::print(stderr, "muster: {}: {}\n", what, std::string(status.message()));
      }
    }
    if (!options.follow || options.attempt != 0) return kExitOk;
    job = WaitForNext(session, id, number);
    if (!job.ok()) return During(what, job.status());
    attempt = FindAttempt(*job, 0);
    if (IsEnded(job->state()) && (attempt == nullptr || attempt->number() == number)) {
      return ExitCodeOf(job->state());
    }
  }
}

}  // namespace

Command LogsCommand(Session* session) {
  auto options = std::make_shared<LogsOptions>();
  Command command;
  command.name = "logs";
  command.summary = "What the ranks of a job print";
  command.examples =
      R"(  muster logs gpt-stdlib                  all ranks; what several say is printed once: [0-3] ...
  muster logs 7 -f --rank 0               rank 0 as it comes, over restarts; exits as the job does
  muster logs 7 --rank 0-3,7 --stderr --tail 20
  muster logs 7 --attempt 1               what an earlier attempt said)";
  command.options = {
      {"JOB", &options->job, "id or name", true, {}},
      {"-f,--follow", &options->follow, "go on as they print, over restarts", false, {}},
      {"--rank", &options->ranks, "only these: 3, 0-3, 0,2 (all)", false, {}},
      {"--attempt", &options->attempt, "of this attempt (the last)", false, {}},
      {"--stderr", &options->from_stderr, "standard error instead of standard output", false, {}},
      {"--tail", &options->tail, "only the last N lines of each rank", false, {}}};
  command.run = [session, options] { return Logs(*session, *options); };
  return command;
}

}  // namespace muster::cli
