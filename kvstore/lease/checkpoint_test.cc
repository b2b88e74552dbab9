// What a later leader gives a lease that nobody renews: not its full TTL again, and never too
// little (lessor.h).
#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kvstore/engine/memory_engine.h"
#include "kvstore/lease/lessor.h"
#include "raft/base/random.h"

namespace conclave::kv {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr Instant At(int64_t seconds) { return Instant(Seconds(seconds)); }
constexpr size_t kAll = 1000000;
constexpr Duration kStepMin = Seconds(10);

class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() : lessor_(std::make_unique<Lessor>(&engine_)) { Promote(At(0)); }

  void Commit() {
    engine_.Write(batch_);
    batch_.Clear();
  }
  void Promote(Instant now) { lessor_->Promote(now, Duration(0), kStepMin); }
  void Grant(int64_t id, int64_t ttl_seconds, Instant now) {
    ASSERT_TRUE(lessor_->Grant(id, ttl_seconds, ++index_, batch_).ok());
    lessor_->StartClocks(now);
    Commit();
  }
  void Revoke(int64_t id) {
    ASSERT_TRUE(lessor_->Revoke(id, batch_).ok());
    Commit();
  }
  void Apply(const LeaseCheckpoints& checkpoints) {
    ++index_;
    lessor_->Checkpoint(checkpoints, batch_);
    Commit();
  }
  std::vector<LeaseCheckpoint> Due(Instant now, size_t limit = kAll) {
    return lessor_->TakeCheckpoints(now, limit).leases;
  }
  // Takes what is due and applies it.
  std::vector<LeaseCheckpoint> Pass(Instant now) {
    const LeaseCheckpoints taken = lessor_->TakeCheckpoints(now, kAll);
    if (!taken.leases.empty()) Apply(taken);
    return taken.leases;
  }
  void Restart() { lessor_ = std::make_unique<Lessor>(&engine_); }

  MemoryEngine engine_;
  WriteBatch batch_;
  uint64_t index_ = 0;
  std::unique_ptr<Lessor> lessor_;
};

TEST_F(CheckpointTest, TakenWhenHalfIsGoneAndThenInSteps) {
  Grant(1, 320, At(0));
  EXPECT_EQ(lessor_->NextCheckpoint(), At(160));
  EXPECT_THAT(Due(At(160) - Duration(1)), IsEmpty());
  EXPECT_THAT(Pass(At(160)), ElementsAre(LeaseCheckpoint{1, 160}));
  EXPECT_EQ(lessor_->NextCheckpoint(), At(180)) << "a sixteenth later";
  EXPECT_THAT(Pass(At(200) + Duration(1)), ElementsAre(LeaseCheckpoint{1, 120})) << "rounded up";
}

TEST_F(CheckpointTest, NoneOfShortLeasesNorSmallSteps) {
  Grant(1, 10, At(0));  // as long as the smallest step
  EXPECT_EQ(lessor_->NextCheckpoint(), kNever);
  Grant(2, 24, At(0));
  EXPECT_THAT(Pass(At(12)), ElementsAre(LeaseCheckpoint{2, 12}));
  EXPECT_EQ(lessor_->NextCheckpoint(), At(22));
  EXPECT_THAT(Pass(At(22)), ElementsAre(LeaseCheckpoint{2, 2}));
  EXPECT_EQ(lessor_->NextCheckpoint(), kNever) << "it may as well run out";
}

TEST_F(CheckpointTest, NoneOfLeasesThatAreKeptAlive) {
  Grant(1, 60, At(0));
  for (int64_t second = 20; second < 2000; second += 20) {
    ASSERT_TRUE(lessor_->Renew(1, At(second)).ok());
    ASSERT_FALSE(lessor_->Checkpointed(1));
    ASSERT_THAT(Due(At(second) + Seconds(19)), IsEmpty()) << second;
  }
}

TEST_F(CheckpointTest, TheNextLeaderGivesWhatIsLeft) {
  Grant(1, 100, At(0));
  Grant(2, 100, At(0));
  EXPECT_THAT(Due(At(60), 1), ElementsAre(LeaseCheckpoint{1, 40})) << "taken, and then lost";
  lessor_->Demote();
  EXPECT_EQ(lessor_->NextCheckpoint(), kNever);
  Promote(At(61));
  EXPECT_EQ(lessor_->Remaining(1, At(61)), 100);
  EXPECT_FALSE(lessor_->Checkpointed(1));
  EXPECT_EQ(Pass(At(121)).size(), 2u);
  lessor_->Demote();
  lessor_->Promote(At(200), Seconds(3), kStepMin);
  EXPECT_EQ(lessor_->Remaining(1, At(200)), 43) << "from when it leads, and the extension";
  EXPECT_EQ(lessor_->Renew(1, At(200)).value(), 100) << "a renewal is worth the whole TTL";
  EXPECT_EQ(lessor_->Remaining(1, At(200)), 100);
  EXPECT_EQ(lessor_->GrantedTtl(1), 100);
}

TEST_F(CheckpointTest, SurvivesARestart) {
  Grant(1, 100, At(0));
  Grant(2, 100, At(0));
  ASSERT_EQ(Pass(At(60)).size(), 2u);
  Apply(lessor_->FullAgain(2));
  Restart();
  Promote(At(70));
  EXPECT_EQ(lessor_->Remaining(1, At(70)), 40);
  EXPECT_EQ(lessor_->Remaining(2, At(70)), 100);
  EXPECT_TRUE(lessor_->Checkpointed(1));
  EXPECT_FALSE(lessor_->Checkpointed(2));
}

TEST_F(CheckpointTest, ARenewalHasToForgetItAlsoWhileItIsUnderWay) {
  Grant(1, 100, At(0));
  EXPECT_FALSE(lessor_->Checkpointed(1));
  const LeaseCheckpoints taken = lessor_->TakeCheckpoints(At(60), kAll);
  EXPECT_TRUE(lessor_->Checkpointed(1)) << "it may be applied by the next leader";
  ASSERT_TRUE(lessor_->Renew(1, At(61)).ok());
  const LeaseCheckpoints full = lessor_->FullAgain(1);
  Apply(taken);
  EXPECT_TRUE(lessor_->Checkpointed(1));
  Apply(full);
  EXPECT_FALSE(lessor_->Checkpointed(1));
  EXPECT_EQ(lessor_->NextCheckpoint(), At(111));
  lessor_->Demote();
  Promote(At(62));
  EXPECT_EQ(lessor_->Remaining(1, At(62)), 100);
}

// The one taken since the renewal counts from the renewal, so it does no harm.
TEST_F(CheckpointTest, FullAgainDoesNotEndAnotherOneThatIsUnderWay) {
  Grant(1, 100, At(0));
  ASSERT_EQ(Pass(At(60)).size(), 1u);
  ASSERT_TRUE(lessor_->Renew(1, At(61)).ok());
  const LeaseCheckpoints full = lessor_->FullAgain(1);
  const LeaseCheckpoints taken = lessor_->TakeCheckpoints(At(135), kAll);
  ASSERT_THAT(taken.leases, ElementsAre(LeaseCheckpoint{1, 26}));
  Apply(full);
  EXPECT_TRUE(lessor_->Checkpointed(1)) << "a second renewal must not rely on the first one's";
  Apply(taken);
  lessor_->Demote();
  Promote(At(136));
  EXPECT_EQ(lessor_->Remaining(1, At(136)), 26);
}

TEST_F(CheckpointTest, ManyTravelTogetherOneEntryAtATime) {
  for (int64_t id = 1; id <= 5; ++id) Grant(id, 100, At(0));
  const LeaseCheckpoints first = lessor_->TakeCheckpoints(At(50), 3);
  EXPECT_EQ(first.leases.size(), 3u);
  EXPECT_EQ(lessor_->NextCheckpoint(), kNever);
  EXPECT_THAT(Due(At(50)), IsEmpty());
  Apply(first);
  EXPECT_EQ(lessor_->NextCheckpoint(), At(50));
  EXPECT_THAT(Pass(At(50)), ElementsAre(LeaseCheckpoint{4, 50}, LeaseCheckpoint{5, 50}));
}

TEST_F(CheckpointTest, WhatCameToNothingIsTakenAgain) {
  Grant(1, 100, At(0));
  Grant(2, 100, At(0));
  ASSERT_EQ(Due(At(50)).size(), 2u);
  Revoke(2);
  lessor_->DropCheckpoints();
  EXPECT_FALSE(lessor_->Checkpointed(1));
  EXPECT_THAT(Pass(At(55)), ElementsAre(LeaseCheckpoint{1, 45}));
}

TEST_F(CheckpointTest, ALeaseThatHasRunOutNeedsNone) {
  Grant(1, 100, At(0));
  EXPECT_THAT(Due(At(100)), IsEmpty());
  EXPECT_EQ(lessor_->NextCheckpoint(), kNever);
}

// Revoked and granted again between the leader's look and the entry's place in the log.
TEST_F(CheckpointTest, IsNotForAnotherLeaseOfTheSameId) {
  Grant(1, 100, At(0));
  const LeaseCheckpoints taken = lessor_->TakeCheckpoints(At(95), kAll);
  ASSERT_THAT(taken.leases, ElementsAre(LeaseCheckpoint{1, 5}));
  Revoke(1);
  Grant(1, 100, At(96));
  Apply(taken);
  EXPECT_FALSE(lessor_->Checkpointed(1));
  lessor_->Demote();
  Promote(At(97));
  EXPECT_EQ(lessor_->Remaining(1, At(97)), 100);
}

// One leader after another, each with a log whose end its successor may never see: whatever a
// renewal was answered with holds, and who is left alone ends all the same.
class RandomLeaders {
 public:
  explicit RandomLeaders(uint64_t seed) : random_(seed), lessor_(&engine_) { Promote(); }

  void Run(int steps) {
    for (int step = 0; step < steps; ++step) {
      now_ += Milliseconds(static_cast<int64_t>(random_.Below(3000)));
      const auto id = static_cast<int64_t>(random_.Between(1, 10));
      if (random_.OneIn(60)) ChangeLeader();
      if (random_.OneIn(2)) ApplyNext();
      if (random_.OneIn(5)) {
        const auto ttl = static_cast<int64_t>(random_.Between(1, 60));
        Propose([this, id, ttl, from = now_] { Grant(id, ttl, from); });
      } else if (random_.OneIn(4)) {
        Renew(id);
      } else {
        TakeCheckpoints();
      }
      Expire();
      if (testing::Test::HasFatalFailure()) return;
    }
  }
  uint64_t carried() const { return carried_; }

 private:
  void Promote() { lessor_.Promote(now_, Duration(0), Seconds(2)); }
  void Propose(std::function<void()> entry) { log_.push_back(std::move(entry)); }
  void ApplyNext() {
    if (log_.empty()) return;
    ++index_;
    std::exchange(log_.front(), nullptr)();
    log_.pop_front();
    lessor_.StartClocks(now_);
    engine_.Write(batch_);
    batch_.Clear();
  }
  void ChangeLeader() {
    for (uint64_t kept = random_.Below(log_.size() + 1); kept > 0; --kept) ApplyNext();
    log_.clear();
    lessor_.Demote();
    Promote();
    for (const auto& [id, promised] : promised_) carried_ += lessor_.Checkpointed(id) ? 1 : 0;
  }
  void Grant(int64_t id, int64_t ttl, Instant from) {
    if (lessor_.Grant(id, ttl, index_, batch_).ok()) promised_[id] = from + Seconds(ttl);
  }
  void Renew(int64_t id) {
    const auto ttl = lessor_.Renew(id, now_);
    if (!ttl.ok()) return;
    const auto promise = [this, id, until = now_ + Seconds(*ttl)] {
      if (lessor_.Exists(id)) promised_[id] = std::max(promised_[id], until);
    };
    if (!lessor_.Checkpointed(id)) return promise();
    Propose([this, full = lessor_.FullAgain(id), promise] {
      lessor_.Checkpoint(full, batch_);
      promise();
    });
  }
  void TakeCheckpoints() {
    const LeaseCheckpoints taken = lessor_.TakeCheckpoints(now_, random_.Between(1, 3));
    if (taken.leases.empty()) return;
    Propose([this, taken] { lessor_.Checkpoint(taken, batch_); });
  }
  void Expire() {
    for (const int64_t id : lessor_.TakeExpired(now_, kAll)) {
      ASSERT_LE(promised_.at(id), now_) << "lease " << id;
      Propose([this, id] {
        if (lessor_.Revoke(id, batch_).ok()) promised_.erase(id);
      });
    }
  }

  Random random_;
  MemoryEngine engine_;
  WriteBatch batch_;
  Lessor lessor_;
  Instant now_ = At(1);
  uint64_t index_ = 0;
  std::deque<std::function<void()>> log_;  // not applied yet
  std::map<int64_t, Instant> promised_;
  uint64_t carried_ = 0;
};

TEST(CheckpointsOfManyLeaders, EndNoLeaseEarly) {
  uint64_t carried = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(seed);
    RandomLeaders leaders(seed);
    leaders.Run(2000);
    ASSERT_FALSE(testing::Test::HasFatalFailure());
    carried += leaders.carried();
  }
  EXPECT_GT(carried, 100u) << "leaders that have found checkpoints";
}

}  // namespace
}  // namespace conclave::kv
