// Locks and elections, as etcd's clients build them: a key on a lease under the lock's name, the
// oldest key owns, and who waits watches the key before its own. What the owner does is fenced: a
// transaction that takes effect only while its key is there. Owners pause, forget their leases and
// vanish; no update of theirs may come through afterwards.
#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "jepsen-style-tests/checker/lock_rules.h"
#include "jepsen-style-tests/workload/all_workloads.h"
#include "jepsen-style-tests/workload/requests.h"
#include "jepsen-style-tests/workload/watch_stream.h"
#include "raft/base/seeded_bug.h"

namespace conclave::sim {

namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::TxnRequest;

constexpr uint64_t kTtlMaxS = 5;
constexpr uint64_t kOkMin = 3;  // of acquisitions, and of updates
// How long a client stands in the queue, and before it looks again.
constexpr Duration kWaitMax = Seconds(20);
constexpr Duration kLookAgain = Seconds(1);
constexpr Duration kWatchStep = Milliseconds(50);

// What a client has of a lock: its place in the queue.
struct Claim {
  std::string name = {};
  std::string key = {};
  int64_t lease = 0;
  int64_t ttl_s = 0;
  int64_t token = 0;  // create_revision of the key; 0 if it is not known to be there
};

// The oldest key under the lock's name.
RangeRequest FirstOf(const std::string& name) {
  RangeRequest range = RangeOfPrefix(name + "/");
  range.set_sort_target(RangeRequest::CREATE);
  range.set_sort_order(RangeRequest::ASCEND);
  range.set_limit(1);
  return range;
}

// The newest of those older than the claim.
RangeRequest BeforeOf(const Claim& claim) {
  RangeRequest range = RangeOfPrefix(claim.name + "/");
  range.set_sort_target(RangeRequest::CREATE);
  range.set_sort_order(RangeRequest::DESCEND);
  range.set_max_create_revision(claim.token - 1);
  range.set_limit(1);
  return range;
}

class Lock : public Workload {
 public:
  // An election is a lock whose owner speaks through its key.
  Lock(std::string name, bool election, World* world, History* history, Random drawn)
      : Workload(std::move(name), world, history, drawn),
        election_(election),
        locks_(random().Between(1, 2)) {}

  void Start() override { SpawnClients(&Lock::Client); }
  bool Enough() const override {
    return locks_history_.acquisitions.size() >= kOkMin && ok_updates_ >= kOkMin;
  }
  std::vector<checker::Report> Check() override {
    return {checker::CheckLocks(locks_history_, world().events(),
                                {.acquisitions_min = kOkMin, .updates_min = kOkMin})};
  }

 private:
  Co<void> Client(Session& session);
  // Whether it stands in the queue; `owns` if at its head.
  Co<bool> Enter(Session& session, Claim& claim, bool& owns);
  // Whether it has come to own.
  Co<bool> Wait(Session& session, const Claim& claim);
  Co<bool> OwnsNow(Session& session, const Claim& claim);
  Co<void> WaitForDelete(Session& session, std::string key, int64_t from_revision);
  Co<void> Hold(Session& session, const Claim& claim);
  // False if it is told that it does not own any more.
  Co<bool> Update(Session& session, const Claim& claim);
  Co<void> Proclaim(Session& session, const Claim& claim);
  Co<void> Leave(Session& session, const Claim& claim);

  template <typename Response>
  void Acquired(const Session& session, const Claim& claim, const Answer<Response>& shown);

  const bool election_;
  const uint64_t locks_;
  checker::LockHistory locks_history_;
  uint64_t ok_updates_ = 0;
};

Co<void> Lock::Client(Session& session) {
  while (loading()) {
    Claim claim{.name = fmt::format("{}/{}", name(), session.random().Below(locks_))};
    bool owns = false;
    const bool entered = co_await Enter(session, claim, owns);
    if (entered && !owns) owns = co_await Wait(session, claim);
    if (owns) co_await Hold(session, claim);
    co_await Leave(session, claim);
    co_await Think(session);
  }
}

// ---- Standing in the queue. ----

Co<bool> Lock::Enter(Session& session, Claim& claim, bool& owns) {
  const auto ttl_s = static_cast<int64_t>(session.random().Between(1, kTtlMaxS));
  const auto grant = co_await session.LeaseGrant(0, ttl_s);
  if (!grant.ok()) co_return false;
  claim.lease = grant.response.id();
  claim.ttl_s = grant.response.ttl();
  claim.key = fmt::format("{}/{:x}", claim.name, claim.lease);

  TxnRequest txn;
  *txn.add_compare() = IfCreateRevision(claim.key, 0);
  *txn.add_success() = OpPut(claim.key, session.UniqueValue(), claim.lease);
  *txn.add_success() = OpRange(FirstOf(claim.name));
  const auto answer = co_await session.Txn(txn);
  if (answer.ok() && answer.response.succeeded()) {
    claim.token = answer.response.header().revision();
    const auto& first = answer.response.responses(1).response_range();
    owns = first.kvs_size() == 1 && first.kvs(0).key() == claim.key;
    if (owns) Acquired(session, claim, answer);
    co_return true;
  }
  // Nobody knows whether it has been put.
  const auto found = co_await session.Get(claim.key);
  if (!found.ok() || found.response.kvs_size() == 0) co_return false;
  claim.token = found.response.kvs(0).create_revision();
  co_return true;
}

template <typename Response>
void Lock::Acquired(const Session& session, const Claim& claim, const Answer<Response>& shown) {
  locks_history_.acquisitions.push_back({.process = session.client(),
                                         .name = claim.name,
                                         .key = claim.key,
                                         .token = claim.token,
                                         .revision = shown.response.header().revision(),
                                         .called_ns = shown.called_ns,
                                         .returned_ns = shown.returned_ns});
}

Co<bool> Lock::Wait(Session& session, const Claim& claim) {
  const int64_t give_up_ns = world().NowNs() + kWaitMax.count();
  while (loading() && world().NowNs() < give_up_ns) {
    if (!session.random().OneIn(4)) co_await session.LeaseKeepAlive(claim.lease);
    const auto before = co_await session.Range(BeforeOf(claim));
    if (!before.ok()) {
      co_await Think(session);
      continue;
    }
    if (before.response.kvs_size() == 0) {
      const bool owns = co_await OwnsNow(session, claim);
      co_return owns;
    }
    const int64_t revision = before.response.header().revision();
    co_await WaitForDelete(session, before.response.kvs(0).key(), revision + 1);
  }
  co_return false;
}

// Nobody is before it; does it still stand there itself?
Co<bool> Lock::OwnsNow(Session& session, const Claim& claim) {
  const auto own = co_await session.Get(claim.key);
  const bool there = own.ok() && own.response.kvs_size() == 1 &&
                     own.response.kvs(0).create_revision() == claim.token;
  if (there) Acquired(session, claim, own);
  co_return there;
}

// By a watch or, as some clients do, by looking again.
Co<void> Lock::WaitForDelete(Session& session, std::string key, int64_t from_revision) {
  if (session.random().OneIn(3)) {
    co_await session.SleepUpTo(kLookAgain);
    co_return;
  }
  etcdserverpb::WatchCreateRequest create;
  create.set_key(key);
  create.set_start_revision(from_revision);
  create.add_filters(etcdserverpb::WatchCreateRequest::NOPUT);
  const auto over = std::make_shared<bool>(false);
  WatchStream stream(&world(), session.client(), session.member(), /*has_leader=*/true);
  stream.Create(create, [over](const checker::ReceivedWatchResponse& received) {
    *over = *over || received.response.canceled() || received.response.events_size() > 0;
  });
  const int64_t look_again_ns = world().NowNs() + kLookAgain.count();
  while (!*over && !stream.over() && world().NowNs() < look_again_ns) {
    co_await session.Sleep(kWatchStep);
  }
}

// ---- Owning. ----

Co<void> Lock::Hold(Session& session, const Claim& claim) {
  // Some fall asleep while they own, until their lease is gone.
  const bool oversleeps = session.random().OneIn(3);
  for (uint64_t updates = session.random().Between(1, 4); updates > 0; --updates) {
    if (oversleeps && updates == 1) {
      co_await session.Sleep(Seconds(claim.ttl_s));
      co_await session.SleepUpTo(Seconds(3));
    } else if (session.random().OneIn(2)) {
      co_await session.LeaseKeepAlive(claim.lease);
    }
    const bool owns = co_await Update(session, claim);
    if (!owns) co_return;
    co_await Think(session);
  }
  if (election_) co_await Proclaim(session, claim);
}

Co<bool> Lock::Update(Session& session, const Claim& claim) {
  checker::FencedUpdate update{.process = session.client(),
                               .lock_key = claim.key,
                               .token = claim.token,
                               .target = "fenced/" + claim.name,
                               .value = session.UniqueValue()};
  TxnRequest txn;
  if (!SEEDED_BUG(kLockNotRechecked)) *txn.add_compare() = IfCreateRevision(claim.key, claim.token);
  *txn.add_success() = OpPut(update.target, update.value);
  const auto answer = co_await session.Txn(txn);
  update.id = answer.operation;
  update.outcome = answer.outcome;
  update.succeeded = answer.ok() && answer.response.succeeded();
  update.revision = answer.response.header().revision();
  if (update.succeeded) ++ok_updates_;
  const bool lost = answer.ok() && !update.succeeded;
  locks_history_.updates.push_back(std::move(update));
  co_return !lost;
}

Co<void> Lock::Proclaim(Session& session, const Claim& claim) {
  TxnRequest txn;
  *txn.add_compare() = IfCreateRevision(claim.key, claim.token);
  *txn.add_success() = OpPut(claim.key, session.UniqueValue(), claim.lease);
  co_await session.Txn(txn);
}

// Some vanish instead, and the lease has to see to it.
Co<void> Lock::Leave(Session& session, const Claim& claim) {
  if (claim.lease == 0 || session.random().OneIn(4)) co_return;
  if (claim.token != 0 && session.random().OneIn(2)) {
    TxnRequest resign;
    *resign.add_compare() = IfCreateRevision(claim.key, claim.token);
    *resign.add_success() = OpDelete(claim.key);
    co_await session.Txn(resign);
  }
  co_await session.LeaseRevoke(claim.lease);
}

}  // namespace

std::unique_ptr<Workload> MakeLock(World* world, History* history, Random random) {
  return std::make_unique<Lock>("lock", /*election=*/false, world, history, random);
}

std::unique_ptr<Workload> MakeElection(World* world, History* history, Random random) {
  return std::make_unique<Lock>("election", /*election=*/true, world, history, random);
}

}  // namespace conclave::sim
