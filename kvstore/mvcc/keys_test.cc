#include "kvstore/mvcc/keys.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "raft/base/random.h"

namespace conclave::kv {
namespace {

// Short keys of few different bytes, so that one is often the beginning of another.
std::string RandomKey(Random& random) {
  static constexpr std::string_view kBytes(
      "\0\x01\xfe\xff"
      "a",
      5);
  std::string key;
  for (uint64_t n = 1 + random.Below(5); n > 0; --n) key.push_back(kBytes[random.Below(5)]);
  return key;
}

TEST(PointerKeys, SortByKeyAndThenNewestFirst) {
  Random random(1);
  struct Entry {
    std::string key;
    Revision revision;
  };
  std::vector<Entry> entries;
  for (int i = 0; i < 2000; ++i) {
    entries.push_back(
        {RandomKey(random), Revision{static_cast<int64_t>(random.Below(5) << random.Below(40)),
                                     static_cast<int64_t>(random.Below(3))}});
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.key != b.key ? a.key < b.key : a.revision > b.revision;
  });
  for (size_t i = 1; i < entries.size(); ++i) {
    ASSERT_LE(PointerKey(entries[i - 1].key, entries[i - 1].revision),
              PointerKey(entries[i].key, entries[i].revision));
  }
}

TEST(PointerKeys, ReadBackAsWritten) {
  Random random(2);
  for (int i = 0; i < 1000; ++i) {
    const std::string key = RandomKey(random);
    const Revision revision{static_cast<int64_t>(random.Next() >> 1),
                            static_cast<int64_t>(random.Below(1u << 31))};
    const std::string entry = PointerKey(key, revision);
    const std::optional<Pointer> pointer = ParsePointerKey(entry);
    ASSERT_TRUE(pointer.has_value());
    ASSERT_EQ(pointer->revision, revision);
    ASSERT_EQ(KeyOfPointerPrefix(pointer->prefix), key);
  }
}

TEST(PointerKeys, NoKeysPointersLieAmongAnothers) {
  Random random(3);
  for (int i = 0; i < 2000; ++i) {
    const std::string a = RandomKey(random);
    const std::string b = RandomKey(random);
    std::string prefix;
    SetPointerPrefix(a, prefix);
    ASSERT_EQ(PointerKey(b, {5, 0}).starts_with(prefix), a == b);
  }
}

TEST(HistoryKeys, SortByRevision) {
  const std::vector<Revision> ascending = {{0, 0}, {1, 0},   {1, 1},   {1, 256},
                                           {2, 0}, {255, 0}, {256, 0}, {int64_t{1} << 40, 3}};
  for (size_t i = 1; i < ascending.size(); ++i) {
    EXPECT_LT(HistoryKey(ascending[i - 1]), HistoryKey(ascending[i]));
    EXPECT_EQ(ParseHistoryKey(HistoryKey(ascending[i])), ascending[i]);
  }
  EXPECT_EQ(ParseHistoryKey("r123"), std::nullopt);
  EXPECT_EQ(ParseHistoryKey(PointerKey("a", {1, 0})), std::nullopt);
}

// Every row of the table in behaviour section 3.1.
TEST(KeySpans, FollowTheConventionsOfTheWire) {
  const std::string zero(1, '\0');
  const struct {
    std::string key, end;
    std::vector<std::string> in, out;
  } cases[] = {
      {"b", "", {"b"}, {"a", "b" + zero, "ba", "c"}},
      {"b", "d", {"b", "b" + zero, "c", "cz"}, {"a", "d", "e"}},
      {"b", zero, {"b", "c", "\xff\xff"}, {"a", zero}},
      {zero, zero, {zero, "a", "\xff"}, {}},
      {"b", "b", {}, {"a", "b", "c"}},
      {"c", "b", {}, {"a", "b", "bb", "c", "d"}},
  };
  for (const auto& c : cases) {
    const KeySpan span = KeySpan::Of(c.key, c.end);
    for (const std::string& key : c.in) EXPECT_TRUE(span.Contains(key)) << c.key << c.end << key;
    for (const std::string& key : c.out) EXPECT_FALSE(span.Contains(key)) << c.key << c.end << key;
  }
}

}  // namespace
}  // namespace conclave::kv
