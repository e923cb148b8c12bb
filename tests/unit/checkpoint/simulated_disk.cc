#include "tests/unit/checkpoint/simulated_disk.h"

#include <algorithm>
#include <random>

#include "common/check.h"
#include "common/status.h"

namespace muster::checkpoint {
namespace {

constexpr size_t kBlock = 4096;

// What of a file's pending bytes is found, when each block and the size are decided for themselves.
std::string Torn(const std::string& base, const std::string& text, std::mt19937_64& random) {
  if (random() % 2) {  // a prefix of the new bytes
    const size_t from = std::min(base.size(), text.size());
    const size_t size = from + random() % (text.size() - from + 1);
    return text.substr(0, size);
  }
  // The size may be ahead of the blocks; a block never written reads as zeros, or as it was.
  std::string found = base;
  found.resize(std::max(base.size(), static_cast<size_t>(random() % (text.size() + 1))), '\0');
  for (size_t begin = 0; begin < std::min(found.size(), text.size()); begin += kBlock) {
    if (random() % 2) continue;
    const size_t size = std::min({kBlock, text.size() - begin, found.size() - begin});
    found.replace(begin, size, text, begin, size);
  }
  return found;
}

}  // namespace

std::string_view SurvivalText(Survival survival) {
  switch (survival) {
    case Survival::kSynced:
      return "nothing unsynced";
    case Survival::kEverything:
      return "everything";
    case Survival::kPrefix:
      return "a prefix";
    case Survival::kAny:
      return "anything";
  }
  return "unknown";
}

SimulatedDisk::SimulatedDisk() {
  nodes_.push_back(std::make_shared<Node>());
  nodes_[0]->folder = true;
}

SimulatedDisk SimulatedDisk::PowerLoss(Survival survival, uint64_t seed) const {
  std::mt19937_64 random(seed);
  SimulatedDisk found = *this;
  const uint64_t until = random() % (time_ + 1);
  for (NodeId id = 0; id < nodes_.size(); ++id) {
    const Node& node = *nodes_[id];
    const bool pending = node.cut_time > 0 || !node.appended.empty() || !node.changes.empty();
    if (!pending) continue;
    Node& after = found.Own(id);
    after.cut_time = 0;
    after.appended.clear();
    after.changes.clear();
    auto survives = [&](uint64_t time) {
      switch (survival) {
        case Survival::kSynced:
          return false;
        case Survival::kEverything:
          return true;
        case Survival::kPrefix:
          return time <= until;
        case Survival::kAny:
          return random() % 2 == 0;
      }
      return false;
    };
    if (node.folder) {
      after.names = node.synced_names;
      for (const Change& change : node.changes) {
        if (!survives(change.time)) continue;
        const auto old = after.names.find(change.removed);
        if (old != after.names.end() && old->second == change.node) after.names.erase(old);
        if (!change.added.empty()) after.names[change.added] = change.node;
      }
      after.synced_names = after.names;
      continue;
    }
    const bool cut = node.cut_time > 0 && survives(node.cut_time);
    const std::string base = cut ? "" : node.synced;
    if (survival == Survival::kAny) {
      after.text = Torn(base, node.text, random);
    } else if (node.cut_time > 0 && !cut) {
      after.text = node.synced;
    } else {
      after.text = base;
      for (const auto& [time, size] : node.appended) {
        if (survives(time)) after.text = node.text.substr(0, size);
      }
      if (survival == Survival::kPrefix && after.text.size() < node.text.size()) {
        const size_t more = random() % (node.text.size() - after.text.size() + 1);
        after.text = node.text.substr(0, after.text.size() + more);
      }
    }
    after.synced = after.text;
  }
  return found;
}

absl::StatusOr<SimulatedDisk::NodeId> SimulatedDisk::Create(const std::string& path) {
  MUSTER_ASSIGN_OR_RETURN(const Place place, FindPlace(path));
  const auto& names = nodes_[place.folder]->names;
  if (const auto old = names.find(place.name); old != names.end()) {
    Node& file = Own(old->second);
    if (file.folder) return Internal("create {}: a folder", path);
    file.text.clear();
    file.appended.clear();
    file.cut_time = ++time_;
    return old->second;
  }
  const NodeId id = nodes_.size();
  nodes_.push_back(std::make_shared<Node>());
  Record(place.folder, "", place.name, id);
  return id;
}

absl::StatusOr<SimulatedDisk::NodeId> SimulatedDisk::FindFile(const std::string& path) const {
  MUSTER_ASSIGN_OR_RETURN(const NodeId id, Find(path));
  if (nodes_[id]->folder) return DataLoss("open {}: not a regular file", path);
  return id;
}

void SimulatedDisk::Append(NodeId file, std::string_view bytes) {
  Node& node = Own(file);
  node.text.append(bytes);
  node.appended.emplace_back(++time_, node.text.size());
}

void SimulatedDisk::Sync(NodeId file) {
  Node& node = Own(file);
  node.synced = node.text;
  node.cut_time = 0;
  node.appended.clear();
}

void SimulatedDisk::Overwrite(const std::string& path, std::string text) {
  const absl::StatusOr<NodeId> file = FindFile(path);
  CHECK(file.ok(), "overwrite {}", path);
  Own(*file).text = std::move(text);
  Sync(*file);
}

absl::Status SimulatedDisk::Rename(const std::string& from, const std::string& to) {
  MUSTER_ASSIGN_OR_RETURN(const Place old, FindPlace(from));
  MUSTER_ASSIGN_OR_RETURN(const Place place, FindPlace(to));
  CHECK(old.folder == place.folder, "rename {} to {}: across folders", from, to);
  MUSTER_ASSIGN_OR_RETURN(const NodeId id, Find(from));
  const auto& names = nodes_[place.folder]->names;
  if (const auto there = names.find(place.name); there != names.end()) {
    const Node& target = *nodes_[there->second];
    if (target.folder && !target.names.empty()) return Internal("rename to {}: not empty", to);
    if (there->second == id) return absl::OkStatus();  // two names of one file: nothing happens
  }
  Record(place.folder, old.name, place.name, id);
  return absl::OkStatus();
}

absl::Status SimulatedDisk::Link(const std::string& existing, const std::string& name) {
  MUSTER_ASSIGN_OR_RETURN(const NodeId id, FindFile(existing));
  MUSTER_ASSIGN_OR_RETURN(const Place place, FindPlace(name));
  if (nodes_[place.folder]->names.contains(place.name)) {
    return AlreadyExists("link {}: File exists", name);
  }
  Record(place.folder, "", place.name, id);
  return absl::OkStatus();
}

absl::Status SimulatedDisk::Remove(const std::string& path, bool folder) {
  MUSTER_ASSIGN_OR_RETURN(const Place place, FindPlace(path));
  MUSTER_ASSIGN_OR_RETURN(const NodeId id, Find(path));
  if (nodes_[id]->folder != folder) return Internal("remove {}: wrong kind", path);
  if (!nodes_[id]->names.empty()) return Internal("remove {}: not empty", path);
  Record(place.folder, place.name, "", id);
  return absl::OkStatus();
}

absl::Status SimulatedDisk::MakeFolder(const std::string& path) {
  MUSTER_ASSIGN_OR_RETURN(const Place place, FindPlace(path));
  if (nodes_[place.folder]->names.contains(place.name)) {
    return AlreadyExists("make folder {}: File exists", path);
  }
  const NodeId id = nodes_.size();
  nodes_.push_back(std::make_shared<Node>());
  nodes_[id]->folder = true;
  Record(place.folder, "", place.name, id);
  return absl::OkStatus();
}

absl::Status SimulatedDisk::SyncFolder(const std::string& path) {
  MUSTER_ASSIGN_OR_RETURN(const NodeId id, Find(path));
  if (!nodes_[id]->folder) return Internal("sync folder {}: not a folder", path);
  Node& folder = Own(id);
  folder.synced_names = folder.names;
  folder.changes.clear();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<FolderEntry>> SimulatedDisk::List(const std::string& path) const {
  MUSTER_ASSIGN_OR_RETURN(const NodeId id, Find(path));
  if (!nodes_[id]->folder) return Internal("list {}: not a folder", path);
  std::vector<FolderEntry> entries;
  for (const auto& [name, node] : nodes_[id]->names) {
    entries.push_back({name, nodes_[node]->folder, !nodes_[node]->folder});
  }
  return entries;
}

bool SimulatedDisk::Exists(const std::string& path) const { return Find(path).ok(); }

std::vector<std::string> SimulatedDisk::Files() const {
  std::vector<std::string> out;
  Walk("", 0, false, out);
  return out;
}

std::vector<std::string> SimulatedDisk::Names() const {
  std::vector<std::string> out;
  Walk("", 0, true, out);
  return out;
}

uint64_t SimulatedDisk::Bytes() const {
  uint64_t bytes = 0;
  for (const std::string& path : Files()) bytes += nodes_[*FindFile(path)]->text.size();
  return bytes;
}

bool SimulatedDisk::SameAs(const SimulatedDisk& other) const {
  if (Names() != other.Names()) return false;
  for (const std::string& path : Files()) {
    if (nodes_[*FindFile(path)]->text != other.nodes_[*other.FindFile(path)]->text) return false;
  }
  return true;
}

SimulatedDisk::Node& SimulatedDisk::Own(NodeId id) {
  if (nodes_[id].use_count() > 1) nodes_[id] = std::make_shared<Node>(*nodes_[id]);
  return *nodes_[id];
}

absl::StatusOr<SimulatedDisk::NodeId> SimulatedDisk::Find(const std::string& path) const {
  NodeId at = 0;
  size_t begin = 1;
  while (begin < path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const auto& names = nodes_[at]->names;
    const auto next = names.find(path.substr(begin, end - begin));
    if (next == names.end()) return NotFound("{}: No such file or directory", path);
    at = next->second;
    begin = end + 1;
  }
  return at;
}

absl::StatusOr<SimulatedDisk::Place> SimulatedDisk::FindPlace(const std::string& path) const {
  const size_t slash = path.rfind('/');
  CHECK(slash != std::string::npos, "{} is not absolute", path);
  MUSTER_ASSIGN_OR_RETURN(const NodeId folder, Find(path.substr(0, slash)));
  if (!nodes_[folder]->folder) return Internal("{}: its folder is a file", path);
  return Place{folder, path.substr(slash + 1)};
}

void SimulatedDisk::Record(NodeId folder, std::string removed, std::string added, NodeId node) {
  Node& owner = Own(folder);
  if (!removed.empty()) owner.names.erase(removed);
  if (!added.empty()) owner.names[added] = node;
  owner.changes.push_back({++time_, std::move(removed), std::move(added), node});
}

void SimulatedDisk::Walk(const std::string& path, NodeId id, bool folders,
                         std::vector<std::string>& out) const {
  for (const auto& [name, child] : nodes_[id]->names) {
    const std::string whole = path + "/" + name;
    if (folders || !nodes_[child]->folder) out.push_back(whole);
    if (nodes_[child]->folder) Walk(whole, child, folders, out);
  }
}

}  // namespace muster::checkpoint
