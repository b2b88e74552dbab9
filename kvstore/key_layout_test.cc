// What the engine holds after a few commands, byte by byte: the worked example of docs/storage.md.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <string>
#include <vector>

#include "kvstore/test_store.h"

namespace conclave::kv {
namespace {

// Letters and digits as they are, other bytes in hexadecimal and in brackets.
std::string Readable(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  bool in_brackets = false;
  for (const char each : bytes) {
    const auto byte = static_cast<unsigned char>(each);
    const bool plain = std::isalnum(byte) != 0;
    if (plain == in_brackets) text += plain ? ']' : '[';
    in_brackets = !plain;
    if (plain) {
      text += each;
    } else {
      text += {kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  if (in_brackets) text += ']';
  return text;
}

// The keys' own entries; the small state (m/) has tests of its own.
std::vector<std::string> EntriesOf(TestStore& store) {
  std::vector<std::string> entries;
  const std::unique_ptr<Iterator> it = store.engine().NewIterator();
  for (it->Seek(""); it->Valid(); it->Next()) {
    if (it->key().starts_with("m/")) continue;
    entries.push_back(Readable(it->key()) + " = " + Readable(it->value()));
  }
  return entries;
}

TEST(KeyLayoutTest, OfOneKeyPutTwiceAndDeleted) {
  TestStore store;
  ASSERT_TRUE(store.Put("foo", "one").ok());
  EXPECT_THAT(EntriesOf(store),
              testing::ElementsAre(
                  "c = [01]", "hfoo[0001fffffffffffffffdffffffff] = ", "kfoo = [0200020100]one",
                  "r[000000000000000200000000] = [00000003]foo[020100]one"));
  ASSERT_TRUE(store.Put("foo", "two").ok());
  EXPECT_THAT(
      EntriesOf(store),
      testing::ElementsAre("c = [01]", "hfoo[0001fffffffffffffffcffffffff] = ",
                           "hfoo[0001fffffffffffffffdffffffff] = ", "kfoo = [0300020200]two",
                           "r[000000000000000200000000] = [00000003]foo[020100]one",
                           "r[000000000000000300000000] = [0002000303]foo[020200]two"));
  EXPECT_EQ(store.Delete("foo"), 1);
  EXPECT_THAT(EntriesOf(store),
              testing::ElementsAre(
                  "c = [00]", "hfoo[0001fffffffffffffffbffffffff] = t",
                  "hfoo[0001fffffffffffffffcffffffff] = ", "hfoo[0001fffffffffffffffdffffffff] = ",
                  "r[000000000000000200000000] = [00000003]foo[020100]one",
                  "r[000000000000000300000000] = [0002000303]foo[020200]two",
                  "r[000000000000000400000000] = [0103000303]foo"));
  ASSERT_TRUE(store.Compact(4).ok());
  store.CompactFully();
  EXPECT_THAT(EntriesOf(store),
              testing::ElementsAre("c = [00]", "hfoo[0001fffffffffffffffbffffffff] = t",
                                   "r[000000000000000400000000] = [0103000303]foo"));
}

}  // namespace
}  // namespace conclave::kv
