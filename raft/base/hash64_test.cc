#include "raft/base/hash64.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace conclave {
namespace {

// Members of different builds compare these: they must never change. The value is the published one
// of XXH3 for no bytes.
TEST(Hash64Test, IsXxh3) {
  EXPECT_EQ(Hash64(""), 0x2d06800538d394c2u);
  EXPECT_EQ(Hash64("conclave"), Hash64(std::string("conclave")));
}

TEST(Hash64Test, EveryByteCounts) {
  const std::string bytes(300, 'x');
  std::set<uint64_t> seen = {Hash64(bytes)};
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string other = bytes;
    other[i] = 'y';
    seen.insert(Hash64(other));
    seen.insert(Hash64(std::string_view(bytes).substr(0, i)));
  }
  EXPECT_EQ(seen.size(), 1 + 2 * bytes.size());
}

}  // namespace
}  // namespace conclave
