// A disk in memory that knows what is durable and what a power loss may take.
//
// A file's bytes are durable as of its last Sync, a folder's names as of its last SyncFolder; every
// change since then is pending. PowerLoss() decides, change by change, what of it survived. This is
// stricter than any journaling file system: POSIX promises no order among what was not synced.
//
// A value: copies are cheap (nodes are shared until changed), so a test can keep one per instant.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/file_system.h"

namespace muster::checkpoint {

enum class Survival {
  kSynced,      // nothing that was not synced
  kEverything,  // all of it: only processes died
  kPrefix,      // what was done before some instant, the write at that instant torn
  kAny,         // each name for itself; of each file a torn prefix, or some 4 KiB blocks
};
std::string_view SurvivalText(Survival survival);

class SimulatedDisk {
 public:
  using NodeId = size_t;

  SimulatedDisk();

  // What the next start of the machine finds; all of it durable.
  SimulatedDisk PowerLoss(Survival survival, uint64_t seed) const;

  // A new or truncated file.
  absl::StatusOr<NodeId> Create(const std::string& path);
  absl::StatusOr<NodeId> FindFile(const std::string& path) const;
  void Append(NodeId file, std::string_view bytes);
  void Sync(NodeId file);
  const std::string& Text(NodeId file) const { return nodes_[file]->text; }
  void Overwrite(const std::string& path, std::string text);  // durably: damage done to a disk

  absl::Status Rename(const std::string& from, const std::string& to);  // within one folder
  absl::Status Link(const std::string& existing, const std::string& name);
  absl::Status Remove(const std::string& path, bool folder);
  absl::Status MakeFolder(const std::string& path);
  absl::Status SyncFolder(const std::string& path);
  absl::StatusOr<std::vector<FolderEntry>> List(const std::string& path) const;
  bool Exists(const std::string& path) const;

  std::vector<std::string> Files() const;         // paths of all, sorted
  std::vector<std::string> Names() const;         // of folders too
  uint64_t Bytes() const;                         // of all files
  bool SameAs(const SimulatedDisk& other) const;  // the same names, the same bytes

 private:
  struct Change {
    uint64_t time = 0;
    std::string removed;  // empty: none
    std::string added;    // empty: none
    NodeId node = 0;
  };
  struct Node {
    bool folder = false;
    // A file.
    std::string text, synced;
    uint64_t cut_time = 0;                              // of a truncation not synced; 0 = none
    std::vector<std::pair<uint64_t, size_t>> appended;  // (time, size then), not synced
    // A folder.
    std::map<std::string, NodeId> names, synced_names;
    std::vector<Change> changes;
  };

  Node& Own(NodeId id);  // to be changed: no longer shared with a copy
  absl::StatusOr<NodeId> Find(const std::string& path) const;
  struct Place {
    NodeId folder;
    std::string name;
  };
  absl::StatusOr<Place> FindPlace(const std::string& path) const;
  void Record(NodeId folder, std::string removed, std::string added, NodeId node);
  void Walk(const std::string& path, NodeId id, bool folders, std::vector<std::string>& out) const;

  std::vector<std::shared_ptr<Node>> nodes_;  // 0 is the root
  uint64_t time_ = 0;
};

}  // namespace muster::checkpoint
