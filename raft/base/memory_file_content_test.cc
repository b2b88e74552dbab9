#include "raft/base/memory_file_content.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace conclave {
namespace {

// Keeps every step's bytes, as the old bytes under a write do in the class itself.
class Steps {
 public:
  void RandomStep(Random& random) {
    before_.push_back(content_.bytes());
    const uint64_t number = before_.size();
    if (random.OneIn(5)) return content_.Truncate(number, random.Below(3000));
    const std::string bytes(random.Below(1500), static_cast<char>('a' + number % 26));
    content_.Write(number, random.Below(3000), bytes);
  }
  void Sync() { content_.Sync(); }

  // As it was before step `number`, counted from 1.
  const std::string& before(uint64_t number) const { return before_.at(number - 1); }
  MemoryFileContent& content() { return content_; }

 private:
  MemoryFileContent content_;
  std::vector<std::string> before_;
};

TEST(MemoryFileContentTest, WritesAreTakenBackToAnyPoint) {
  Random random(1);
  for (int round = 0; round < 300; ++round) {
    Steps steps;
    for (int i = 0; i < 10; ++i) steps.RandomStep(random);
    const uint64_t kept = random.Below(10);
    steps.content().TakeBackAfter(kept);
    ASSERT_EQ(steps.content().bytes(), steps.before(kept + 1));
    steps.content().KeepNothing();
    ASSERT_EQ(steps.content().bytes(), "");
  }
}

TEST(MemoryFileContentTest, ASyncedStateIsWhatIsLeft) {
  Random random(2);
  for (int round = 0; round < 300; ++round) {
    Steps steps;
    for (int i = 0; i < 5; ++i) steps.RandomStep(random);
    steps.Sync();
    EXPECT_TRUE(steps.content().synced());
    const std::string durable = steps.content().bytes();
    for (int i = 0; i < 5; ++i) steps.RandomStep(random);
    steps.content().KeepNothing();
    ASSERT_EQ(steps.content().bytes(), durable);
  }
}

TEST(MemoryFileContentTest, KeepingEveryChangeIsKeepingTheContent) {
  Random random(3);
  for (int round = 0; round < 300; ++round) {
    Steps steps;
    for (int i = 0; i < 10; ++i) steps.RandomStep(random);
    const std::string written = steps.content().bytes();
    steps.content().KeepFirst(steps.content().unsynced_sizes());
    ASSERT_EQ(steps.content().bytes(), written);
    EXPECT_TRUE(steps.content().synced());
  }
}

TEST(MemoryFileContentTest, AnEmptyWriteIsNone) {
  MemoryFileContent content;
  content.Write(1, 100, "");
  EXPECT_EQ(content.bytes(), "");
  EXPECT_TRUE(content.synced());
}

TEST(MemoryFileContentTest, DamageIsForGood) {
  MemoryFileContent content;
  content.Write(1, 0, "abcd");
  content.Sync();
  content.Damage(1, "XY");
  content.KeepNothing();
  EXPECT_EQ(content.bytes(), "aXYd");
}

}  // namespace
}  // namespace conclave
