// How one record lies in the journal: its number (1, 2, 3, …), its bytes, and a checksum of both.
#pragma once

#include <cstdint>
#include <string>

namespace muster::coordinator::journal {

// CRC32C over the number (8 bytes, little endian) and then the bytes.
uint32_t RecordChecksum(uint64_t number, const void* bytes, size_t size);

}  // namespace muster::coordinator::journal
