#include "raft/base/crc32c.h"

#include <gtest/gtest.h>

#include <string>

#include "raft/base/random.h"

namespace conclave {
namespace {

struct Vector {
  std::string bytes;
  uint32_t sum;
};

// RFC 3720 section B.4, and the check value of the CRC catalogues.
const Vector kVectors[] = {
    {"", 0},
    {"123456789", 0xe3069283},
    {std::string(32, '\0'), 0x8a9136aa},
    {std::string(32, '\xff'), 0x62a8ab43},
    {"\x1f\x1e\x1d\x1c\x1b\x1a\x19\x18\x17\x16\x15\x14\x13\x12\x11\x10"
     "\x0f\x0e\x0d\x0c\x0b\x0a\x09\x08\x07\x06\x05\x04\x03\x02\x01" +
         std::string(1, '\0'),
     0x113fdb5c},
};

TEST(Crc32cTest, KnownSums) {
  for (const Vector& vector : kVectors) {
    EXPECT_EQ(Crc32c(vector.bytes), vector.sum) << vector.bytes;
    EXPECT_EQ(ExtendCrc32cPortable(0, vector.bytes), vector.sum) << vector.bytes;
  }
}

TEST(Crc32cTest, BothFormsAgreeAtEveryLengthAndAlignment) {
  Random random(1);
  std::string bytes(300, '\0');
  for (char& c : bytes) c = static_cast<char>(random.Next());
  for (size_t begin = 0; begin < 9; ++begin) {
    for (size_t size = 0; size + begin <= bytes.size(); ++size) {
      const std::string_view part = std::string_view(bytes).substr(begin, size);
      ASSERT_EQ(Crc32c(part), ExtendCrc32cPortable(0, part)) << begin << " " << size;
    }
  }
}

TEST(Crc32cTest, ExtendingIsSummingTheWhole) {
  const std::string_view text = "the sum of a whole is that of its parts, one after the other";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(ExtendCrc32c(Crc32c(text.substr(0, cut)), text.substr(cut)), Crc32c(text));
  }
}

}  // namespace
}  // namespace conclave
