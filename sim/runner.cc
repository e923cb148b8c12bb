#include "sim/runner.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <utility>

#include "common/check.h"
#include "sim/world.h"

namespace muster::sim {
namespace {

// Shared between the parent and one child.
struct Place {
  volatile uint64_t seed = 0;
};

void WriteAll(int fd, const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t wrote = write(fd, text.data() + done, text.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) _exit(3);
    done += static_cast<size_t>(wrote);
  }
}

struct SeedRun {
  uint64_t hash = 0;
  std::string violation;
  Totals totals;
};

SeedRun RunOne(const Case& chosen, uint64_t seed, std::FILE* trace) {
  World world(chosen, seed, trace);
  world.Run();
  return {world.trace.hash(), world.violation(), world.totals};
}

bool IsTwice(uint64_t seed, double part) {
  return part > 0 && seed % static_cast<uint64_t>(std::max(1.0, 1 / part)) == 0;
}

// One line per violation: "v SEED TEXT"; in the end the totals.
void RunChild(const Case& chosen, const RunOptions& options, uint32_t child, Place* place,
              int out) {
  Totals totals;
  for (uint64_t i = child; i < options.seeds; i += options.jobs) {
    const uint64_t seed = options.first_seed + i;
    place->seed = seed;
    SeedRun run = RunOne(chosen, seed, nullptr);
    if (run.violation.empty() && IsTwice(seed, options.twice)) {
      const SeedRun again = RunOne(chosen, seed, nullptr);
      ++run.totals.seeds_twice;
      if (again.hash != run.hash) {
        run.violation = fmt::format("hash: two runs of seed {} differ ({:x}, {:x})", seed, run.hash,
                                    again.hash);
      }
    }
    totals.Add(run.totals);
    if (run.violation.empty()) continue;
    std::replace(run.violation.begin(), run.violation.end(), '\n', ' ');
    WriteAll(out, fmt::format("v {} {}\n", seed, run.violation));
    if (!options.keep_going) break;
  }
  WriteAll(out, totals.Serialized());
}

struct Child {
  pid_t pid = -1;
  int out = -1;
  Place* place = nullptr;
  std::string text;
};

Child Spawn(const Case& chosen, const RunOptions& options, uint32_t number) {
  Child child;
  int ends[2];
  CHECK(pipe(ends) == 0, "pipe: errno {}", errno);
  void* memory =
      mmap(nullptr, sizeof(Place), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED, "mmap: errno {}", errno);
  child.place = new (memory) Place;
  std::fflush(nullptr);
  child.pid = fork();
  CHECK(child.pid >= 0, "fork: errno {}", errno);
  if (child.pid == 0) {
    close(ends[0]);
    RunChild(chosen, options, number, child.place, ends[1]);
    _exit(0);
  }
  close(ends[1]);
  child.out = ends[0];
  return child;
}

void ReadAll(std::vector<Child>& children) {
  size_t open = children.size();
  while (open > 0) {
    std::vector<pollfd> fds;
    for (const Child& child : children) fds.push_back({child.out, POLLIN, 0});
    if (poll(fds.data(), fds.size(), -1) < 0) continue;
    for (size_t i = 0; i < children.size(); ++i) {
      if (fds[i].revents == 0) continue;
      char bytes[65536];
      const ssize_t got = read(children[i].out, bytes, sizeof(bytes));
      if (got > 0) {
        children[i].text.append(bytes, static_cast<size_t>(got));
        continue;
      }
      close(children[i].out);
      children[i].out = -1;
      --open;
    }
  }
}

void Collect(Child& child, RunResult& result) {
  int status = 0;
  while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
  }
  std::string totals;
  size_t from = 0;
  while (from < child.text.size()) {
    const size_t end = std::min(child.text.find('\n', from), child.text.size());
    const std::string line = child.text.substr(from, end - from);
    from = end + 1;
    if (line.rfind("v ", 0) != 0) {
      totals += line + "\n";
      continue;
    }
    const size_t space = line.find(' ', 2);
    result.violations.push_back(
        {std::strtoull(line.c_str() + 2, nullptr, 10), line.substr(space + 1)});
  }
  result.totals.Add(Totals::Parsed(totals));
  if (WIFSIGNALED(status)) {
    result.violations.push_back(
        {child.place->seed,
         fmt::format("check: the code stopped itself (signal {}); its reason is above",
                     WTERMSIG(status))});
  }
  munmap(child.place, sizeof(Place));
}

}  // namespace

RunResult RunSeeds(const Case& chosen, const RunOptions& options) {
  RunResult result;
  if (options.trace) {
    const SeedRun run = RunOne(chosen, options.first_seed, stdout);
    result.totals = run.totals;
    if (!run.violation.empty()) result.violations.push_back({options.first_seed, run.violation});
    return result;
  }
  RunOptions shared = options;
  shared.jobs =
      std::max(1u, std::min<uint32_t>(
                       options.jobs, static_cast<uint32_t>(std::min<uint64_t>(64, options.seeds))));
  std::vector<Child> children;
  for (uint32_t i = 0; i < shared.jobs; ++i) children.push_back(Spawn(chosen, shared, i));
  ReadAll(children);
  for (Child& child : children) Collect(child, result);
  std::sort(result.violations.begin(), result.violations.end(),
            [](const Violation& a, const Violation& b) { return a.seed < b.seed; });
  return result;
}

std::string LastEvents(const Case& chosen, uint64_t seed, size_t lines) {
  std::FILE* file = std::tmpfile();
  if (file == nullptr) return "";
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    setvbuf(file, nullptr, _IOLBF, 0);
    if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(3);
    RunOne(chosen, seed, file);
    std::fflush(file);
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  std::rewind(file);
  std::deque<std::string> last;
  char bytes[4096];
  while (std::fgets(bytes, sizeof(bytes), file) != nullptr) {
    last.emplace_back(bytes);
    if (last.size() > lines) last.pop_front();
  }
  std::fclose(file);
  std::string text;
  for (const std::string& line : last)
    text += line.size() > 220 ? line.substr(0, 220) + "…\n" : line;
  return text;
}

}  // namespace muster::sim
