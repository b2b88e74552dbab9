// Machines that come and go in a simulated world, by the requests of a client.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "jepsen-style-tests/workload/session.h"
#include "jepsen-style-tests/workload/test_world.h"

namespace conclave::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class MembershipTest : public testing::Test {
 protected:
  MembershipTest() : test_(7), session_(&world(), &test_.history(), PatientSession(), Random(7)) {
    EXPECT_TRUE(test_.RunUntilLed());
    test_.Run(Seconds(6));  // until connections count as steady
  }

  World& world() { return test_.world(); }

  Co<void> AddVoter() {
    const auto added = co_await session_.MemberAdd("http://m4:2380", /*learner=*/false);
    EXPECT_TRUE(added.ok()) << added.status;
    id_ = added.response.member().id();
  }
  Co<void> Remove(uint64_t id) {
    const auto removed = co_await session_.MemberRemove(id);
    EXPECT_TRUE(removed.ok()) << removed.status;
  }
  uint64_t AFollower() {
    for (const size_t position : world().Serving()) {
      if (&world().member(position) != world().leader())
        return world().member(position).id().value();
    }
    return 0;
  }

  TestWorld test_;
  Session session_;
  uint64_t id_ = 0;
};

TEST_F(MembershipTest, AMachineJoinsAndServes) {
  ASSERT_TRUE(test_.RunUntilDone(AddVoter(), Seconds(20)));
  EXPECT_EQ(world().FindMember(raft::NodeId(id_)), nullptr);
  const size_t position = world().AddMachine(raft::NodeId(id_));
  EXPECT_EQ(position, 3u);
  world().StartMember(position);
  EXPECT_TRUE(test_.RunUntil([&] { return world().Serves(position); }, Seconds(20)));
  EXPECT_THAT(world().Members(), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(world().Problems(), IsEmpty());
}

TEST_F(MembershipTest, ARemovedMemberEndsItself) {
  const uint64_t id = AFollower();
  const Member& removed = world().member(raft::NodeId(id));
  ASSERT_TRUE(test_.RunUntilDone(Remove(id), Seconds(20)));
  test_.Run(Seconds(3));
  EXPECT_FALSE(removed.running());
  EXPECT_TRUE(removed.gone());
  EXPECT_THAT(world().Members(), SizeIs(2));
  EXPECT_THAT(world().Problems(), IsEmpty());
}

TEST_F(MembershipTest, OneOfThreeMayBeLostAndNoMore) {
  EXPECT_TRUE(world().MayLose(1));
  world().Retire(1);
  EXPECT_FALSE(world().AllWhole());
  EXPECT_TRUE(world().AllWhole(world().member(size_t{1}).id()));
  EXPECT_FALSE(world().MayLose(0));
  Random random(1);
  EXPECT_EQ(world().DrawCore(random), (std::set<size_t>{0, 2}));
}

TEST_F(MembershipTest, NothingMayBeLostWhileAChangeIsUnderWay) {
  world().ChangeBegins();
  EXPECT_FALSE(world().MayLose(1));
  Random random(1);
  EXPECT_THAT(world().DrawCore(random), SizeIs(3));
  world().ChangeEnds(/*outcome_known=*/false);
  EXPECT_TRUE(world().ChangesUnderWay());
  test_.Run(Seconds(60));
  EXPECT_TRUE(world().MayLose(1));
}

}  // namespace
}  // namespace conclave::sim
