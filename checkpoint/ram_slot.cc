#include "checkpoint/ram_slot.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <climits>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "checkpoint/digest.h"
#include "checkpoint/strict_json.h"
#include "common/check.h"
#include "common/status.h"

namespace muster::checkpoint {
namespace {

constexpr char kMagic[8] = {'M', 'U', 'S', 'T', 'S', 'L', 'O', 'T'};
constexpr uint32_t kVersion = 1;
// Beside the digest: the run's state (a model's shape, some digests) and the checkpoint folder.
constexpr uint64_t kRunBytesMax = 64u << 10;

static_assert(std::endian::native == std::endian::little, "slots are little endian");
static_assert(std::atomic<uint32_t>::is_always_lock_free, "words are shared between processes");

uint64_t RoundUp(uint64_t bytes) {
  return (bytes + kSlotPageBytes - 1) / kSlotPageBytes * kSlotPageBytes;
}

// Room for the metadata of any content of this layout: the longest checksums there are.
uint64_t ImageBegin(const ShardLayout& layout) {
  ShardDigest digest{{layout.name, layout.bytes, {}}, layout.pieces};
  const uint64_t chunks = (layout.bytes + kChunkBytes - 1) / kChunkBytes;
  digest.file.chunk_crc32c.assign(chunks, std::numeric_limits<uint32_t>::max());
  return kSlotPageBytes + RoundUp(SerializeDigest(digest).size() + kRunBytesMax);
}

timespec TimeOf(int ms) { return {ms / 1000, (ms % 1000) * 1'000'000L}; }

}  // namespace

// The bytes of docs/formats/ram_slot.md. `crc32c` covers what stands before it; what follows it
// changes while the slot is sealed.
struct RamSlot::Header {
  char magic[8];
  uint32_t version;
  uint32_t rank;
  uint32_t world_size;
  uint32_t reserved;
  uint64_t step;
  uint64_t attempt;
  uint64_t metadata_begin;
  uint64_t metadata_bytes;
  uint64_t image_begin;
  uint64_t image_bytes;
  uint32_t metadata_crc32c;
  char job_uid[kSlotUidBytesMax + 1];
  uint8_t room[508 - 204];
  uint32_t crc32c;
  // Words that change.
  uint32_t state;
  uint32_t marks;
  uint32_t holds;
  uint32_t resumes;
  uint32_t drain_code;
  uint32_t drain_bytes;
  char drain_error[kSlotErrorBytesMax + 1];
  uint64_t adopted_by;
};

namespace {

constexpr size_t kChecked = 508;  // bytes under the header's checksum
constexpr size_t kState = 512, kMarks = 516, kHolds = 520, kResumes = 524;

}  // namespace

RamSlot::Header* RamSlot::header() const {
  static_assert(offsetof(Header, job_uid) == 76 && offsetof(Header, crc32c) == kChecked);
  static_assert(offsetof(Header, state) == kState && offsetof(Header, marks) == kMarks);
  static_assert(offsetof(Header, holds) == kHolds && offsetof(Header, resumes) == kResumes);
  static_assert(offsetof(Header, adopted_by) == 1016);
  static_assert(sizeof(Header) <= kSlotPageBytes);
  return reinterpret_cast<Header*>(bytes_.data());
}

// The mapping is shared with other processes, which see plain words.
std::atomic<uint32_t>& RamSlot::Word(size_t offset) const {
  return *reinterpret_cast<std::atomic<uint32_t>*>(bytes_.data() + offset);
}

void XorBytes(std::span<std::byte> to, std::span<const std::byte> from) {
  CHECK(to.size() == from.size(), "{} bytes onto {}", from.size(), to.size());
  size_t at = 0;
  for (uint64_t a, b; at + sizeof(a) <= to.size(); at += sizeof(a)) {
    std::memcpy(&a, to.data() + at, sizeof(a));
    std::memcpy(&b, from.data() + at, sizeof(b));
    a ^= b;
    std::memcpy(to.data() + at, &a, sizeof(a));
  }
  for (; at < to.size(); ++at) to[at] ^= from[at];
}

uint64_t SlotBytes(const ShardLayout& layout) { return ImageBegin(layout) + RoundUp(layout.bytes); }

SlotState RamSlot::state() const {
  if (bytes_.size() < kSlotPageBytes) return SlotState::kEmpty;
  const uint32_t word = Word(kState).load();
  return word > static_cast<uint32_t>(SlotState::kSealed) ? SlotState::kEmpty
                                                          : static_cast<SlotState>(word);
}

uint32_t RamSlot::marks() const { return Word(kMarks).load(); }
uint64_t RamSlot::step() const { return header()->step; }

bool RamSlot::awaits_drain() const {
  const uint32_t now = marks();
  return (now & kSlotDrainWanted) != 0 && (now & (kSlotPersisted | kSlotDrainGivenUp)) == 0 &&
         state() == SlotState::kSealed;
}

bool RamSlot::awaits_replica() const {
  const uint32_t now = marks();
  return (now & kSlotReplicaWanted) != 0 && (now & (kSlotReplicated | kSlotReplicaGivenUp)) == 0 &&
         state() == SlotState::kSealed;
}

bool RamSlot::held_by(SlotHold by) const { return (Word(kHolds).load() & by) != 0; }

bool RamSlot::held() const {
  return Word(kHolds).load() != 0 || awaits_drain() || awaits_replica();
}

absl::Status RamSlot::BeginFill(const SlotId& id, const ShardLayout& layout) {
  if (id.job_uid.size() > kSlotUidBytesMax) {
    return InvalidArgument("RAM slot: a job's uid of {} bytes", id.job_uid.size());
  }
  const uint64_t needed = SlotBytes(layout);
  if (needed > bytes_.size()) {
    return ResourceExhausted("RAM slot of {} bytes: step {} needs {}", bytes_.size(), id.step,
                             needed);
  }
  MUSTER_RETURN_IF_ERROR(TakeForWriting());
  id_ = id;
  image_begin_ = ImageBegin(layout);
  image_bytes_ = layout.bytes;
  return absl::OkStatus();
}

absl::Status RamSlot::TakeForWriting() {
  const uint32_t before = Word(kState).load();
  if (held()) return Unavailable("RAM slot of step {} is still being read", header()->step);
  Word(kState).store(static_cast<uint32_t>(SlotState::kFilling));
  // Whoever set its hold before that store is seen here; whoever sets it after sees the store.
  if (Word(kHolds).load() != 0) {
    Word(kState).store(before);
    return Unavailable("RAM slot of step {} is still being read", header()->step);
  }
  // So that no state, however it came about, makes the old header speak for the new bytes.
  std::memset(bytes_.data(), 0, kState);
  std::memset(bytes_.data() + kMarks, 0, sizeof(uint32_t));
  std::memset(bytes_.data() + kResumes, 0, kSlotPageBytes - kResumes);
  return absl::OkStatus();
}

absl::Status RamSlot::BeginCopy() { return TakeForWriting(); }

template <typename Write>
absl::Status RamSlot::Into(uint64_t offset, std::span<const std::byte> data, const Write& write) {
  CHECK(state() == SlotState::kFilling, "bytes are copied into a slot that is not being filled");
  if (offset > bytes_.size() || data.size() > bytes_.size() - offset) {
    return InvalidArgument("RAM slot of {} bytes: {} bytes at {}", bytes_.size(), data.size(),
                           offset);
  }
  const auto part = [&](uint64_t begin, uint64_t end) {
    const uint64_t from = std::max(offset, begin);
    const uint64_t to = std::min(offset + data.size(), end);
    if (from < to) write(bytes_.subspan(from, to - from), data.subspan(from - offset, to - from));
  };
  part(0, kWordsBegin);
  part(kWordsEnd, bytes_.size());
  return absl::OkStatus();
}

absl::Status RamSlot::CopyIn(uint64_t offset, std::span<const std::byte> data) {
  return Into(offset, data, [](std::span<std::byte> to, std::span<const std::byte> from) {
    std::memcpy(to.data(), from.data(), from.size());
  });
}

absl::Status RamSlot::XorIn(uint64_t offset, std::span<const std::byte> data) {
  return Into(offset, data, XorBytes);
}

absl::Status RamSlot::SealCopy(const SlotId& wanted, uint64_t adopted_by, uint32_t resumes) {
  CHECK(state() == SlotState::kFilling, "a copy is sealed that is not being filled");
  MUSTER_ASSIGN_OR_RETURN(const SlotContent content, Parse());
  if (content.id != wanted) {
    return DataLoss("RAM slot: step {} of rank {} came, step {} of rank {} was announced",
                    content.id.step, content.id.rank, wanted.step, wanted.rank);
  }
  MUSTER_RETURN_IF_ERROR(VerifyImage(content));
  Adopt(adopted_by, resumes);
  Word(kMarks).store(0);
  Word(kState).store(static_cast<uint32_t>(SlotState::kSealed));
  return absl::OkStatus();
}

std::span<std::byte> RamSlot::image() { return bytes_.subspan(image_begin_, image_bytes_); }

absl::Status RamSlot::Seal(const ShardDigest& digest, const RunState& run, const std::string& root,
                           const SlotWants& wants) {
  CHECK(state() == SlotState::kFilling && image_begin_ > 0, "a slot is sealed that is not filled");
  if (digest.file.size != image_bytes_ ||
      digest.file.name != "data/" + WriterName(id_.rank) + ".safetensors") {
    return InvalidArgument("RAM slot of rank {}: sealed with the digest of {}, {} bytes", id_.rank,
                           digest.file.name, digest.file.size);
  }
  MUSTER_ASSIGN_OR_RETURN(nlohmann::json shard, ParseJson(SerializeDigest(digest), "digest"));
  MUSTER_ASSIGN_OR_RETURN(nlohmann::json state, ParseJson(RunStateText(run), "run"));
  const std::string text =
      JsonText({{"digest", std::move(shard)}, {"root", root}, {"run", std::move(state)}});
  if (kSlotPageBytes + text.size() > image_begin_) {
    return InvalidArgument("RAM slot of rank {}: {} bytes of metadata, room for {}", id_.rank,
                           text.size(), image_begin_ - kSlotPageBytes);
  }
  std::memcpy(bytes_.data() + kSlotPageBytes, text.data(), text.size());
  Header head{};
  std::memcpy(head.magic, kMagic, sizeof(kMagic));
  head.version = kVersion;
  head.rank = id_.rank;
  head.world_size = id_.world_size;
  head.step = id_.step;
  head.attempt = id_.attempt;
  head.metadata_begin = kSlotPageBytes;
  head.metadata_bytes = text.size();
  head.metadata_crc32c = Crc32c(0, std::as_bytes(std::span(text)));
  head.image_begin = image_begin_;
  head.image_bytes = image_bytes_;
  std::memcpy(head.job_uid, id_.job_uid.data(), id_.job_uid.size());
  head.crc32c = Crc32c(0, std::as_bytes(std::span(&head, 1)).first(kChecked));
  std::memcpy(bytes_.data(), &head, kState);
  Word(kMarks).store((wants.drain ? kSlotDrainWanted : 0u) |
                     (wants.replica ? kSlotReplicaWanted : 0u));
  Word(kState).store(static_cast<uint32_t>(SlotState::kSealed));
  image_begin_ = image_bytes_ = 0;
  return absl::OkStatus();
}

absl::StatusOr<SlotContent> RamSlot::Read() const {
  if (state() != SlotState::kSealed) return NotFound("RAM slot: nothing is sealed in it");
  return Parse();
}

absl::StatusOr<SlotContent> RamSlot::Parse() const {
  Header head;
  std::memcpy(static_cast<void*>(&head), bytes_.data(), sizeof(head));
  if (std::memcmp(head.magic, kMagic, sizeof(kMagic)) != 0 || head.version != kVersion) {
    return DataLoss("RAM slot: not a slot of version {}", kVersion);
  }
  if (Crc32c(0, std::as_bytes(std::span(&head, 1)).first(kChecked)) != head.crc32c) {
    return DataLoss("RAM slot: its header is damaged");
  }
  SlotContent content;
  content.id = {std::string(head.job_uid, strnlen(head.job_uid, kSlotUidBytesMax)), head.step,
                head.attempt, head.rank, head.world_size};
  content.image_begin = head.image_begin;
  const uint64_t size = bytes_.size();
  const bool inside = head.metadata_begin == kSlotPageBytes && head.image_begin <= size &&
                      head.image_begin % kSlotPageBytes == 0 &&
                      head.image_begin >= kSlotPageBytes &&
                      head.metadata_bytes <= head.image_begin - kSlotPageBytes &&
                      head.image_bytes <= size - head.image_begin;
  if (!inside) {
    return DataLoss("RAM slot of step {}: {} bytes long, shorter than its header says", head.step,
                    size);
  }
  const auto metadata =
      std::span<const std::byte>(bytes_).subspan(head.metadata_begin, head.metadata_bytes);
  if (Crc32c(0, metadata) != head.metadata_crc32c) {
    return DataLoss("RAM slot of step {}: its metadata is damaged", head.step);
  }
  const std::string_view text(reinterpret_cast<const char*>(metadata.data()), metadata.size());
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(text, "RAM slot's metadata"));
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json* digest, ObjectField(json, "digest"));
  MUSTER_ASSIGN_OR_RETURN(content.digest, ParseDigest(JsonText(*digest)));
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json* run, ObjectField(json, "run"));
  MUSTER_ASSIGN_OR_RETURN(content.run, ParseRunState(JsonText(*run)));
  MUSTER_ASSIGN_OR_RETURN(content.root, TextField(json, "root"));
  if (content.digest.file.size != head.image_bytes) {
    return DataLoss("RAM slot of step {}: {} bytes in its header, {} in its digest", head.step,
                    head.image_bytes, content.digest.file.size);
  }
  return content;
}

std::span<const std::byte> RamSlot::image(const SlotContent& content) const {
  return std::span<const std::byte>(bytes_).subspan(content.image_begin, content.digest.file.size);
}

absl::Status RamSlot::VerifyImage(const SlotContent& content) const {
  ChunkCrc crc;
  crc.Add(image(content));
  const std::vector<uint32_t> found = crc.Finish();
  const std::vector<uint32_t>& wanted = content.digest.file.chunk_crc32c;
  const size_t chunks = std::min(found.size(), wanted.size());
  for (size_t i = 0; i < chunks; ++i) {
    if (found[i] != wanted[i]) {
      return DataLoss("RAM slot of step {}: bytes {}-{} of {} are damaged", content.id.step,
                      i * kChunkBytes, std::min((i + 1) * kChunkBytes, content.digest.file.size),
                      content.digest.file.name);
    }
  }
  if (found.size() != wanted.size()) {
    return DataLoss("RAM slot of step {}: {} chunks, {} checksums", content.id.step, found.size(),
                    wanted.size());
  }
  return absl::OkStatus();
}

bool RamSlot::Hold(SlotHold by) {
  if (bytes_.size() < kSlotPageBytes) return false;
  Word(kHolds).fetch_or(by);
  if (state() == SlotState::kSealed) return true;
  Release(by);
  return false;
}

void RamSlot::Release(SlotHold by) { Word(kHolds).fetch_and(~static_cast<uint32_t>(by)); }

void RamSlot::Mark(SlotMark mark) {
  Word(kMarks).fetch_or(mark);
  syscall(SYS_futex, &Word(kMarks), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void RamSlot::GiveUpDrain(const absl::Status& why) {
  const std::string text(why.message().substr(0, kSlotErrorBytesMax));
  std::memcpy(header()->drain_error, text.data(), text.size());
  header()->drain_bytes = static_cast<uint32_t>(text.size());
  header()->drain_code = static_cast<uint32_t>(why.code());
  Mark(kSlotDrainGivenUp);
}

absl::Status RamSlot::DrainError() const {
  if ((marks() & kSlotDrainGivenUp) == 0) return absl::OkStatus();
  const Header& head = *header();
  const auto code = static_cast<absl::StatusCode>(head.drain_code);
  const std::string text(head.drain_error, std::min<size_t>(head.drain_bytes, kSlotErrorBytesMax));
  return absl::Status(code == absl::StatusCode::kOk ? absl::StatusCode::kUnknown : code, text);
}

uint32_t RamSlot::WaitForMark(uint32_t wanted, int timeout_ms) const {
  const uint32_t now = marks();
  if ((now & wanted) != 0) return now;
  const timespec timeout = TimeOf(timeout_ms);
  syscall(SYS_futex, &Word(kMarks), FUTEX_WAIT, now, &timeout, nullptr, 0);
  return marks();
}

void RamSlot::GoOn(uint64_t attempt, bool replica) {
  Adopt(attempt, resumes() + 1);
  if (replica) WantReplica();
}

void RamSlot::WantReplica() {
  uint32_t before = marks();
  uint32_t after = 0;
  do {
    after = (before & ~uint32_t{kSlotReplicated | kSlotReplicaGivenUp}) | kSlotReplicaWanted;
  } while (!Word(kMarks).compare_exchange_weak(before, after));
}

void RamSlot::Adopt(uint64_t adopted_by, uint32_t resumes) {
  std::atomic_ref<uint64_t>(header()->adopted_by).store(adopted_by);
  Word(kResumes).store(resumes);
}

void RamSlot::ForgetResumes(bool replica) {
  Word(kResumes).store(0);
  if (replica) WantReplica();
}

uint32_t RamSlot::resumes() const { return Word(kResumes).load(); }
uint64_t RamSlot::adopted_by() const {
  return std::atomic_ref<uint64_t>(header()->adopted_by).load();
}

}  // namespace muster::checkpoint
