#include "dataset/token_shard.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/status.h"
#include "dataset/digest.h"
#include "dataset/file.h"

namespace muster::dataset {
namespace {

static_assert(std::endian::native == std::endian::little, "tokens are stored little-endian");

constexpr char kMagic[8] = {'M', 'U', 'S', 'T', 'R', 'T', 'O', 'K'};
constexpr uint32_t kVersion = 1;
constexpr uint32_t kTokenBytes = 2;
constexpr const char* kWhatToDo = "run `muster data prepare` again";

using Header = std::array<std::byte, kShardHeaderBytes>;

template <typename T>
void Put(Header& header, size_t at, T value) {
  std::memcpy(header.data() + at, &value, sizeof value);
}
template <typename T>
T Get(const std::byte* header, size_t at) {
  T value;
  std::memcpy(&value, header + at, sizeof value);
  return value;
}

Header MakeHeader(std::span<const uint16_t> tokens) {
  Header header{};
  std::memcpy(header.data(), kMagic, sizeof kMagic);
  Put(header, 8, kVersion);
  Put(header, 12, kTokenBytes);
  Put(header, 16, static_cast<uint64_t>(tokens.size()));
  Put(header, 24, Crc32c(std::as_bytes(tokens)));
  Put(header, 28, Crc32c(std::span<const std::byte>(header).first(28)));
  return header;
}

absl::Status CheckHeader(const std::string& path, std::span<const std::byte> file,
                         uint64_t tokens) {
  const uint64_t expected = kShardHeaderBytes + tokens * kTokenBytes;
  if (file.size() != expected) {
    return DataLoss("{}: {} bytes, dataset.json says {}: damaged or changed; {}", path, file.size(),
                    expected, kWhatToDo);
  }
  const std::byte* header = file.data();
  bool zeros = true;
  for (size_t i = 32; i < kShardHeaderBytes; ++i) zeros = zeros && header[i] == std::byte{0};
  if (std::memcmp(header, kMagic, sizeof kMagic) != 0 || !zeros ||
      Get<uint32_t>(header, 28) != Crc32c(file.first(28))) {
    return DataLoss("{}: its header is damaged; {}", path, kWhatToDo);
  }
  if (Get<uint32_t>(header, 8) != kVersion || Get<uint32_t>(header, 12) != kTokenBytes) {
    return DataLoss("{}: format version {}, this program reads {}; {}", path,
                    Get<uint32_t>(header, 8), kVersion, kWhatToDo);
  }
  if (Get<uint64_t>(header, 16) != tokens) {
    return DataLoss("{}: {} tokens, dataset.json says {}; {}", path, Get<uint64_t>(header, 16),
                    tokens, kWhatToDo);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> WriteTokenShard(const std::string& folder, const std::string& name,
                                            std::span<const uint16_t> tokens) {
  const Header header = MakeHeader(tokens);
  const std::array<std::span<const std::byte>, 2> parts = {std::span<const std::byte>(header),
                                                           std::as_bytes(tokens)};
  MUSTER_RETURN_IF_ERROR(WriteFileDurably(folder, name, parts));
  return Sha256Hex(parts);
}

absl::StatusOr<TokenShard> TokenShard::Open(const std::string& path, uint64_t tokens) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    return Annotate(ErrnoError(errno, fmt::format("open token shard {}", path)),
                    fmt::format("dataset is incomplete, {}", kWhatToDo));
  }
  struct stat info {};
  void* data = MAP_FAILED;
  if (::fstat(fd, &info) == 0 && info.st_size >= static_cast<off_t>(kShardHeaderBytes)) {
    data = ::mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_SHARED, fd, 0);
  }
  const int error = errno;
  ::close(fd);
  if (info.st_size < static_cast<off_t>(kShardHeaderBytes)) {
    return DataLoss("{}: {} bytes are no token shard; {}", path, info.st_size, kWhatToDo);
  }
  if (data == MAP_FAILED) return ErrnoError(error, fmt::format("map {}", path));
  TokenShard shard;
  shard.path_ = path;
  shard.data_ = static_cast<const std::byte*>(data);
  shard.size_ = static_cast<uint64_t>(info.st_size);
  MUSTER_RETURN_IF_ERROR(CheckHeader(path, shard.file_bytes(), tokens));
  return shard;
}

TokenShard::TokenShard(TokenShard&& other) noexcept { *this = std::move(other); }

TokenShard& TokenShard::operator=(TokenShard&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

TokenShard::~TokenShard() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

std::span<const uint16_t> TokenShard::tokens() const {
  return {reinterpret_cast<const uint16_t*>(data_ + kShardHeaderBytes),
          (size_ - kShardHeaderBytes) / kTokenBytes};
}

std::span<const std::byte> TokenShard::file_bytes() const { return {data_, size_}; }

absl::Status TokenShard::VerifyTokens() const {
  if (Crc32c(std::as_bytes(tokens())) != Get<uint32_t>(data_, 24)) {
    return DataLoss("{}: its tokens are damaged; {}", path_, kWhatToDo);
  }
  return absl::OkStatus();
}

}  // namespace muster::dataset
