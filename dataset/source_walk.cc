#include "dataset/source_walk.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "common/status.h"
#include "dataset/digest.h"

namespace muster::dataset {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kPartBytes = 64 << 10;

std::string Stamp(const std::string& name, const struct stat& info) {
  return fmt::format("{}\n{} {}.{:09}\n", name, info.st_size, info.st_mtim.tv_sec,
                     info.st_mtim.tv_nsec);
}

bool Matches(const std::string& name, const std::vector<std::string>& globs) {
  return std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) {
    return ::fnmatch(glob.c_str(), name.c_str(), FNM_PERIOD) == 0;
  });
}

absl::StatusOr<std::string> ReadRange(const std::string& path, uint64_t offset, uint64_t bytes) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoError(errno, fmt::format("open {}", path));
  std::string text(bytes, '\0');
  uint64_t done = 0;
  int error = 0;
  while (done < bytes) {
    const ssize_t n =
        ::pread(fd, text.data() + done, bytes - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) error = errno;
    if (n <= 0) break;
    done += static_cast<uint64_t>(n);
  }
  ::close(fd);
  if (error != 0) return ErrnoError(error, fmt::format("read {}", path));
  if (done != bytes) {
    return FailedPrecondition("read {}: it became shorter meanwhile; run it again", path);
  }
  return text;
}

// One file as documents of about kPartBytes, each ending at a line end where there is one.
absl::StatusOr<Source> CutFile(const std::string& path, const struct stat& info) {
  Source source;
  const uint64_t size = static_cast<uint64_t>(info.st_size);
  const std::string name = fs::path(path).filename().string();
  uint64_t begin = 0;
  while (begin < size) {
    uint64_t bytes = std::min(kPartBytes, size - begin);
    if (begin + bytes < size) {
      MUSTER_ASSIGN_OR_RETURN(const std::string text, ReadRange(path, begin, bytes));
      const size_t line_end = text.rfind('\n');
      if (line_end != std::string::npos) {
        bytes = line_end + 1;
      } else {
        // Not inside a character.
        while (bytes > 1 && (static_cast<unsigned char>(text[bytes - 1]) & 0xc0) == 0x80) --bytes;
        if (bytes > 1 && (static_cast<unsigned char>(text[bytes - 1]) & 0x80) != 0) --bytes;
      }
    }
    source.documents.push_back(
        {fmt::format("{}#{:06}", name, source.documents.size()), path, begin, bytes});
    begin += bytes;
  }
  source.bytes = size;
  source.fingerprint = Sha256Hex(Stamp(name, info));
  return source;
}

}  // namespace

absl::StatusOr<Source> WalkSource(const std::string& path, const std::vector<std::string>& globs) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    return ErrnoError(errno, fmt::format("read the source {}", path));
  }
  if (S_ISREG(info.st_mode)) return CutFile(path, info);
  if (!S_ISDIR(info.st_mode)) return InvalidArgument("source {} is no folder and no file", path);

  Source source;
  std::vector<std::pair<std::string, struct stat>> found;
  std::error_code error;
  fs::recursive_directory_iterator walk(path, fs::directory_options::skip_permission_denied, error);
  for (; !error && walk != fs::recursive_directory_iterator(); walk.increment(error)) {
    const fs::path& file = walk->path();
    struct stat one {};
    if (::lstat(file.c_str(), &one) != 0 || !S_ISREG(one.st_mode)) continue;
    if (!Matches(file.filename().string(), globs)) continue;
    found.emplace_back(file.lexically_relative(path).string(), one);
  }
  if (error) return ErrnoError(error.value(), fmt::format("walk {}", path));
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string stamps;
  for (const auto& [name, one] : found) {
    const uint64_t bytes = static_cast<uint64_t>(one.st_size);
    source.documents.push_back({name, path + "/" + name, 0, bytes});
    source.bytes += bytes;
    stamps += Stamp(name, one);
  }
  if (source.documents.empty()) {
    return NotFound("source {}: no file matches {}; name others with --glob", path,
                    fmt::join(globs, " "));
  }
  source.fingerprint = Sha256Hex(stamps);
  return source;
}

size_t Utf8Length(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  auto tail = [&](size_t i) { return i < text.size() && (byte(i) & 0xc0) == 0x80; };
  if (text.empty()) return 0;
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xc2) return 0;
  if (first < 0xe0) return tail(1) ? 2 : 0;
  if (first < 0xf0) {
    if (!tail(1) || !tail(2)) return 0;
    if (first == 0xe0 && byte(1) < 0xa0) return 0;  // overlong
    if (first == 0xed && byte(1) > 0x9f) return 0;  // surrogate
    return 3;
  }
  if (first > 0xf4 || !tail(1) || !tail(2) || !tail(3)) return 0;
  if (first == 0xf0 && byte(1) < 0x90) return 0;
  if (first == 0xf4 && byte(1) > 0x8f) return 0;  // past U+10FFFF
  return 4;
}

TextKind ClassifyText(std::string_view bytes) {
  if (bytes.empty()) return TextKind::kEmpty;
  if (bytes.find('\0') != std::string_view::npos) return TextKind::kBinary;
  while (!bytes.empty()) {
    const size_t length = Utf8Length(bytes);
    if (length == 0) return TextKind::kNotUtf8;
    bytes.remove_prefix(length);
  }
  return TextKind::kText;
}

absl::StatusOr<std::string> ReadDocument(const Document& document) {
  return ReadRange(document.path, document.offset, document.bytes);
}

}  // namespace muster::dataset
