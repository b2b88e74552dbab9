// The index of synced watchers against asking each watcher.
#include "kvstore/watch/watcher_index.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "raft/base/random.h"
#include "raft/base/test_scale.h"

namespace conclave::kv {
namespace {

std::string RandomKey(Random& random) {
  std::string key;
  for (uint64_t n = random.Between(1, 2); n > 0; --n) {
    key.push_back(static_cast<char>('a' + random.Below(4)));
  }
  return key;
}

TEST(WatcherIndex, FindsExactlyTheWatchersOfAKey) {
  for (int seed = 1; seed <= Scaled(20); ++seed) {
    Random random(static_cast<uint64_t>(seed));
    WatcherIndex index(static_cast<uint64_t>(seed));
    std::vector<std::unique_ptr<Watcher>> watchers;
    for (int step = 0; step < 1000; ++step) {
      if (random.OneIn(3) && !watchers.empty()) {
        auto& victim = watchers[random.Below(watchers.size())];
        index.Remove(victim.get());
        std::swap(victim, watchers.back());
        watchers.pop_back();
      } else {
        auto watcher = std::make_unique<Watcher>();
        do {
          watcher->range =
              WatchedRange(RandomKey(random), random.OneIn(2) ? "" : RandomKey(random));
        } while (watcher->range.empty());
        index.Add(watcher.get());
        watchers.push_back(std::move(watcher));
      }
      ASSERT_EQ(index.empty(), watchers.empty());

      const std::string key = RandomKey(random);
      std::vector<Watcher*> found;
      index.Find(key, found);
      std::vector<Watcher*> expected;
      for (const auto& watcher : watchers) {
        if (watcher->range.Contains(key)) expected.push_back(watcher.get());
      }
      ASSERT_TRUE(std::is_permutation(found.begin(), found.end(), expected.begin(), expected.end()))
          << "seed " << seed << " step " << step;
    }
  }
}

TEST(WatcherIndex, FindAppends) {
  WatcherIndex index(1);
  Watcher watcher;
  watcher.range = WatchedRange("a", "");
  index.Add(&watcher);
  std::vector<Watcher*> found;
  index.Find("a", found);
  index.Find("b", found);
  index.Find("a", found);
  EXPECT_EQ(found, (std::vector<Watcher*>{&watcher, &watcher}));
}

}  // namespace
}  // namespace conclave::kv
