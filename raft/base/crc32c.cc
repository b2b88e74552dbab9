#include "raft/base/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace conclave {
namespace {

constexpr uint32_t kReversedPolynomial = 0x82f63b78;

using Tables = std::array<std::array<uint32_t, 256>, 8>;

// tables[k][b] is the sum's change by byte b followed by k zero bytes: eight look-ups take eight
// bytes at once.
constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kReversedPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < tables.size(); ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t shorter = tables[k - 1][byte];
      tables[k][byte] = (shorter >> 8) ^ tables[0][shorter & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

uint64_t Load64(const char* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t ExtendByInstruction(uint32_t crc,
                                                               std::string_view bytes) {
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  uint64_t sum = ~crc;
  for (; end - at >= 8; at += 8) sum = _mm_crc32_u64(sum, Load64(at));
  uint32_t low = static_cast<uint32_t>(sum);
  for (; at != end; ++at) low = _mm_crc32_u8(low, static_cast<uint8_t>(*at));
  return ~low;
}

bool HasInstruction() {
  static const bool has = __builtin_cpu_supports("sse4.2") != 0;
  return has;
}
#elif defined(__ARM_FEATURE_CRC32)
uint32_t ExtendByInstruction(uint32_t crc, std::string_view bytes) {
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  uint32_t sum = ~crc;
  for (; end - at >= 8; at += 8) sum = __crc32cd(sum, Load64(at));
  for (; at != end; ++at) sum = __crc32cb(sum, static_cast<uint8_t>(*at));
  return ~sum;
}

constexpr bool HasInstruction() { return true; }
#else
uint32_t ExtendByInstruction(uint32_t crc, std::string_view bytes) {
  return ExtendCrc32cPortable(crc, bytes);
}

constexpr bool HasInstruction() { return false; }
#endif

}  // namespace

uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes) {
  return HasInstruction() ? ExtendByInstruction(crc, bytes) : ExtendCrc32cPortable(crc, bytes);
}

uint32_t ExtendCrc32cPortable(uint32_t crc, std::string_view bytes) {
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  uint32_t sum = ~crc;
  for (; end - at >= 8; at += 8) {
    const uint64_t word = Load64(at) ^ sum;
    sum = 0;
    for (int k = 0; k < 8; ++k) sum ^= kTables[7 - k][(word >> (8 * k)) & 0xff];
  }
  for (; at != end; ++at) sum = (sum >> 8) ^ kTables[0][(sum ^ static_cast<uint8_t>(*at)) & 0xff];
  return ~sum;
}

}  // namespace conclave
