#include "worker/shim/rank_log.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "common/status.h"

namespace muster::worker::shim {
namespace {

// Length of the UTF-8 sequence that begins at `at`, 0 if it is none.
size_t SequenceLength(const std::string& text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xF5   ? 0
                        : first >= 0xF0 ? 4
                        : first >= 0xE0 ? 3
                        : first >= 0xC2 ? 2
                                        : 0;
  if (length == 0 || at + length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what lies beyond Unicode.
  const unsigned char second = byte(at + 1);
  if (first == 0xE0 && second < 0xA0) return 0;
  if (first == 0xED && second > 0x9F) return 0;
  if (first == 0xF0 && second < 0x90) return 0;
  if (first == 0xF4 && second > 0x8F) return 0;
  return length;
}

std::string Printable(const std::string& line) {
  std::string out;
  for (size_t at = 0; at < line.size();) {
    const size_t length = SequenceLength(line, at);
    const bool control = length == 1 && static_cast<unsigned char>(line[at]) < 0x20 &&
                         line[at] != '\t' && line[at] != '\x1b';
    if (length == 0 || control) {
      if (line[at] != '\r') out += '?';
      ++at;
    } else {
      out.append(line, at, length);
      at += length;
    }
  }
  return out;
}

}  // namespace

LogFile::LogFile(std::string path, uint64_t bytes_max)
    : path_(std::move(path)), bytes_max_(bytes_max) {
  Open();
}

LogFile::~LogFile() {
  if (fd_ >= 0) close(fd_);
}

void LogFile::Open() {
  fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  struct stat info = {};
  size_ = fd_ >= 0 && fstat(fd_, &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
}

void LogFile::Drop(size_t size, int error) {
  if (dropped_bytes_ == 0) {
    spdlog::warn("{}: output is dropped: {}; the ranks run on", path_, std::strerror(error));
  }
  dropped_bytes_ += size;
}

void LogFile::Append(const char* bytes, size_t size) {
  if (bytes_max_ > 0 && size_ > 0 && size_ + size > bytes_max_) {
    if (fd_ >= 0) close(fd_);
    std::rename(path_.c_str(), (path_ + ".1").c_str());
    Open();
  }
  if (fd_ < 0) Open();
  if (fd_ < 0) return Drop(size, errno);
  while (size > 0) {
    const ssize_t written = write(fd_, bytes, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return Drop(size, written < 0 ? errno : EIO);
    bytes += written;
    size -= static_cast<size_t>(written);
    size_ += static_cast<uint64_t>(written);
  }
}

void LastLines::Finish(std::string* line) {
  lines_.push_back(Printable(*line));
  if (lines_.size() > kLastLinesMax) lines_.pop_front();
  line->clear();
}

void LastLines::Add(size_t stream, const char* bytes, size_t size) {
  std::string& line = open_lines_[stream];
  for (size_t i = 0; i < size; ++i) {
    if (bytes[i] == '\n') {
      Finish(&line);
    } else if (line.size() < kLineBytesMax) {
      line += bytes[i];
    }
  }
}

std::vector<std::string> LastLines::All() const {
  std::vector<std::string> all(lines_.begin(), lines_.end());
  for (const std::string& line : open_lines_) {
    if (!line.empty()) all.push_back(Printable(line));
  }
  if (all.size() > kLastLinesMax) {
    all.erase(all.begin(), all.end() - static_cast<std::ptrdiff_t>(kLastLinesMax));
  }
  return all;
}

absl::Status MakeFolders(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return ErrnoError(error.value(), "create folder " + folder);
  return absl::OkStatus();
}

}  // namespace muster::worker::shim
