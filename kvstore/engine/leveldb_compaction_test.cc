#include "kvstore/engine/leveldb_compaction.h"

#include <gtest/gtest.h>

#include <string>

namespace conclave::kv {
namespace {

// As LevelDB 1.23 prints it.
std::string Stats(const std::string& levels) {
  return "                               Compactions\n"
         "Level  Files Size(MB) Time(sec) Read(MB) Write(MB)\n"
         "--------------------------------------------------\n" +
         levels;
}

TEST(LevelDbCompactionTest, IsDueOnceALevelIsTooLarge) {
  const struct {
    std::string levels;
    bool due;
  } cases[] = {
      {"", false},
      {"  0        3       40         0        0        40\n", false},
      {"  0        4        1         0        0         1\n", true},
      {"  1        9        9         0        0         0\n", false},
      {"  1        1       10         0        0         0\n", true},
      {"  2       13       99         0      120        99\n", false},
      {"  2       13      100         0      120        99\n", true},
      {"  3       40      999         0        0         0\n", false},
      {"  0        1        8         0        0         8\n"
       "  1        2        9         0        0         8\n"
       "  3      130     1000         0        0         0\n",
       true},
  };
  for (const auto& c : cases) EXPECT_EQ(IsSizeCompactionDue(Stats(c.levels)), c.due) << c.levels;
}

}  // namespace
}  // namespace conclave::kv
