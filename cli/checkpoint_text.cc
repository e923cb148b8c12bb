#include "cli/checkpoint_text.h"

#include <fmt/format.h>

#include "cli/job_text.h"
#include "cli/table.h"
#include "common/terminal.h"

namespace muster::cli {
namespace {

// Enough of a digest to tell two apart.
std::string ShortHex(const std::string& bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size() && i < 6; ++i) {
    text += fmt::format("{:02x}", static_cast<unsigned char>(bytes[i]));
  }
  return text.empty() ? "-" : text;
}

}  // namespace

std::string CheckpointRefTable(const v1::Job& job, const std::string& margin) {
  Table table({margin + "STEP", "ATTEMPT", "STATE", "SIZE", "MANIFEST", "TIME"});
  for (int i = job.checkpoints_size() - 1; i >= 0; --i) {
    const v1::CheckpointRef& ref = job.checkpoints(i);
    table.AddRow({margin + std::to_string(ref.step()), std::to_string(ref.attempt()),
                  ref.bad()         ? "marked bad"
                  : ref.committed() ? "committed"
                                    : "permitted",
                  ref.bytes() == 0 ? "-" : BytesText(ref.bytes()), ShortHex(ref.manifest_sha256()),
                  TimeText(ref.time_unix_ms())});
  }
  return table.Text();
}

std::string CheckpointEntryTable(const std::vector<checkpoint::CheckpointEntry>& entries) {
  Table table({"STEP", "ATTEMPT", "STATE", "PINNED", "FOLDER", "PROBLEM"});
  for (const checkpoint::CheckpointEntry& entry : entries) {
    table.AddRow({std::to_string(entry.id.step), std::to_string(entry.id.attempt),
                  checkpoint::CheckpointStateText(entry.state), entry.pinned ? "yes" : "-",
                  entry.path, entry.problem.empty() ? "-" : entry.problem});
  }
  return table.Text();
}

}  // namespace muster::cli
