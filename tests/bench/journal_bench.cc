// Records per second that the SQLite journal makes durable, by records in one append and appends
// under way at once.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "absl/synchronization/mutex.h"
#include "common/check.h"
#include "coordinator/journal/sqlite_journal.h"

namespace {

using muster::coordinator::journal::SqliteJournal;

muster::v1::Record Milestone() {
  muster::v1::Record record;
  record.set_time_unix_ms(1'700'000'000'000);
  record.mutable_attempt_milestone()->set_job_id(1'234);
  record.mutable_attempt_milestone()->set_attempt(5);
  record.mutable_attempt_milestone()->set_step(100'000);
  return record;
}

// range(0): records in one append; range(1): appends that may wait for the disk at once, as that
// many concurrent callers would have.
void Append(benchmark::State& state) {
  std::string folder = (std::filesystem::temp_directory_path() / "muster-bench-XXXXXX").string();
  CHECK(mkdtemp(folder.data()) != nullptr, "mkdtemp {}", folder);
  {
    auto journal = SqliteJournal::Open(folder + "/journal.db");
    CHECK(journal.ok(), "{}", std::string(journal.status().message()));
    const std::vector<muster::v1::Record> records(static_cast<size_t>(state.range(0)), Milestone());
    absl::Mutex mutex;
    int64_t under_way = 0;
    const auto may_append = [&] { return under_way < state.range(1); };
    for (auto _ : state) {
      {
        absl::MutexLock lock(&mutex);
        mutex.Await(absl::Condition(&may_append));
        ++under_way;
      }
      (*journal)->Append(records, [&](const absl::Status& status) {
        CHECK(status.ok(), "{}", std::string(status.message()));
        absl::MutexLock lock(&mutex);
        --under_way;
      });
    }
    CHECK((*journal)->Flush().ok(), "flush");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  std::filesystem::remove_all(folder);
}
BENCHMARK(Append)
    ->ArgNames({"records", "callers"})
    ->Args({1, 1})
    ->Args({1, 16})
    ->Args({1, 64})
    ->Args({1, 1'000})
    ->Args({16, 16})
    ->UseRealTime();

// Start: reading back what 100,000 jobs left behind.
void Replay(benchmark::State& state) {
  std::string folder = (std::filesystem::temp_directory_path() / "muster-bench-XXXXXX").string();
  CHECK(mkdtemp(folder.data()) != nullptr, "mkdtemp {}", folder);
  const std::string path = folder + "/journal.db";
  {
    auto journal = SqliteJournal::Open(path);
    CHECK(journal.ok(), "{}", std::string(journal.status().message()));
    for (int64_t i = 0; i < state.range(0); i += 1'000) {
      (*journal)->Append(std::vector<muster::v1::Record>(1'000, Milestone()), nullptr);
    }
  }
  for (auto _ : state) {
    auto journal = SqliteJournal::Open(path);
    CHECK(journal.ok(), "{}", std::string(journal.status().message()));
    const auto count = (*journal)->Replay(
        [](const muster::v1::Record& record) { benchmark::DoNotOptimize(record.time_unix_ms()); });
    CHECK(count.ok() && *count == static_cast<uint64_t>(state.range(0)), "replay");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  std::filesystem::remove_all(folder);
}
BENCHMARK(Replay)->ArgName("records")->Arg(800'000)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
