// Everything at once: puts, reads, deletes and transactions with every option there is, over a few
// nasty keys. No rule of its own but the revision oracle's, which knows what each of them should
// have done.
#include <algorithm>
#include <string>
#include <string_view>

#include "jepsen-style-tests/workload/all_workloads.h"
#include "jepsen-style-tests/workload/requests.h"
#include "kvstore/random_requests.h"

namespace conclave::sim {

namespace {

constexpr std::string_view kPrefix = "soup/";
// Random requests put leases 1 and 2 on keys, among others that never exist.
constexpr int64_t kLeases = 2;
constexpr uint64_t kTtlMaxS = 60;

// Moves a range into the soup's part of the key space.
template <typename Request>
void MoveRange(Request& request) {
  request.set_key(std::string(kPrefix) + request.key());
  if (request.range_end().empty()) return;
  request.set_range_end(request.range_end() == std::string(1, '\0')
                            ? PrefixEnd(kPrefix)
                            : std::string(kPrefix) + request.range_end());
}

class Soup : public Workload {
 public:
  Soup(World* world, History* history, Random drawn)
      : Workload("soup", world, history, drawn), requests_(random().Next()) {}

  void Start() override {
    Spawn(GrantLeases(NewSession()));
    SpawnClients(&Soup::Client);
  }
  std::vector<checker::Report> Check() override { return {}; }

 private:
  Co<void> GrantLeases(Session& session) {
    for (int64_t lease = 1; lease <= kLeases; ++lease) {
      co_await session.LeaseGrant(lease, static_cast<int64_t>(random().Between(1, kTtlMaxS)));
    }
  }

  Co<void> Client(Session& session);
  Co<void> Operate(Session& session);

  // What reads of the past begin at: the edge of what is compacted, or something recent.
  int64_t Oldest() {
    return random().OneIn(2) ? history().compact_revision()
                             : std::max<int64_t>(2, history().revision_seen() - 30);
  }
  void Move(etcdserverpb::PutRequest& put, Session& session);
  void Move(etcdserverpb::TxnRequest& txn, Session& session);

  kv::RandomRequests requests_;
};

// Makes its value unique as well.
void Soup::Move(etcdserverpb::PutRequest& put, Session& session) {
  put.set_key(std::string(kPrefix) + put.key());
  if (!put.ignore_value()) put.set_value(put.value() + session.UniqueValue());
}

void Soup::Move(etcdserverpb::TxnRequest& txn, Session& session) {
  for (etcdserverpb::Compare& compare : *txn.mutable_compare()) MoveRange(compare);
  for (auto* branch : {txn.mutable_success(), txn.mutable_failure()}) {
    for (etcdserverpb::RequestOp& op : *branch) {
      if (op.has_request_put()) Move(*op.mutable_request_put(), session);
      if (op.has_request_range()) MoveRange(*op.mutable_request_range());
      if (op.has_request_delete_range()) MoveRange(*op.mutable_request_delete_range());
      if (op.has_request_txn()) Move(*op.mutable_request_txn(), session);
    }
  }
}

Co<void> Soup::Client(Session& session) {
  while (loading()) {
    co_await Operate(session);
    co_await Think(session);
  }
}

Co<void> Soup::Operate(Session& session) {
  switch (session.random().Below(8)) {
    case 0: {
      etcdserverpb::DeleteRangeRequest request = requests_.DeleteRange();
      MoveRange(request);
      co_await session.DeleteRange(request);
      break;
    }
    case 1:
    case 2: {
      etcdserverpb::RangeRequest request = requests_.Range(Oldest(), history().revision_seen());
      MoveRange(request);
      request.set_serializable(session.random().OneIn(4));
      co_await session.Range(request);
      break;
    }
    case 3:
    case 4: {
      etcdserverpb::PutRequest request = requests_.Put();
      Move(request, session);
      co_await session.Put(request);
      break;
    }
    default: {
      etcdserverpb::TxnRequest request = requests_.Txn(Oldest(), history().revision_seen());
      Move(request, session);
      co_await session.Txn(request);
    }
  }
}

}  // namespace

std::unique_ptr<Workload> MakeSoup(World* world, History* history, Random random) {
  return std::make_unique<Soup>(world, history, random);
}

}  // namespace conclave::sim
