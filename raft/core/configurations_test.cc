#include "raft/core/configurations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conclave::raft {
namespace {

using testing::ElementsAre;

Configuration Voters(std::initializer_list<uint64_t> ids) {
  Configuration configuration;
  for (uint64_t id : ids) configuration.voters.push_back(NodeId(id));
  return configuration;
}

Entry EntryOf(uint64_t index, const Configuration& configuration) {
  return {.term = Term(1),
          .index = LogIndex(index),
          .kind = EntryKind::kConfiguration,
          .payload = Bytes::Copy(EncodeConfiguration(configuration))};
}

TEST(ConfigurationTest, MembersAreEveryoneOnceInOrder) {
  const Configuration joint{.voters = {NodeId(1), NodeId(4)},
                            .outgoing = {NodeId(1), NodeId(3)},
                            .learners = {NodeId(2), NodeId(3)}};
  EXPECT_THAT(joint.Members(), ElementsAre(NodeId(1), NodeId(2), NodeId(3), NodeId(4)));
  EXPECT_TRUE(joint.joint());
  EXPECT_TRUE(joint.IsVoter(NodeId(3)));
  EXPECT_FALSE(joint.IsVoter(NodeId(2)));
  EXPECT_TRUE(joint.IsLearner(NodeId(2)));
  EXPECT_FALSE(joint.Contains(NodeId(5)));
}

TEST(ConfigurationTest, ComesBackFromItsBytes) {
  const Configuration joint{.voters = {NodeId(1), NodeId(0x8e9e05c52164694d)},
                            .outgoing = {NodeId(1), NodeId(3)},
                            .learners = {NodeId(2)}};
  EXPECT_EQ(*DecodeConfiguration(EncodeConfiguration(joint)), joint);
  EXPECT_EQ(*DecodeConfiguration(EncodeConfiguration({})), Configuration{});
}

TEST(ConfigurationTest, OtherBytesAreDataLoss) {
  const std::string bytes = EncodeConfiguration(Voters({1, 2}));
  EXPECT_TRUE(absl::IsDataLoss(DecodeConfiguration("").status()));
  EXPECT_TRUE(absl::IsDataLoss(DecodeConfiguration("\x02" + bytes.substr(1)).status()));
  EXPECT_TRUE(absl::IsDataLoss(DecodeConfiguration(bytes + "x").status()));
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeConfiguration(bytes.substr(0, size)).status())) << size;
  }
  // Format, a count of four bytes, ids of eight: the second becomes as the first, then as none.
  std::string repeated = bytes;
  repeated[1 + 4 + 8] = 1;
  EXPECT_TRUE(absl::IsDataLoss(DecodeConfiguration(repeated).status()));
  std::string none = EncodeConfiguration(Voters({1}));
  none[1 + 4] = 0;
  EXPECT_TRUE(absl::IsDataLoss(DecodeConfiguration(none).status()));
}

TEST(ConfigurationsTest, AnEntryIsInForceAsSoonAsItIsInTheLog) {  // thesis 4.1
  Configurations configurations(LogIndex(5), Voters({1}));
  configurations.OnAppend(
      {.term = Term(1), .index = LogIndex(6), .kind = EntryKind::kNoop, .payload = {}});
  EXPECT_EQ(configurations.current(), Voters({1}));
  configurations.OnAppend(EntryOf(7, Voters({1, 2})));
  EXPECT_EQ(configurations.current(), Voters({1, 2}));
  EXPECT_EQ(configurations.current_index(), LogIndex(7));
}

TEST(ConfigurationsTest, TruncationBringsBackTheOneBefore) {
  Configurations configurations(LogIndex(5), Voters({1}));
  configurations.OnAppend(EntryOf(7, Voters({1, 2})));
  configurations.OnAppend(EntryOf(9, Voters({1, 2, 3})));
  configurations.TruncateFrom(LogIndex(10));
  EXPECT_EQ(configurations.current(), Voters({1, 2, 3}));
  configurations.TruncateFrom(LogIndex(8));
  EXPECT_EQ(configurations.current(), Voters({1, 2}));
  configurations.TruncateFrom(LogIndex(7));
  EXPECT_EQ(configurations.current(), Voters({1}));
}

TEST(ConfigurationsTest, CompactionKeepsTheOneInForceAtTheNewStart) {
  Configurations configurations(LogIndex(5), Voters({1}));
  configurations.OnAppend(EntryOf(7, Voters({1, 2})));
  configurations.OnAppend(EntryOf(9, Voters({1, 2, 3})));
  EXPECT_EQ(configurations.At(LogIndex(6)), Voters({1}));
  EXPECT_EQ(configurations.At(LogIndex(8)), Voters({1, 2}));
  configurations.CompactTo(LogIndex(8));
  EXPECT_EQ(configurations.At(LogIndex(8)), Voters({1, 2}));
  configurations.TruncateFrom(LogIndex(9));
  EXPECT_EQ(configurations.current(), Voters({1, 2}));
}

TEST(ConfigurationsDeathTest, AnUnreadableEntryEndsTheProcess) {
  Configurations configurations(LogIndex(5), Voters({1}));
  const Entry unreadable{.term = Term(1),
                         .index = LogIndex(6),
                         .kind = EntryKind::kConfiguration,
                         .payload = Bytes::Copy("what")};
  EXPECT_DEATH(configurations.OnAppend(unreadable), "cannot be read");
}

}  // namespace
}  // namespace conclave::raft
