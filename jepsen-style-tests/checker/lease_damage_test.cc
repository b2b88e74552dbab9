// What the lease and lock rules must find, inflicted on valid histories.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "jepsen-style-tests/checker/damage.h"
#include "jepsen-style-tests/checker/key_versions.h"

namespace conclave::checker {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;

bool Revoked(const GeneratedHistory& history, int64_t lease) {
  return std::any_of(history.leases.revokes.begin(), history.leases.revokes.end(),
                     [&](const LeaseRevoke& revoke) { return revoke.lease == lease; });
}

// The end of a lease that ran out.
LeaseEnd* PickExpiry(GeneratedHistory& history, Random& random) {
  return Pick(history.leases.ends, random,
              [&](const LeaseEnd& end) { return !Revoked(history, end.lease); });
}

const LeaseGrant& GrantOf(const GeneratedHistory& history, int64_t lease) {
  return *std::find_if(history.leases.grants.begin(), history.leases.grants.end(),
                       [&](const LeaseGrant& grant) { return grant.lease == lease; });
}

void Forget(GeneratedHistory& history, const LeaseEnd* end) {
  history.leases.ends.erase(history.leases.ends.begin() + (end - history.leases.ends.data()));
}

bool EndEarly(GeneratedHistory& history, Random& random) {
  LeaseEnd* end = PickExpiry(history, random);
  if (end == nullptr) return false;
  const LeaseGrant& grant = GrantOf(history, end->lease);
  end->applied_ns = grant.called_ns + grant.ttl_s * kSecondNs - 1;
  return true;
}

bool LoseLease(GeneratedHistory& history, Random& random) {
  LeaseEnd* end = PickExpiry(history, random);
  if (end == nullptr) return false;
  const LeaseGrant& grant = GrantOf(history, end->lease);
  history.leases.keepalives.push_back(
      {end->lease, 0, grant.returned_ns + 1, grant.returned_ns + kSecondNs, Outcome::kOk});
  return true;
}

bool RenewAfterEnd(GeneratedHistory& history, Random& random) {
  LeaseEnd* end = PickExpiry(history, random);
  if (end == nullptr) return false;
  history.leases.keepalives.push_back(
      {end->lease, 5, end->applied_ns + 1, end->applied_ns + 2, Outcome::kOk});
  return true;
}

// A key of the lease survives the revision that should have deleted it.
bool SplitDelete(GeneratedHistory& history, Random& random) {
  LeaseEnd* end = Pick(history.leases.ends, random, [&](const LeaseEnd& candidate) {
    return history.log.At(candidate.revision).size() >= 2;
  });
  if (end == nullptr) return false;
  history.log =
      Edited(history.log, end->revision, [](std::vector<KvEvent>& events) { events.pop_back(); });
  return true;
}

bool SwapDeletes(GeneratedHistory& history, Random& random) {
  LeaseEnd* end = Pick(history.leases.ends, random, [&](const LeaseEnd& candidate) {
    return history.log.At(candidate.revision).size() >= 2;
  });
  if (end == nullptr) return false;
  history.log = Edited(history.log, end->revision,
                       [](std::vector<KvEvent>& events) { std::swap(events[0], events[1]); });
  return true;
}

bool UseAfterEnd(GeneratedHistory& history, Random& random) {
  LeaseEnd* end = PickExpiry(history, random);
  if (end == nullptr) return false;
  KvEvent put;
  put.key = "late";
  put.lease = end->lease;
  history.log.Add(history.log.last_revision() + 1, {put}, history.end_ns);
  return true;
}

bool EndTwice(GeneratedHistory& history, Random& random) {
  LeaseEnd* end = PickExpiry(history, random);
  if (end == nullptr) return false;
  LeaseEnd again = *end;
  again.revision = 0;
  again.applied_ns = history.end_ns;
  history.leases.ends.push_back(again);
  return true;
}

bool NeverEnd(GeneratedHistory& history, Random& random) {
  LeaseEnd* end = PickExpiry(history, random);
  if (end == nullptr) return false;
  Forget(history, end);
  return true;
}

bool EndLate(GeneratedHistory& history, Random& random) {
  LeaseEnd* end = PickExpiry(history, random);
  if (end == nullptr) return false;
  end->applied_ns = history.end_ns;
  return true;
}

bool SurviveRevoke(GeneratedHistory& history, Random& random) {
  LeaseEnd* end = Pick(history.leases.ends, random, [&](const LeaseEnd& candidate) {
    return Revoked(history, candidate.lease);
  });
  if (end == nullptr) return false;
  Forget(history, end);
  return true;
}

bool EndAfterRevoke(GeneratedHistory& history, Random& random) {
  const auto end_of = [&](const LeaseRevoke& revoke) {
    return Pick(history.leases.ends, random, [&](const LeaseEnd& end) {
      return end.lease == revoke.lease && end.revision == revoke.revision;
    });
  };
  LeaseRevoke* revoke = Pick(history.leases.revokes, random, [&](const LeaseRevoke& candidate) {
    return end_of(candidate) != nullptr;
  });
  if (revoke == nullptr) return false;
  --revoke->revision;
  return true;
}

class LeaseDamage : public testing::TestWithParam<Damage> {};

TEST_P(LeaseDamage, IsFound) {
  ExpectFound(GetParam(), [](const GeneratedHistory& history) {
    return CheckLeases(history.leases, history.log);
  });
}

INSTANTIATE_TEST_SUITE_P(
    Damages, LeaseDamage,
    testing::Values(Damage{"EarlyEnd", "lease-early-expiry", EndEarly},
                    Damage{"GoneEarly", "lease-early-expiry", LoseLease},
                    Damage{"RenewedAfterEnd", "lease-renewed-after-end", RenewAfterEnd},
                    Damage{"TwoRevisions", "lease-split-delete", SplitDelete},
                    Damage{"WrongOrder", "lease-split-delete", SwapDeletes},
                    Damage{"UsedAfterEnd", "lease-used-after-end", UseAfterEnd},
                    Damage{"EndedTwice", "lease-ended-twice", EndTwice},
                    Damage{"NeverEnds", "lease-never-expired", NeverEnd},
                    Damage{"EndsLate", "lease-late-expiry", EndLate},
                    Damage{"EndsAfterRevoke", "lease-survived-revoke", EndAfterRevoke},
                    Damage{"SurvivesRevoke", "lease-survived-revoke", SurviveRevoke}),
    NameOf);

TEST(LeaseRules, ClocksMayRunFastAndJump) {
  LeaseHistory history;
  history.grants.push_back({7, 10, 0, 1, Outcome::kOk});
  history.ends.push_back({7, 0, 10 * kSecondNs - 5'000'000});
  EXPECT_EQ(CheckLeases(history, EventLog()).anomaly, "lease-early-expiry");
  EXPECT_EQ(CheckLeases(history, EventLog(), {.clock_drift_ppm = 1000, .leases_min = 1}).verdict,
            Verdict::kPass);
  EXPECT_EQ(CheckLeases(history, EventLog(), {.clock_jump_ns = 5'000'000, .leases_min = 1}).verdict,
            Verdict::kPass);
  EXPECT_EQ(CheckLeases(history, EventLog(), {.clock_drift_ppm = 100}).anomaly,
            "lease-early-expiry");
}

TEST(LeaseRules, UnansweredRequestsKeepALeaseAliveButPromiseNothing) {
  LeaseHistory history;
  history.grants.push_back({7, 2, 0, 1, Outcome::kOk});
  history.healthy.push_back({0, 30 * kSecondNs});
  EXPECT_EQ(CheckLeases(history, EventLog()).anomaly, "lease-never-expired");
  history.keepalives.push_back({7, 0, kSecondNs, kNeverReturned, Outcome::kInfo});
  EXPECT_EQ(CheckLeases(history, EventLog(), {.leases_min = 1}).verdict, Verdict::kPass);
  history.ends.push_back({7, 0, 2 * kSecondNs});
  EXPECT_EQ(CheckLeases(history, EventLog(), {.leases_min = 1}).verdict, Verdict::kPass);
}

// Left alone for 20 of its 24 s, then led by another for 12 s.
TEST(LeaseRules, ALaterLeaderGivesALeaseNoMoreThanItHadLeft) {
  LeaseHistory history;
  history.grants.push_back({7, 24, 0, 1, Outcome::kOk});
  history.healthy.push_back({0, 20 * kSecondNs});
  history.healthy.push_back({21 * kSecondNs, 40 * kSecondNs});
  const LeaseRulesOptions options{.expiry_slack_ns = kSecondNs,
                                  .checkpoint_step_ns = kSecondNs,
                                  .checkpoint_lag_ns = kSecondNs,
                                  .leases_min = 1};
  EXPECT_EQ(CheckLeases(history, EventLog(), {.leases_min = 1}).verdict, Verdict::kPass);
  EXPECT_EQ(CheckLeases(history, EventLog(), options).anomaly, "lease-never-expired");
  // 5 s left, a second until it is committed, a step of 1.5 s, rounded up, and the slack: 9.5 s.
  history.ends.push_back({7, 0, 30 * kSecondNs});
  EXPECT_EQ(CheckLeases(history, EventLog(), options).verdict, Verdict::kPass);
  history.ends.back().applied_ns = 31 * kSecondNs;
  EXPECT_EQ(CheckLeases(history, EventLog(), options).anomaly, "lease-late-expiry");
  // Renewed under the first leader, it has all of its TTL under the second.
  history.keepalives.push_back({7, 24, 11 * kSecondNs, 12 * kSecondNs, Outcome::kOk});
  history.ends.back().applied_ns = 37 * kSecondNs;
  EXPECT_EQ(CheckLeases(history, EventLog(), options).verdict, Verdict::kPass);
}

TEST(LeaseRules, AnIdGrantedTwiceIsInvalid) {
  LeaseHistory history;
  for (int i = 0; i < 5; ++i) history.grants.push_back({7, 2, 0, 1, Outcome::kOk});
  EXPECT_EQ(CheckLeases(history, EventLog()).verdict, Verdict::kInvalid);
}

// ---- Locks. ----

bool GrantToWaiter(GeneratedHistory& history, Random& random) {
  const KeyVersions versions(history.log);
  // A second key at the revision of a grant: its owner only waits.
  const auto waiter = [&](const LockAcquisition& acquisition) {
    for (const auto* kv : versions.Select("lock/", "lock0", acquisition.revision)) {
      if (kv->key() != acquisition.key) return kv;
    }
    return static_cast<const mvccpb::KeyValue*>(nullptr);
  };
  LockAcquisition* acquisition =
      Pick(history.locks.acquisitions, random,
           [&](const LockAcquisition& candidate) { return waiter(candidate) != nullptr; });
  if (acquisition == nullptr) return false;
  const mvccpb::KeyValue* kv = waiter(*acquisition);
  acquisition->key = kv->key();
  acquisition->token = kv->create_revision();
  return true;
}

bool GrantWithoutKey(GeneratedHistory& history, Random& random) {
  LockAcquisition* acquisition =
      Pick(history.locks.acquisitions, random, [](const LockAcquisition&) { return true; });
  if (acquisition == nullptr) return false;
  // As seen later, when the key was gone.
  acquisition->revision = history.log.last_revision();
  return true;
}

bool GrantFromThePast(GeneratedHistory& history, Random&) {
  std::vector<LockAcquisition>& acquisitions = history.locks.acquisitions;
  if (acquisitions.empty() || acquisitions.front().token == acquisitions.back().token) return false;
  LockAcquisition late = acquisitions.front();
  late.called_ns = history.end_ns + 1;
  late.returned_ns = history.end_ns + 2;
  acquisitions.push_back(late);
  return true;
}

FencedUpdate* PickUpdate(GeneratedHistory& history, Random& random, bool succeeded) {
  return Pick(history.locks.updates, random,
              [&](const FencedUpdate& update) { return update.succeeded == succeeded; });
}

bool LoseUpdate(GeneratedHistory& history, Random& random) {
  FencedUpdate* update = PickUpdate(history, random, true);
  if (update == nullptr) return false;
  history.log = Edited(history.log, update->revision,
                       [](std::vector<KvEvent>& events) { events[0].value = "other"; });
  return true;
}

// A refused update is there all the same.
bool ApplyStaleUpdate(GeneratedHistory& history, Random& random) {
  FencedUpdate* update = PickUpdate(history, random, false);
  if (update == nullptr) return false;
  KvEvent put;
  put.key = update->target;
  put.value = update->value;
  history.log.Add(history.log.last_revision() + 1, {put}, history.end_ns);
  return true;
}

bool RefuseHolder(GeneratedHistory& history, Random& random) {
  FencedUpdate* update = PickUpdate(history, random, true);
  if (update == nullptr) return false;
  update->succeeded = false;
  return true;
}

class LockDamage : public testing::TestWithParam<Damage> {};

TEST_P(LockDamage, IsFound) {
  ExpectFound(GetParam(), [](const GeneratedHistory& history) {
    return CheckLocks(history.locks, history.log);
  });
}

INSTANTIATE_TEST_SUITE_P(Damages, LockDamage,
                         testing::Values(Damage{"TwoHolders", "lock-two-holders", GrantToWaiter},
                                         Damage{"NoKey", "lock-not-held", GrantWithoutKey},
                                         Damage{"OldToken", "lock-token-order", GrantFromThePast},
                                         Damage{"LostUpdate", "fence-lost-update", LoseUpdate},
                                         Damage{"StaleFence", "fence-violated", ApplyStaleUpdate},
                                         Damage{"RefusedHolder", "fence-refused", RefuseHolder}),
                         NameOf);

// Both keys are there, so the compare alone lets a waiter in.
TEST(LockRules, TokensOfATargetNeverGoBack) {
  EventLog log;
  const auto put = [&](std::string key, std::string value) {
    const int64_t revision = log.last_revision() + 1;
    KvEvent event;
    event.key = std::move(key);
    event.value = std::move(value);
    event.create_revision = revision;
    event.version = 1;
    log.Add(revision, {event}, revision);
  };
  put("lock/1", "");
  put("lock/2", "");
  put("guarded", "b");
  put("guarded", "a");
  LockHistory history;
  history.updates.push_back({1, 1, "lock/1", 2, "guarded", "a", Outcome::kOk, true, 5});
  history.updates.push_back({2, 2, "lock/2", 3, "guarded", "b", Outcome::kOk, true, 4});
  EXPECT_EQ(CheckLocks(history, log).anomaly, "fence-token-order");
}

}  // namespace
}  // namespace conclave::checker
