#include "checkpoint/slot_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <utility>

#include "common/status.h"

namespace muster::checkpoint {
namespace {

// Closes at the end of the scope.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

// A file of another size goes by its name only: whoever has it mapped may go on reading.
absl::Status RemoveOtherSize(const std::string& path, uint64_t bytes) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoError(errno, "look at " + path);
  }
  if (S_ISREG(info.st_mode) && static_cast<uint64_t>(info.st_size) == bytes) {
    return absl::OkStatus();
  }
  return ::unlink(path.c_str()) == 0 ? absl::OkStatus() : ErrnoError(errno, "remove " + path);
}

absl::Status BackWithMemory(int fd, const std::string& path, uint64_t bytes) {
  int error = EINTR;
  while (error == EINTR) error = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  if (error == 0) return absl::OkStatus();
  ::unlink(path.c_str());
  return ErrnoError(error, fmt::format("RAM slot {} of {} bytes", path, bytes));
}

}  // namespace

std::string SlotFileName(uint32_t rank, char letter) {
  return fmt::format("r{:05}.{}", rank, letter);
}

std::optional<SlotFileId> ParseSlotFileName(std::string_view name) {
  SlotFileId id;
  if (name.size() < 8 || name.front() != 'r' || name[name.size() - 2] != '.') return std::nullopt;
  id.letter = name.back();
  const char* const end = name.data() + name.size() - 2;
  const auto [at, error] = std::from_chars(name.data() + 1, end, id.rank);
  if (error != std::errc() || at != end || SlotFileName(id.rank, id.letter) != name) {
    return std::nullopt;
  }
  for (const char letter : kSlotLetters) {
    if (letter == id.letter) return id;
  }
  return std::nullopt;
}

SlotFile::~SlotFile() { Unmap(); }

SlotFile::SlotFile(SlotFile&& other) noexcept { *this = std::move(other); }

SlotFile& SlotFile::operator=(SlotFile&& other) noexcept {
  if (this == &other) return *this;
  Unmap();
  path_ = std::move(other.path_);
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  slot_ = std::exchange(other.slot_, RamSlot());
  return *this;
}

void SlotFile::Unmap() {
  if (data_ != nullptr) ::munmap(data_, size_);
  data_ = nullptr;
  size_ = 0;
}

absl::StatusOr<SlotFile> SlotFile::Map(int fd, const std::string& path, uint64_t bytes) {
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return ErrnoError(errno, fmt::format("map {}", path));
  ::madvise(data, bytes, MADV_HUGEPAGE);  // a wish
  SlotFile file;
  file.path_ = path;
  file.data_ = static_cast<std::byte*>(data);
  file.size_ = bytes;
  file.slot_ = RamSlot({file.data_, file.size_});
  return file;
}

absl::StatusOr<SlotFile> SlotFile::Reserve(const std::string& path, uint64_t bytes) {
  MUSTER_RETURN_IF_ERROR(RemoveOtherSize(path, bytes));
  const Descriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (fd.get() < 0) return ErrnoError(errno, "make the RAM slot " + path);
  MUSTER_RETURN_IF_ERROR(BackWithMemory(fd.get(), path, bytes));
  MUSTER_ASSIGN_OR_RETURN(SlotFile file, Map(fd.get(), path, bytes));
#ifdef MADV_POPULATE_WRITE
  // The pages are there; this only fills in our page table, so that the first save runs at the
  // speed of the next ones.
  ::madvise(file.data_, file.size_, MADV_POPULATE_WRITE);
#endif
  return file;
}

void SlotFile::Nudge() const { ::utimensat(AT_FDCWD, path_.c_str(), nullptr, 0); }

absl::StatusOr<SlotFile> SlotFile::Open(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (fd.get() < 0) return ErrnoError(errno, "open the RAM slot " + path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode) ||
      static_cast<uint64_t>(info.st_size) < kSlotPageBytes) {
    return DataLoss("{}: not a RAM slot", path);
  }
  return Map(fd.get(), path, static_cast<uint64_t>(info.st_size));
}

}  // namespace muster::checkpoint
