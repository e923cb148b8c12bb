// Saves, commits and prunes like a trainer, to be killed at any call.
//
//   crash_writer FOLDER ATTEMPT KEEP WRITERS STEP...
//
// Standard output: "permitted STEP" before each commit, "acknowledged STEP" after it.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/unit/checkpoint/crash_history.h"

namespace muster::checkpoint {
namespace {

// At once: what is said must be known when the next call kills.
void Say(const std::string& line) {
  if (write(STDOUT_FILENO, (line + "\n").c_str(), line.size() + 1) < 0) std::abort();
}

absl::Status SaveAll(int argc, char** argv) {
  const std::string root = argv[1];
  const uint64_t attempt = std::strtoull(argv[2], nullptr, 10);
  History history;
  history.keep = static_cast<uint32_t>(std::strtoul(argv[3], nullptr, 10));
  const size_t writers = std::strtoull(argv[4], nullptr, 10);
  FileSystem& files = PosixFiles();
  for (int i = 5; i < argc; ++i) {
    const CheckpointId id{std::strtoull(argv[i], nullptr, 10), attempt};
    std::vector<ShardDigest> digests;
    for (size_t writer = 0; writer < writers; ++writer) {
      MUSTER_ASSIGN_OR_RETURN(ShardDigest digest, WriteRank(files, id, writer, writers, root));
      digests.push_back(std::move(digest));
    }
    Say(fmt::format("permitted {}", id.step));
    MUSTER_RETURN_IF_ERROR(CommitStep(files, id, digests, history, root));
    Say(fmt::format("acknowledged {}", id.step));
    MUSTER_RETURN_IF_ERROR(TidyAfter(files, id, history, root));
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace muster::checkpoint

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  const absl::Status status = muster::checkpoint::SaveAll(argc, argv);
  if (!status.ok()) std::fprintf(stderr, "crash_writer: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
