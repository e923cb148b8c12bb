#include "coordinator/journal/record_row.h"

#include <isa-l.h>

#include <array>
#include <climits>

#include "common/check.h"

namespace muster::coordinator::journal {

uint32_t RecordChecksum(uint64_t number, const void* bytes, size_t size) {
  CHECK(size <= INT_MAX, "record {} has {} bytes", number, size);
  std::array<unsigned char, 8> prefix;
  for (size_t i = 0; i < prefix.size(); ++i) {
    prefix[i] = static_cast<unsigned char>(number >> (8 * i));
  }
  const uint32_t crc = crc32_iscsi(prefix.data(), static_cast<int>(prefix.size()), ~0U);
  // The library takes a non-const pointer and does not write through it.
  auto* data = const_cast<unsigned char*>(static_cast<const unsigned char*>(bytes));
  return ~crc32_iscsi(data, static_cast<int>(size), crc);
}

}  // namespace muster::coordinator::journal
