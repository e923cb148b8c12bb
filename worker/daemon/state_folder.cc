#include "worker/daemon/state_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <utility>

#include "common/status.h"

namespace muster::worker::daemon {
namespace {

namespace fs = std::filesystem;

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string SecondLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  line.clear();
  std::getline(file, line);
  return line;
}

bool ParseNumber(const std::string& text, uint64_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

absl::Status SyncFolder(const std::string& path) {
  const int folder = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return ErrnoError(errno, "open " + path);
  const int failed = fsync(folder) != 0 ? errno : 0;
  close(folder);
  return failed != 0 ? ErrnoError(failed, "sync " + path) : absl::OkStatus();
}

absl::Status WriteSynced(const std::string& path, const std::string& bytes) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return ErrnoError(errno, "open " + path);
  const ssize_t written = write(file, bytes.data(), bytes.size());
  int failed = 0;
  if (written != static_cast<ssize_t>(bytes.size())) {
    failed = written < 0 ? errno : ENOSPC;
  } else if (fsync(file) != 0) {
    failed = errno;
  }
  close(file);
  return failed != 0 ? ErrnoError(failed, "write " + path) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<StateFolder> StateFolder::Open(const std::string& path) {
  std::error_code error;
  const std::string absolute = fs::absolute(path, error).lexically_normal().string();
  fs::create_directories(absolute + "/attempts", error);
  if (!error) fs::create_directories(absolute + "/logs", error);
  if (error) {
    return ErrnoError(error.value(), "make state folder " + absolute +
                                         " (choose one this user may write with --state)");
  }
  StateFolder state(absolute);
  state.lock_ = open((absolute + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (state.lock_ < 0) return ErrnoError(errno, "open " + absolute + "/lock");
  if (flock(state.lock_, LOCK_EX | LOCK_NB) != 0) {
    return AlreadyExists(
        "state folder {}: another muster-worker uses it (its lock is held); stop "
        "that one, or give this one its own --state",
        absolute);
  }
  MUSTER_ASSIGN_OR_RETURN(state.epoch_, state.ReadNumber("epoch"));
  // Without a second line: written by a version that knew no nonce.
  if (!ParseNumber(SecondLine(absolute + "/epoch"), &state.epoch_nonce_)) state.epoch_nonce_ = 0;
  MUSTER_ASSIGN_OR_RETURN(const uint64_t lives, state.ReadNumber("incarnation"));
  state.cluster_id_ = FirstLine(absolute + "/cluster_id");
  state.incarnation_ = lives + 1;
  MUSTER_RETURN_IF_ERROR(state.Write("incarnation", std::to_string(state.incarnation_)));
  return state;
}

StateFolder::StateFolder(StateFolder&& other) noexcept
    : path_(std::move(other.path_)),
      lock_(std::exchange(other.lock_, -1)),
      incarnation_(other.incarnation_),
      epoch_(other.epoch_),
      epoch_nonce_(other.epoch_nonce_),
      cluster_id_(std::move(other.cluster_id_)) {}

StateFolder::~StateFolder() {
  if (lock_ >= 0) close(lock_);
}

absl::StatusOr<uint64_t> StateFolder::ReadNumber(const std::string& name) const {
  const std::string path = path_ + "/" + name;
  std::error_code error;
  if (!fs::exists(path, error)) return uint64_t{0};
  uint64_t number = 0;
  if (!ParseNumber(FirstLine(path), &number)) {
    return DataLoss(
        "read {}: not a number; if this node's ranks are all gone, remove the state "
        "folder and start the worker again",
        path);
  }
  return number;
}

absl::Status StateFolder::Write(const std::string& name, const std::string& line) {
  const std::string path = path_ + "/" + name;
  MUSTER_RETURN_IF_ERROR(WriteSynced(path + ".new", line + "\n"));
  if (rename((path + ".new").c_str(), path.c_str()) != 0) {
    return ErrnoError(errno, "replace " + path);
  }
  return SyncFolder(path_);
}

absl::Status StateFolder::RecordEpoch(uint64_t epoch, uint64_t nonce) {
  MUSTER_RETURN_IF_ERROR(Write("epoch", fmt::format("{}\n{}", epoch, nonce)));
  epoch_ = epoch;
  epoch_nonce_ = nonce;
  return absl::OkStatus();
}

absl::Status StateFolder::RecordClusterId(const std::string& cluster_id) {
  MUSTER_RETURN_IF_ERROR(Write("cluster_id", cluster_id));
  cluster_id_ = cluster_id;
  return absl::OkStatus();
}

absl::Status StateFolder::WriteAddress(const std::string& host, int port) {
  MUSTER_RETURN_IF_ERROR(Write("port", std::to_string(port)));
  return Write("address", fmt::format("{}:{}", host, port));
}

void StateFolder::RemoveAddress() { unlink((path_ + "/address").c_str()); }

std::string StateFolder::AttemptFolder(const core::AttemptKey& key) const {
  return path_ + "/attempts/" + core::AttemptName(key);
}

std::vector<core::AttemptKey> StateFolder::Attempts() const {
  std::vector<core::AttemptKey> keys;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path_ + "/attempts", error)) {
    const std::string name = entry.path().filename().string();
    const size_t dot = name.find('.');
    uint64_t job = 0;
    uint64_t attempt = 0;
    if (dot != std::string::npos && ParseNumber(name.substr(0, dot), &job) &&
        ParseNumber(name.substr(dot + 1), &attempt)) {
      keys.push_back({JobId(job), AttemptNumber(attempt)});
    }
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

}  // namespace muster::worker::daemon
