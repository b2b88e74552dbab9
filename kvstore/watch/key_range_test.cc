// The conventions of key and range_end in a watch request.
#include "kvstore/watch/key_range.h"

#include "gtest/gtest.h"

namespace conclave::kv {
namespace {

using namespace std::string_view_literals;

struct Row {
  std::string_view key;
  std::string_view range_end;
  bool empty;
  std::string_view inside;   // checked unless empty
  std::string_view outside;  // checked unless empty
};

constexpr Row kSection31[] = {
    {"b"sv, ""sv, false, "b"sv, "b\0"sv},
    {"b"sv, "d"sv, false, "c\xff"sv, "d"sv},
    {"b"sv, "d"sv, false, "b"sv, "a\xff"sv},
    {"b"sv, "\0"sv, false, "\xff\xff"sv, "a"sv},
    {"\0"sv, "\0"sv, false, "\0"sv, ""sv},
    {"b"sv, "b"sv, true, ""sv, ""sv},
    {"b"sv, "a"sv, true, ""sv, ""sv},
    {"\x80"sv, "\x7f"sv, true, ""sv, ""sv},  // keys are unsigned bytes
    {"\x7f"sv, "\x80"sv, false, "\x7f\xff"sv, "\x80"sv},
    {"b"sv, "b\0"sv, false, "b"sv, "b\0"sv},
};

TEST(WatchedRange, Section31RangeConventions) {
  for (const Row& row : kSection31) {
    const KeyRange range = WatchedRange(row.key, row.range_end);
    SCOPED_TRACE(testing::PrintToString(row.key) + " to " + testing::PrintToString(row.range_end));
    EXPECT_EQ(range.empty(), row.empty);
    if (row.empty) continue;
    EXPECT_TRUE(range.Contains(row.inside));
    EXPECT_FALSE(range.Contains(row.outside));
  }
}

TEST(WatchedRange, Section62EmptyKeyIsTheSmallestKey) {
  EXPECT_TRUE(WatchedRange("", "").Contains("\0"sv));
  EXPECT_FALSE(WatchedRange("", "").Contains("a"));
  EXPECT_TRUE(WatchedRange("", "\0"sv).Contains("a"));
  EXPECT_TRUE(WatchedRange("", "b").Contains("a"));
  EXPECT_FALSE(WatchedRange("", "b").Contains("b"));
}

}  // namespace
}  // namespace conclave::kv
