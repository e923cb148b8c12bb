// A file system in memory that can fail or crash at its i-th call.
//
// It knows what is durable: file contents as of the last Sync(), names as of the last SyncFolder().
// After a crash, everything fails until Restart(), which decides what the machine finds.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "checkpoint/file_system.h"
#include "common/status.h"

namespace muster::checkpoint {

class CrashFiles : public FileSystem {
 public:
  enum class Survives { kDurableOnly, kEverything, kSome };

  void CrashAt(int call) { crash_at_ = call; }
  // That one call fails with `status`; the next ones work.
  void FailAt(int call, absl::Status status) {
    fail_at_ = call;
    failure_ = std::move(status);
  }
  int calls() const { return calls_; }
  bool crashed() const { return crashed_; }

  void Restart(Survives survives, uint64_t seed) {
    std::mt19937_64 random(seed);
    auto keep = [&] {
      return survives == Survives::kEverything || (survives == Survives::kSome && random() % 2);
    };
    std::map<std::string, std::shared_ptr<Node>> names = durable_;
    for (const auto& [name, node] : names_) {
      if (durable_.contains(name) ? durable_[name] != node && keep() : keep()) names[name] = node;
    }
    for (const auto& [name, node] : durable_) {
      if (!names_.contains(name) && keep()) names.erase(name);
    }
    // No orphans: a name whose folder is gone is gone.
    std::erase_if(names, [&](const auto& entry) {
      const size_t slash = entry.first.rfind('/');
      return slash != 0 && slash != std::string::npos &&
             !names.contains(entry.first.substr(0, slash));
    });
    for (auto& [name, node] : names) {
      if (node->text != node->synced && !keep()) {
        // Unsynced bytes: lost, or a torn prefix.
        node->text = survives == Survives::kSome && node->text.size() > node->synced.size()
                         ? node->text.substr(0, random() % node->text.size())
                         : node->synced;
      }
      node->synced = node->text;
    }
    names_ = durable_ = names;
    crashed_ = false;
    crash_at_ = fail_at_ = -1;
    calls_ = 0;
  }

  std::vector<std::string> Names() const {
    std::vector<std::string> out;
    for (const auto& [name, node] : names_) out.push_back(name);
    return out;
  }

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    MUSTER_RETURN_IF_ERROR(Call("create", path));
    MUSTER_RETURN_IF_ERROR(ParentExists(path));
    auto& node = names_[path];
    if (node == nullptr) node = std::make_shared<Node>();
    node->text.clear();
    return std::make_unique<Writer>(this, node, path);
  }
  absl::StatusOr<std::unique_ptr<WritableFile>> CreateAfter(const std::string& path,
                                                            uint64_t keep) override {
    MUSTER_RETURN_IF_ERROR(Call("cut", path));
    const auto found = names_.find(path);
    if (found == names_.end()) return NotFound("cut {}: no such file", path);
    found->second->text.resize(keep);
    return std::make_unique<Writer>(this, found->second, path);
  }
  absl::StatusOr<std::unique_ptr<ReadableFile>> Open(const std::string& path) override {
    MUSTER_RETURN_IF_ERROR(Call("open", path));
    const auto found = names_.find(path);
    if (found == names_.end()) return NotFound("open {}: no such file", path);
    return std::make_unique<Reader>(this, found->second, path);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    MUSTER_RETURN_IF_ERROR(Call("rename", from));
    if (!names_.contains(from)) return NotFound("rename {}: no such file", from);
    std::map<std::string, std::shared_ptr<Node>> moved;
    for (auto it = names_.begin(); it != names_.end();) {
      const std::string& name = it->first;
      if (name == from || name.starts_with(from + "/")) {
        moved[to + name.substr(from.size())] = it->second;
        it = names_.erase(it);
      } else {
        ++it;
      }
    }
    // What is durable in a folder stays so under its new name, once that is durable itself.
    for (const auto& [name, node] : std::map(durable_)) {
      if (name.starts_with(from + "/")) durable_[to + name.substr(from.size())] = node;
    }
    for (auto& [name, node] : moved) names_[name] = node;
    return absl::OkStatus();
  }
  absl::Status Link(const std::string& existing, const std::string& name) override {
    MUSTER_RETURN_IF_ERROR(Call("link", name));
    if (names_.contains(name)) return AlreadyExists("link {}: File exists", name);
    if (!names_.contains(existing)) return NotFound("link {}: no such file", existing);
    names_[name] = names_[existing];
    return absl::OkStatus();
  }
  absl::Status RemoveFile(const std::string& path) override { return Remove(path); }
  absl::Status RemoveFolder(const std::string& path) override { return Remove(path); }
  absl::Status MakeFolder(const std::string& path) override {
    MUSTER_RETURN_IF_ERROR(Call("make folder", path));
    if (names_.contains(path)) return AlreadyExists("make folder {}: File exists", path);
    MUSTER_RETURN_IF_ERROR(ParentExists(path));
    names_[path] = std::make_shared<Node>();
    names_[path]->folder = true;
    return absl::OkStatus();
  }
  absl::Status SyncFolder(const std::string& path) override {
    MUSTER_RETURN_IF_ERROR(Call("sync folder", path));
    const std::string prefix = path == "/" ? path : path + "/";
    auto direct = [&](const std::string& name) {
      return name.starts_with(prefix) && name.find('/', prefix.size()) == std::string::npos;
    };
    std::erase_if(durable_, [&](const auto& entry) {
      return direct(entry.first) && !names_.contains(entry.first);
    });
    for (const auto& [name, node] : names_) {
      if (direct(name)) durable_[name] = node;
    }
    // Children of folders that are gone for good.
    std::erase_if(durable_, [&](const auto& entry) {
      const size_t slash = entry.first.rfind('/');
      return slash != 0 && !durable_.contains(entry.first.substr(0, slash));
    });
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<FolderEntry>> List(const std::string& path) override {
    MUSTER_RETURN_IF_ERROR(Call("list", path));
    if (!names_.contains(path)) return NotFound("list {}: no such folder", path);
    std::vector<FolderEntry> out;
    for (const auto& [name, node] : names_) {
      if (name.starts_with(path + "/") && name.find('/', path.size() + 1) == std::string::npos) {
        out.push_back({name.substr(path.size() + 1), node->folder, !node->folder});
      }
    }
    return out;
  }
  absl::StatusOr<bool> Exists(const std::string& path) override {
    MUSTER_RETURN_IF_ERROR(Call("stat", path));
    return names_.contains(path);
  }
  absl::StatusOr<uint64_t> FreeBytes(const std::string&) override { return free_bytes; }

  uint64_t free_bytes = 4711;

 private:
  struct Node {
    bool folder = false;
    std::string text;
    std::string synced;
  };

  class Writer : public WritableFile {
   public:
    Writer(CrashFiles* files, std::shared_ptr<Node> node, std::string path)
        : files_(files), node_(std::move(node)), path_(std::move(path)) {}
    absl::Status Append(std::span<const std::byte> bytes) override {
      absl::Status status = files_->Call("write", path_);
      // A write that crashes or fails leaves half of its bytes.
      const size_t size = status.ok() ? bytes.size() : bytes.size() / 2;
      node_->text.append(reinterpret_cast<const char*>(bytes.data()), size);
      return status;
    }
    absl::Status Sync() override {
      MUSTER_RETURN_IF_ERROR(files_->Call("sync", path_));
      node_->synced = node_->text;
      return absl::OkStatus();
    }
    absl::Status Close() override { return files_->Call("close", path_); }

   private:
    CrashFiles* files_;
    std::shared_ptr<Node> node_;
    std::string path_;
  };

  class Reader : public ReadableFile {
   public:
    Reader(CrashFiles* files, std::shared_ptr<Node> node, std::string path)
        : files_(files), node_(std::move(node)), path_(std::move(path)) {}
    uint64_t Size() const override { return node_->text.size(); }
    absl::Status ReadAt(uint64_t offset, std::span<std::byte> bytes) override {
      MUSTER_RETURN_IF_ERROR(files_->Call("read", path_));
      if (offset + bytes.size() > node_->text.size()) return DataLoss("read {}: it ends", path_);
      std::memcpy(bytes.data(), node_->text.data() + offset, bytes.size());
      return absl::OkStatus();
    }

   private:
    CrashFiles* files_;
    std::shared_ptr<Node> node_;
    std::string path_;
  };

  absl::Status Call(const char* what, const std::string& path) {
    const int call = calls_++;
    if (call == crash_at_) crashed_ = true;
    if (crashed_) return Unavailable("{} {}: the machine is down", what, path);
    if (call == fail_at_) return Annotate(failure_, fmt::format("{} {}", what, path));
    return absl::OkStatus();
  }
  absl::Status ParentExists(const std::string& path) {
    const size_t slash = path.rfind('/');
    if (slash == 0 || names_.contains(path.substr(0, slash))) return absl::OkStatus();
    return NotFound("{}: no such folder", path);
  }
  absl::Status Remove(const std::string& path) {
    MUSTER_RETURN_IF_ERROR(Call("remove", path));
    for (const auto& [name, node] : names_) {
      if (name.starts_with(path + "/")) return Internal("remove {}: not empty", path);
    }
    return names_.erase(path) ? absl::OkStatus() : NotFound("remove {}: no such file", path);
  }

  std::map<std::string, std::shared_ptr<Node>> names_;
  std::map<std::string, std::shared_ptr<Node>> durable_;
  int calls_ = 0, crash_at_ = -1, fail_at_ = -1;
  absl::Status failure_;
  bool crashed_ = false;
};

}  // namespace muster::checkpoint
