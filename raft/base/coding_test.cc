#include "raft/base/coding.h"

#include <gtest/gtest.h>

#include <limits>

namespace conclave {
namespace {

TEST(CodingTest, FixedWidthsAreLittleEndian) {
  std::string out;
  PutFixed32(out, 0x01020304);
  PutFixed64(out, 0x05060708090a0b0c);
  EXPECT_EQ(out, std::string("\x04\x03\x02\x01\x0c\x0b\x0a\x09\x08\x07\x06\x05", 12));
  ByteReader reader(out);
  EXPECT_EQ(reader.Fixed32(), 0x01020304u);
  EXPECT_EQ(reader.Fixed64(), 0x05060708090a0b0cu);
  EXPECT_TRUE(reader.finished());
}

TEST(CodingTest, VarintsRoundTripAtEveryWidth) {
  for (int bit = 0; bit < 64; ++bit) {
    for (uint64_t value : {uint64_t{1} << bit, (uint64_t{1} << bit) - 1}) {
      std::string out;
      PutVarint(out, value);
      ByteReader reader(out);
      EXPECT_EQ(reader.Varint(), value);
      EXPECT_TRUE(reader.finished());
    }
  }
  std::string out;
  PutVarint(out, 127);
  EXPECT_EQ(out.size(), 1u);
  out.clear();
  PutVarint(out, 128);
  EXPECT_EQ(out, std::string("\x80\x01", 2)) << "seven bits in each byte, the lowest first";
  out.clear();
  PutVarint(out, std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(out.size(), 10u);
  EXPECT_EQ(ByteReader(out).Varint(), std::numeric_limits<uint64_t>::max());
}

TEST(CodingTest, AVarintBeyond64BitsIsRefused) {
  ByteReader too_large(std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10));
  EXPECT_EQ(too_large.Varint(), 0u);
  EXPECT_FALSE(too_large.ok());
  ByteReader too_long(std::string_view("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11));
  too_long.Varint();
  EXPECT_FALSE(too_long.ok());
}

TEST(CodingTest, AReadThatDoesNotFitFailsForGood) {
  ByteReader reader("abc");
  EXPECT_EQ(reader.Fixed32(), 0u);
  EXPECT_EQ(reader.Byte(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_FALSE(reader.finished());
}

TEST(CodingTest, BytesLeftOverAreNotFinished) {
  ByteReader reader("abc");
  EXPECT_EQ(reader.Take(2), "ab");
  EXPECT_TRUE(reader.ok());
  EXPECT_FALSE(reader.finished());
  EXPECT_EQ(reader.Take(std::numeric_limits<uint64_t>::max()), "");
  EXPECT_FALSE(reader.ok());
}

}  // namespace
}  // namespace conclave
