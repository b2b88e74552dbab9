#include "raft/base/bytes.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>

namespace conclave {
namespace {

TEST(BytesTest, NothingNeedsNoBlock) {
  EXPECT_TRUE(Bytes().empty());
  EXPECT_EQ(Bytes(), Bytes::Copy(""));
  EXPECT_EQ(Bytes::Copy("").view().data(), nullptr);
}

TEST(BytesTest, CopiesShareOneBlock) {
  const Bytes first = Bytes::Copy("payload");
  const Bytes second = first;
  EXPECT_EQ(first, second);
  EXPECT_EQ(first.view().data(), second.view().data());
}

TEST(BytesTest, ConcatIsOneAfterTheOther) {
  EXPECT_EQ(Bytes::Concat("ab", "c").view(), "abc");
  EXPECT_EQ(Bytes::Concat("", "c").view(), "c");
}

TEST(BytesTest, ASliceKeepsTheBlockAlive) {
  std::optional<Bytes> whole = Bytes::Copy(std::string(1000, 'x').append("tail"));
  const Bytes tail = whole->Slice(1000, 4);
  const Bytes none = whole->Slice(1004, 0);
  whole.reset();
  EXPECT_EQ(tail.view(), "tail");
  EXPECT_TRUE(none.empty());
}

TEST(BytesTest, ASliceMustBeInside) {
  const Bytes bytes = Bytes::Copy("abc");
  EXPECT_DEATH(bytes.Slice(2, 2), "CHECK");
  EXPECT_DEATH(bytes.Slice(4, 0), "CHECK");
  EXPECT_DEATH(bytes.Slice(1, SIZE_MAX), "CHECK");
}

TEST(BytesTest, MovedFromIsEmptyAndAssignmentToItselfKeeps) {
  Bytes first = Bytes::Copy("abc");
  Bytes second = std::move(first);
  EXPECT_TRUE(first.empty());
  Bytes& same = second;
  second = same;
  EXPECT_EQ(second.view(), "abc");
  second = std::move(same);
  EXPECT_EQ(second.view(), "abc");
  second = Bytes::Copy("other");
  EXPECT_EQ(second.view(), "other");
}

}  // namespace
}  // namespace conclave
