// Clusters under random faults (storm.h): every promise is kept, and after the faults everybody
// comes to agree again. A failure names its seed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fmt/format.h"
#include "raft/core/storm.h"

namespace conclave::raft {
namespace {

using testing::IsEmpty;

// Twelve groups of seeds, so that ctest shows how far a run got.
class StormTest : public testing::TestWithParam<uint64_t> {};

TEST_P(StormTest, KeepsEveryPromiseAndRecovers) {
  constexpr uint64_t kSeedsPerGroup = 60;
  for (uint64_t i = 0; i < kSeedsPerGroup; ++i) {
    const uint64_t seed = GetParam() * kSeedsPerGroup + i;
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Storm storm(seed);
    storm.Run(kStormEvents);
    ASSERT_THAT(storm.cluster().problems(), IsEmpty());
    ASSERT_TRUE(storm.Recovers()) << storm.Describe();
    ASSERT_THAT(storm.cluster().problems(), IsEmpty());
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, StormTest, testing::Range<uint64_t>(0, 12));

}  // namespace
}  // namespace conclave::raft
