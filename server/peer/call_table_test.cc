#include "server/peer/call_table.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kvstore/errors.h"
#include "raft/base/manual_executor.h"

namespace conclave::server {
namespace {

using Result = absl::StatusOr<std::string>;

constexpr raft::NodeId kA{1};
constexpr raft::NodeId kB{2};

class CallTableTest : public ::testing::Test {
 protected:
  uint64_t Add(raft::NodeId peer, std::string name, Duration timeout = Seconds(1)) {
    return table_.Add(peer, timeout, [this, name = std::move(name)](Result result) {
      ended_.push_back(name + ":" +
                       (result.ok() ? *result : std::string(result.status().message())));
    });
  }

  const std::string timeout_text_{kv::ErrTimeout().message()};
  ManualExecutor lane_;
  CallTable table_{&lane_};
  std::vector<std::string> ended_;
};

TEST_F(CallTableTest, EachCallEndsOnce) {
  const uint64_t call = Add(kA, "one");
  table_.Finish(kA, call, std::string("yes"));
  table_.Finish(kA, call, std::string("again"));
  table_.FailAll(kA, kv::ErrNoLeader());
  lane_.Advance(Seconds(5));
  EXPECT_THAT(ended_, ::testing::ElementsAre("one:yes"));
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(CallTableTest, TimeoutsEndCallsAtTheirOwnTime) {
  Add(kA, "long", Seconds(3));
  Add(kA, "short", Seconds(1));
  lane_.Advance(Seconds(2));
  EXPECT_THAT(ended_, ::testing::ElementsAre("short:" + timeout_text_));
  lane_.Advance(Seconds(2));
  EXPECT_THAT(ended_, ::testing::ElementsAre("short:" + timeout_text_, "long:" + timeout_text_));
}

TEST_F(CallTableTest, NobodyAnswersForAnotherPeer) {
  const uint64_t call = Add(kA, "one");
  table_.Finish(kB, call, std::string("liar"));
  EXPECT_TRUE(ended_.empty());
  table_.Finish(kA, call, std::string("yes"));
  EXPECT_THAT(ended_, ::testing::ElementsAre("one:yes"));
}

TEST_F(CallTableTest, LostPeerEndsItsCallsInOrderAndNoOthers) {
  Add(kA, "first");
  Add(kB, "other");
  Add(kA, "second");
  table_.FailAll(kA, absl::UnavailableError("gone"));
  EXPECT_THAT(ended_, ::testing::ElementsAre("first:gone", "second:gone"));
  EXPECT_EQ(table_.size(), 1u);
}

TEST_F(CallTableTest, CallMadeByAFailingOneIsNotFailedWithIt) {
  table_.Add(kA, Seconds(1), [this](Result) { Add(kA, "retry"); });
  table_.FailAll(kA, absl::UnavailableError("gone"));
  EXPECT_TRUE(ended_.empty());
  EXPECT_EQ(table_.size(), 1u);
}

}  // namespace
}  // namespace conclave::server
