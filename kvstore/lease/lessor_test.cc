// Leases as replicated state, and their clocks on the leader (reference: behaviour section 7).
#include "kvstore/lease/lessor.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kvstore/engine/memory_engine.h"
#include "kvstore/errors.h"
#include "raft/base/random.h"
#include "raft/base/test_scale.h"

namespace conclave::kv {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr Instant At(int64_t seconds) { return Instant(Seconds(seconds)); }
constexpr size_t kAll = 1000000;

class LessorTest : public testing::Test {
 protected:
  LessorTest() : lessor_(std::make_unique<Lessor>(&engine_)) {}

  void Commit() {
    engine_.Write(batch_);
    batch_.Clear();
  }
  void Grant(int64_t id, int64_t ttl_seconds) {
    ASSERT_TRUE(lessor_->Grant(id, ttl_seconds, ++index_, batch_).ok());
    Commit();
  }
  void Revoke(int64_t id) {
    ASSERT_TRUE(lessor_->Revoke(id, batch_).ok());
    Commit();
  }
  void Attach(int64_t id, std::string_view key) {
    lessor_->Attach(id, key, batch_);
    Commit();
  }
  void Restart() { lessor_ = std::make_unique<Lessor>(&engine_); }
  size_t EngineKeys() const {
    size_t keys = 0;
    const auto it = engine_.NewIterator();
    for (it->Seek(""); it->Valid(); it->Next()) ++keys;
    return keys;
  }
  std::vector<int64_t> Expired(Instant now) { return lessor_->TakeExpired(now, kAll); }

  MemoryEngine engine_;
  WriteBatch batch_;
  uint64_t index_ = 0;
  std::unique_ptr<Lessor> lessor_;
};

TEST(MinLeaseTtl, IsOneAndAHalfElectionTimeoutsRoundedUp) {
  EXPECT_EQ(MinLeaseTtlSeconds(Milliseconds(1000), Milliseconds(100)), 2);
  EXPECT_EQ(MinLeaseTtlSeconds(Milliseconds(500), Milliseconds(100)), 1);    // 7 ticks: 0.7 s
  EXPECT_EQ(MinLeaseTtlSeconds(Milliseconds(3000), Milliseconds(500)), 5);   // 9 ticks: 4.5 s
  EXPECT_EQ(MinLeaseTtlSeconds(Milliseconds(2000), Milliseconds(1000)), 3);  // 3 ticks, exact
  EXPECT_EQ(MinLeaseTtlSeconds(Milliseconds(1500), Milliseconds(1000)), 1);  // 1 tick, 1.5 cut
}

// ---- Replicated state. ----

TEST_F(LessorTest, GrantErrors) {
  Grant(1, 10);
  EXPECT_EQ(lessor_->Grant(1, 20, 2, batch_), ErrLeaseExists());
  EXPECT_EQ(lessor_->Grant(2, kMaxLeaseTtlSeconds + 1, 2, batch_), ErrLeaseTtlTooLarge());
  EXPECT_TRUE(batch_.empty());
  EXPECT_EQ(lessor_->GrantedTtl(1), 10);
  EXPECT_FALSE(lessor_->Exists(2));
  Grant(2, kMaxLeaseTtlSeconds);
}

TEST_F(LessorTest, ATtlThatNoProposerMaySendIsRaisedNotFatal) {
  Grant(1, 0);
  Grant(2, INT64_MIN);
  EXPECT_EQ(lessor_->GrantedTtl(1), 1);
  EXPECT_EQ(lessor_->GrantedTtl(2), 1);
}

TEST_F(LessorTest, RevokeForgetsLeaseAndAttachments) {
  Grant(1, 10);
  Grant(2, 10);
  Attach(1, "b");
  Attach(1, "a");
  Attach(2, "a");
  EXPECT_THAT(lessor_->Keys(1), ElementsAre("a", "b"));
  Revoke(1);
  EXPECT_FALSE(lessor_->Exists(1));
  EXPECT_THAT(lessor_->Keys(1), IsEmpty());
  EXPECT_THAT(lessor_->Keys(2), ElementsAre("a"));
  EXPECT_EQ(lessor_->Revoke(1, batch_), ErrLeaseNotFound());
  Revoke(2);
  EXPECT_EQ(EngineKeys(), 0u) << "nothing may stay behind";
}

TEST_F(LessorTest, DetachTakesOneKeyOff) {
  Grant(1, 10);
  Attach(1, "a");
  Attach(1, "ab");
  lessor_->Detach(1, "a", batch_);
  Commit();
  EXPECT_THAT(lessor_->Keys(1), ElementsAre("ab"));
}

TEST_F(LessorTest, EveryIdAndKeySurvivesARestart) {
  const std::vector<int64_t> ids = {INT64_MIN, -1, 0, 1, 255, 256, INT64_MAX};
  const std::string binary("\0\xff", 2);
  for (size_t i = 0; i < ids.size(); ++i) {
    Grant(ids[i], static_cast<int64_t>(i) + 1);
    Attach(ids[i], binary + std::to_string(i));
  }
  Restart();
  EXPECT_EQ(lessor_->List(), ids) << "by id, as long as this member does not lead";
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(lessor_->GrantedTtl(ids[i]), static_cast<int64_t>(i) + 1);
    EXPECT_THAT(lessor_->Keys(ids[i]), ElementsAre(binary + std::to_string(i)));
  }
  EXPECT_EQ(lessor_->size(), ids.size());
}

// ---- Clocks. ----

TEST_F(LessorTest, FollowersHoldLeasesWithoutDeadline) {
  Grant(1, 10);
  lessor_->StartClocks(At(0));
  EXPECT_EQ(lessor_->NextExpiry(), kNever);
  EXPECT_THAT(Expired(At(1000000)), IsEmpty());
  EXPECT_EQ(lessor_->Remaining(1, At(0)), std::nullopt);
  EXPECT_EQ(lessor_->Renew(1, At(0)).status(), ErrNotPrimaryLessor());
  EXPECT_FALSE(lessor_->Expiring(1, At(1000000)));
}

TEST_F(LessorTest, ClockStartsAtTheFirstStartClocksAfterTheGrant) {
  lessor_->Promote(At(0), Duration(0));
  Grant(1, 10);
  EXPECT_EQ(lessor_->NextExpiry(), kNever);
  EXPECT_EQ(lessor_->Remaining(1, At(50)), 10);
  lessor_->StartClocks(At(100));
  lessor_->StartClocks(At(105));
  EXPECT_EQ(lessor_->NextExpiry(), At(110));
}

TEST_F(LessorTest, AClockNotStartedYetFollowsTheLeadership) {
  lessor_->Promote(At(0), Duration(0));
  Grant(1, 10);
  lessor_->Demote();
  lessor_->StartClocks(At(1));
  EXPECT_EQ(lessor_->NextExpiry(), kNever) << "not on a follower";

  lessor_->Promote(At(2), Duration(0));
  Grant(2, 10);
  lessor_->Promote(At(3), Seconds(5));
  lessor_->StartClocks(At(4));
  EXPECT_EQ(lessor_->NextExpiry(), At(18)) << "the extension of the promotion is kept";
}

TEST_F(LessorTest, ExpiresAtItsTtlAndNotBefore) {
  lessor_->Promote(At(0), Duration(0));
  Grant(1, 10);
  lessor_->StartClocks(At(0));
  EXPECT_THAT(Expired(At(10) - Duration(1)), IsEmpty());
  EXPECT_FALSE(lessor_->Expiring(1, At(10) - Duration(1)));
  EXPECT_TRUE(lessor_->Expiring(1, At(10)));
  EXPECT_THAT(Expired(At(10)), ElementsAre(1));
}

TEST_F(LessorTest, RemainingIsTruncatedTowardZeroAndGoesNegative) {
  lessor_->Promote(At(0), Duration(0));
  Grant(1, 10);
  lessor_->StartClocks(At(0));
  EXPECT_EQ(lessor_->Remaining(1, At(0)), 10);
  EXPECT_EQ(lessor_->Remaining(1, At(0) + Duration(1)), 9);
  EXPECT_EQ(lessor_->Remaining(1, At(10) + Milliseconds(999)), 0);
  EXPECT_EQ(lessor_->Remaining(1, At(12)), -2);
  EXPECT_EQ(lessor_->Remaining(99, At(0)), std::nullopt);
}

TEST_F(LessorTest, RenewGivesTheFullTtlAgain) {
  lessor_->Promote(At(0), Duration(0));
  Grant(1, 10);
  lessor_->StartClocks(At(0));
  EXPECT_EQ(lessor_->Renew(1, At(9)).value(), 10);
  EXPECT_THAT(Expired(At(18)), IsEmpty());
  EXPECT_THAT(Expired(At(19)), ElementsAre(1));
  EXPECT_EQ(lessor_->Renew(2, At(9)).status(), ErrLeaseNotFound());
}

TEST_F(LessorTest, AnExpiredLeaseCannotBeRenewed) {
  lessor_->Promote(At(0), Duration(0));
  Grant(1, 10);
  lessor_->StartClocks(At(0));
  EXPECT_EQ(lessor_->Renew(1, At(10)).status(), ErrLeaseNotFound());
  EXPECT_THAT(Expired(At(10)), ElementsAre(1));
  EXPECT_EQ(lessor_->Renew(1, At(11)).status(), ErrLeaseNotFound());
  EXPECT_TRUE(lessor_->Expiring(1, At(11)));
}

TEST_F(LessorTest, ALeaseHandedOutComesAgainOnlyWhenToldTo) {
  lessor_->Promote(At(0), Duration(0));
  Grant(1, 10);
  Grant(2, 10);
  lessor_->StartClocks(At(0));
  EXPECT_THAT(Expired(At(10)), ElementsAre(1, 2));
  EXPECT_EQ(lessor_->NextExpiry(), kNever);
  Revoke(1);
  lessor_->RetryAt(1, At(17));
  lessor_->RetryAt(2, At(17));
  EXPECT_EQ(lessor_->NextExpiry(), At(17));
  EXPECT_THAT(Expired(At(17) - Duration(1)), IsEmpty());
  EXPECT_THAT(Expired(At(17)), ElementsAre(2));
  EXPECT_EQ(lessor_->Remaining(2, At(17)), -7) << "the expiry itself does not move";
}

TEST_F(LessorTest, ALateRetryDoesNotTouchANewLeaseOfTheSameId) {
  lessor_->Promote(At(0), Duration(0));
  Grant(1, 10);
  lessor_->StartClocks(At(0));
  EXPECT_THAT(Expired(At(10)), ElementsAre(1));
  Revoke(1);
  Grant(1, 20);
  lessor_->StartClocks(At(11));
  lessor_->RetryAt(1, At(12));
  EXPECT_EQ(lessor_->NextExpiry(), At(31));
}

TEST_F(LessorTest, TakeExpiredHonoursTheLimitLongestDueFirst) {
  lessor_->Promote(At(0), Duration(0));
  Grant(1, 12);
  Grant(2, 10);
  Grant(3, 11);
  lessor_->StartClocks(At(0));
  EXPECT_THAT(lessor_->TakeExpired(At(20), 2), ElementsAre(2, 3));
  EXPECT_THAT(lessor_->TakeExpired(At(20), 2), ElementsAre(1));
  EXPECT_THAT(lessor_->TakeExpired(At(20), 2), IsEmpty());
  EXPECT_THAT(lessor_->TakeExpired(At(40), 0), IsEmpty());
}

TEST_F(LessorTest, ListIsByRemainingTimeOnTheLeader) {
  lessor_->Promote(At(0), Duration(0));
  Grant(1, 30);
  Grant(2, 10);
  Grant(3, 20);
  lessor_->StartClocks(At(0));
  EXPECT_THAT(lessor_->List(), ElementsAre(2, 3, 1));
  ASSERT_TRUE(lessor_->Renew(2, At(9)).ok());  // until 19
  ASSERT_TRUE(lessor_->Renew(3, At(5)).ok());  // until 25
  EXPECT_THAT(lessor_->List(), ElementsAre(2, 3, 1));
  ASSERT_TRUE(lessor_->Renew(2, At(18)).ok());  // until 28
  EXPECT_THAT(lessor_->List(), ElementsAre(3, 2, 1));
  lessor_->Demote();
  EXPECT_THAT(lessor_->List(), ElementsAre(1, 2, 3));
}

TEST_F(LessorTest, PromoteGivesFullTtlPlusExtensionAlsoToWhatHadRunOut) {
  lessor_->Promote(At(0), Duration(0));
  Grant(1, 10);
  lessor_->StartClocks(At(0));
  EXPECT_THAT(Expired(At(10)), ElementsAre(1));
  lessor_->Demote();
  EXPECT_FALSE(lessor_->promoted());
  EXPECT_EQ(lessor_->NextExpiry(), kNever);
  lessor_->Promote(At(20), Milliseconds(1500));
  EXPECT_TRUE(lessor_->promoted());
  EXPECT_EQ(lessor_->NextExpiry(), At(30) + Milliseconds(1500));
}

TEST_F(LessorTest, PromoteSpreadsPiledUpExpiriesTo750ASecond) {
  constexpr int kLeases = 5000;
  for (int id = 1; id <= kLeases; ++id) Grant(id, 10);
  Grant(kLeases + 1, 3600);
  lessor_->Promote(At(0), Duration(0));
  EXPECT_EQ(lessor_->NextExpiry(), At(10));

  std::vector<Instant> expiries;
  for (Instant now = At(10); expiries.size() < kLeases; now = lessor_->NextExpiry()) {
    ASSERT_LT(now, At(3600));
    const size_t expired = lessor_->TakeExpired(now, kAll).size();
    expiries.insert(expiries.end(), expired, now);
  }
  for (size_t i = 750; i < expiries.size(); ++i) {
    ASSERT_GE(expiries[i] - expiries[i - 750], Seconds(1)) << i;
  }
  EXPECT_LE(expiries.back(), At(10 + kLeases / 750 + 1)) << "and no later than needed";
  EXPECT_EQ(lessor_->NextExpiry(), At(3600)) << "a lease outside the pile keeps its time";
}

TEST_F(LessorTest, TheLargestTtlDoesNotOverflowTheTimeLine) {
  const Instant late(Seconds(int64_t{1} << 30));
  Grant(1, kMaxLeaseTtlSeconds);
  lessor_->Promote(late, Seconds(10));
  EXPECT_GT(lessor_->NextExpiry(), late);
  EXPECT_LT(lessor_->NextExpiry(), kNever);
  EXPECT_EQ(lessor_->Renew(1, late).value(), kMaxLeaseTtlSeconds);
  EXPECT_THAT(Expired(late), IsEmpty());
}

TEST_F(LessorTest, RevokedAndGrantedAgainStartsFresh) {
  lessor_->Promote(At(0), Duration(0));
  Grant(1, 10);
  lessor_->StartClocks(At(0));
  Revoke(1);
  EXPECT_EQ(lessor_->NextExpiry(), kNever);
  Grant(1, 20);
  lessor_->StartClocks(At(5));
  EXPECT_EQ(lessor_->NextExpiry(), At(25));
}

// Random grants, renewals, revokes and clocks: whatever happens, a lease is handed out exactly when
// its own time is up.
TEST_F(LessorTest, NeverExpiresBeforeTheTtlAndAlwaysAfterIt) {
  for (int seed = 1; seed <= Scaled(50); ++seed) {
    SCOPED_TRACE(seed);
    Random random(static_cast<uint64_t>(seed));
    MemoryEngine engine;
    Lessor lessor(&engine);
    WriteBatch batch;
    Instant now = At(1);
    std::map<int64_t, Instant> deadlines;
    lessor.Promote(now, Duration(0));
    for (int step = 0; step < 1000; ++step) {
      now += Milliseconds(static_cast<int64_t>(random.Below(500)));
      const auto id = static_cast<int64_t>(random.Below(40));
      const auto ttl = static_cast<int64_t>(random.Between(1, 30));
      if (random.OneIn(3)) {
        if (lessor.Grant(id, ttl, 1, batch).ok()) deadlines[id] = now + Seconds(ttl);
        lessor.StartClocks(now);
      } else if (random.OneIn(5)) {
        if (lessor.Revoke(id, batch).ok()) deadlines.erase(id);
      } else if (const auto renewed = lessor.Renew(id, now); renewed.ok()) {
        ASSERT_GT(deadlines.at(id), now);
        deadlines[id] = now + Seconds(*renewed);
      }
      engine.Write(batch);
      batch.Clear();

      Instant earliest = kNever;
      std::vector<int64_t> due;
      for (const auto& [lease, deadline] : deadlines) {
        earliest = std::min(earliest, deadline);
        if (deadline <= now) due.push_back(lease);
      }
      ASSERT_EQ(lessor.NextExpiry(), earliest);
      ASSERT_THAT(lessor.TakeExpired(now, kAll), testing::UnorderedElementsAreArray(due));
      for (const int64_t lease : due) {
        ASSERT_TRUE(lessor.Revoke(lease, batch).ok());
        deadlines.erase(lease);
      }
      ASSERT_EQ(lessor.size(), deadlines.size());
    }
  }
}

}  // namespace
}  // namespace conclave::kv
