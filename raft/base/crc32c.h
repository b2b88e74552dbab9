// CRC32C (Castagnoli, RFC 3720 section 12.1), by the CPU's own instruction where it has one and a
// table elsewhere; both give the same sums. Used by the WAL, the peer frames and the hash RPCs. Any
// lane.
#pragma once

#include <cstdint>
#include <string_view>

namespace conclave {

// The sum of `bytes` appended to something whose sum is `crc` (0 for nothing).
uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes);

inline uint32_t Crc32c(std::string_view bytes) { return ExtendCrc32c(0, bytes); }

// The table form, for CPUs without the instruction and as the tests' second opinion.
uint32_t ExtendCrc32cPortable(uint32_t crc, std::string_view bytes);

}  // namespace conclave
