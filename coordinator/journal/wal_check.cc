#include "coordinator/journal/wal_check.h"

#include <array>
#include <fstream>
#include <vector>

#include "common/status.h"

namespace muster::coordinator::journal {
namespace {

constexpr size_t kHeaderBytes = 32;
constexpr size_t kFrameHeaderBytes = 24;
constexpr uint32_t kMagic = 0x377f0682;  // the last bit says: checksums over big-endian words

uint32_t BigEndian(const unsigned char* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 |
         uint32_t{bytes[3]};
}

uint32_t LittleEndian(const unsigned char* bytes) {
  return uint32_t{bytes[3]} << 24 | uint32_t{bytes[2]} << 16 | uint32_t{bytes[1]} << 8 |
         uint32_t{bytes[0]};
}

struct Sum {
  uint32_t a = 0;
  uint32_t b = 0;

  void Add(const unsigned char* bytes, size_t size, bool big_endian) {
    for (size_t i = 0; i + 8 <= size; i += 8) {
      a += (big_endian ? BigEndian(bytes + i) : LittleEndian(bytes + i)) + b;
      b += (big_endian ? BigEndian(bytes + i + 4) : LittleEndian(bytes + i + 4)) + a;
    }
  }
  bool Is(const unsigned char* stored) const {
    return a == BigEndian(stored) && b == BigEndian(stored + 4);
  }
};

}  // namespace

absl::StatusOr<WalState> ReadWalState(const std::string& journal_path) {
  WalState state;
  std::ifstream file(journal_path + "-wal", std::ios::binary);
  if (!file) return state;
  std::array<unsigned char, kHeaderBytes> header;
  file.read(reinterpret_cast<char*>(header.data()), kHeaderBytes);
  if (file.gcount() == 0) return state;

  const uint32_t magic = BigEndian(header.data());
  const bool big_endian = (magic & 1) != 0;
  const size_t page_bytes = BigEndian(header.data() + 8);
  Sum sum;
  sum.Add(header.data(), 24, big_endian);
  if (file.gcount() < static_cast<std::streamsize>(kHeaderBytes) || (magic & ~1U) != kMagic ||
      page_bytes < 512 || page_bytes > 65'536 || !sum.Is(header.data() + 24)) {
    // A header alone may be torn; with frames behind it, it had been synced.
    file.clear();
    file.seekg(0, std::ios::end);
    state.header_damaged = file.tellg() > static_cast<std::streamoff>(kHeaderBytes);
    return state;
  }

  std::vector<unsigned char> frame(kFrameHeaderBytes + page_bytes);
  bool whole = true;
  uint64_t frames_since_commit = 0;
  while (file.read(reinterpret_cast<char*>(frame.data()),
                   static_cast<std::streamsize>(frame.size()))) {
    const bool this_log = BigEndian(frame.data() + 8) == BigEndian(header.data() + 16) &&
                          BigEndian(frame.data() + 12) == BigEndian(header.data() + 20);
    const bool commit = BigEndian(frame.data() + 4) != 0;
    if (whole) {
      sum.Add(frame.data(), 8, big_endian);
      sum.Add(frame.data() + kFrameHeaderBytes, page_bytes, big_endian);
      whole = this_log && sum.Is(frame.data() + 16);
    }
    if (whole) {
      ++state.whole_frames;
      ++frames_since_commit;
      if (commit) {
        ++state.whole_commits;
        frames_since_commit = 0;
      }
    } else if (this_log && commit) {
      // Frames of an earlier round of the log carry other salts and do not count.
      ++state.commits_behind_damage;
    }
  }
  state.torn = frames_since_commit > 0 || state.commits_behind_damage > 0 || file.gcount() > 0;
  return state;
}

}  // namespace muster::coordinator::journal
