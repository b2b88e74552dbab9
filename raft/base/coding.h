// Numbers as bytes, for every format of our own: fixed widths little-endian, varints in groups of
// seven bits with the lowest first (as Protobuf's). Used by the WAL, the peer messages and the
// snapshots. Any lane.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace conclave {

static_assert(std::endian::native == std::endian::little,
              "the formats are read and written in place");

inline void PutFixed32(std::string& out, uint32_t value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}
inline void PutFixed64(std::string& out, uint64_t value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}
inline void PutByte(std::string& out, uint8_t value) { out.push_back(static_cast<char>(value)); }

inline void PutVarint(std::string& out, uint64_t value) {
  constexpr size_t kBytesMax = 10;
  char bytes[kBytesMax];
  size_t size = 0;
  // Ten groups hold 64 bits; the second bound only tells the compiler so, which else warns.
  for (; value >= 0x80 && size < kBytesMax - 1; value >>= 7) {
    bytes[size++] = static_cast<char>(value | 0x80);
  }
  bytes[size++] = static_cast<char>(value);
  out.append(bytes, size);
}

// The number at `at`, which must have that many bytes.
inline uint32_t LoadFixed32(const char* at) {
  uint32_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}
inline uint64_t LoadFixed64(const char* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}
inline void StoreFixed32(char* at, uint32_t value) { std::memcpy(at, &value, sizeof(value)); }
inline void StoreFixed64(char* at, uint64_t value) { std::memcpy(at, &value, sizeof(value)); }

// Reads numbers and strings off the front of some bytes. The first read that does not fit makes it
// not ok for good: it and every later one yield zero or nothing, so that a decoder may check once
// at its end.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  // True if everything was read and nothing was missing: how a whole decoder ends.
  bool finished() const { return ok_ && offset_ == bytes_.size(); }
  size_t offset() const { return offset_; }
  size_t remaining() const { return bytes_.size() - offset_; }

  uint8_t Byte() {
    const std::string_view one = Take(1);
    return one.empty() ? 0 : static_cast<uint8_t>(one.front());
  }
  uint32_t Fixed32() {
    const std::string_view four = Take(4);
    return four.empty() ? 0 : LoadFixed32(four.data());
  }
  uint64_t Fixed64() {
    const std::string_view eight = Take(8);
    return eight.empty() ? 0 : LoadFixed64(eight.data());
  }
  // Not ok if the number needs more than 64 bits.
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint8_t byte = Byte();
      if (!ok_ || (shift == 63 && byte > 1)) break;
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    Fail();
    return 0;
  }
  std::string_view Take(uint64_t size) {
    if (!ok_ || size > remaining()) {
      Fail();
      return {};
    }
    offset_ += size;
    return bytes_.substr(offset_ - size, size);
  }
  void Fail() { ok_ = false; }

 private:
  std::string_view bytes_;
  size_t offset_ = 0;
  bool ok_ = true;
};

}  // namespace conclave
