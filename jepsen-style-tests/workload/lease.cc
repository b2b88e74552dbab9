// Leases: granted for some seconds, with keys put on them and taken by others, kept alive for a
// while, and then revoked or left to run out. When each may and must end is for the lease rules to
// say, which judge all leases of a run together.
#include <fmt/format.h>

#include <string>

#include "jepsen-style-tests/workload/all_workloads.h"
#include "jepsen-style-tests/workload/requests.h"

namespace conclave::sim {

namespace {

constexpr std::string_view kPrefix = "lease/";
constexpr uint64_t kKeys = 8;
constexpr uint64_t kTtlMaxS = 10;
constexpr uint64_t kOkGrantsMin = 3;
// Ids that clients choose are above those of other workloads.
constexpr uint64_t kFirstChosenId = uint64_t{1} << 40;
// In a healthy cluster a lease that nobody renews ends so long after its TTL at the latest.
constexpr Duration kExpirySlack = Seconds(4);

// Of the leases that see the leader change: the TTL, and after how long what happens. By then the
// rules are sure of checkpoints that leave half the TTL at most.
constexpr int64_t kHandedOverTtlS = 24;
constexpr Duration kRenewedAfter = Seconds(17);
constexpr Duration kHandedOverAfter = Seconds(2);  // later
constexpr Duration kSeenAfter = Seconds(20);       // later

class Lease : public Workload {
 public:
  Lease(World* world, History* history, Random drawn) : Workload("lease", world, history, drawn) {}

  void Start() override { SpawnClients(&Lease::Client); }
  bool Enough() const override { return ok_grants_ >= kOkGrantsMin; }
  Co<void> FinalReads(Session& session) override;
  std::vector<checker::Report> Check() override { return {}; }

 private:
  Co<void> Client(Session& session);
  Co<void> Use(Session& session, int64_t lease);
  Co<void> Finish(Session& session, int64_t lease, int64_t ttl_s);
  Co<void> KeepAliveEverywhere(Session& session, int64_t lease);
  Co<void> Operate(Session& session, int64_t lease);
  Co<void> HandOver(Session& session);
  Co<void> MoveLeader(Session& session);
  static etcdserverpb::TxnRequest PutTwo(Session& session, int64_t lease);

  static std::string Key(uint64_t number) { return fmt::format("{}{}", kPrefix, number); }
  static std::string AnyKey(Session& session) { return Key(session.random().Below(kKeys)); }

  uint64_t ok_grants_ = 0;
};

Co<void> Lease::Client(Session& session) {
  while (loading()) {
    int64_t id = 0;
    if (session.random().OneIn(2)) {
      id = static_cast<int64_t>(kFirstChosenId + session.UniqueNumber());
    }
    const auto ttl_s = static_cast<int64_t>(session.random().Between(1, kTtlMaxS));
    const auto grant = co_await session.LeaseGrant(id, ttl_s);
    if (grant.ok()) {
      ++ok_grants_;
      co_await Use(session, grant.response.id());
      co_await Finish(session, grant.response.id(), grant.response.ttl());
    }
    co_await Think(session);
  }
}

Co<void> Lease::Use(Session& session, int64_t lease) {
  for (uint64_t steps = session.random().Below(12); steps > 0 && loading(); --steps) {
    co_await Operate(session, lease);
    co_await Think(session);
  }
}

Co<void> Lease::Operate(Session& session, int64_t lease) {
  switch (session.random().Below(8)) {
    case 0:
    case 1:
      co_await session.Put(AnyKey(session), session.UniqueValue(), lease);
      break;
    case 2:
      co_await session.Txn(PutTwo(session, lease));
      break;
    case 3:
      co_await session.LeaseTimeToLive(lease, /*keys=*/session.random().OneIn(2));
      break;
    case 4:
      co_await session.Range(RangeOfPrefix(kPrefix));
      break;
    default:
      co_await session.LeaseKeepAlive(lease);
  }
}

// Revokes it, or leaves it alone; in that case sometimes looks at what has become of it.
Co<void> Lease::Finish(Session& session, int64_t lease, int64_t ttl_s) {
  const uint64_t choice = session.random().Below(4);
  if (choice == 0) {
    co_await session.LeaseRevoke(lease);
    co_await KeepAliveEverywhere(session, lease);
  } else if (choice == 1) {
    co_await session.SleepUpTo(Seconds(ttl_s + 1));
    co_await session.LeaseKeepAlive(lease);
    co_await session.LeaseTimeToLive(lease, /*keys=*/true);
  }
}

// One key comes to the lease, another leaves whichever it was on.
etcdserverpb::TxnRequest Lease::PutTwo(Session& session, int64_t lease) {
  const uint64_t first = session.random().Below(kKeys);
  etcdserverpb::TxnRequest txn;
  *txn.add_success() = OpPut(Key(first), session.UniqueValue(), lease);
  *txn.add_success() = OpPut(Key((first + 1) % kKeys), session.UniqueValue());
  return txn;
}

// A leader that does not know that it was deposed is among them.
Co<void> Lease::KeepAliveEverywhere(Session& session, int64_t lease) {
  const std::vector<size_t> members = world().Serving();
  for (const size_t member : members) {
    session.GoTo(member);
    co_await session.LeaseKeepAlive(lease);
  }
}

// Two leases see the leader change late in their lives. One was left alone and has no more than the
// rest of its time left; the other was renewed just before and has all of it.
Co<void> Lease::HandOver(Session& session) {
  const auto alone = co_await session.LeaseGrant(0, kHandedOverTtlS);
  if (alone.ok()) co_await session.Put(Key(0), session.UniqueValue(), alone.response.id());
  const auto renewed = co_await session.LeaseGrant(0, kHandedOverTtlS);
  co_await session.Sleep(kRenewedAfter);
  if (renewed.ok()) co_await session.LeaseKeepAlive(renewed.response.id());
  co_await session.Sleep(kHandedOverAfter);
  co_await MoveLeader(session);
  co_await session.Sleep(kSeenAfter);
}

Co<void> Lease::MoveLeader(Session& session) {
  const Member* const leader = world().leader();
  if (leader == nullptr) co_return;
  const size_t leads = leader->position();
  const std::vector<size_t> members = world().Serving();
  const size_t target = members[session.random().Below(members.size())];
  session.GoTo(leads);
  co_await session.MoveLeader(
      world().member(target == leads ? members.front() : target).id().value());
}

// Waits until all leases of the clients have run out.
Co<void> Lease::FinalReads(Session& session) {
  const bool checkpoints = world().options().member.node.leases.checkpoint_step_min <= Seconds(2);
  if (checkpoints) {
    co_await HandOver(session);
  } else {
    co_await session.Sleep(Seconds(kTtlMaxS) + kExpirySlack);
  }
  co_await session.Range(RangeOfPrefix(kPrefix));
}

}  // namespace

std::unique_ptr<Workload> MakeLease(World* world, History* history, Random random) {
  return std::make_unique<Lease>(world, history, random);
}

}  // namespace conclave::sim
