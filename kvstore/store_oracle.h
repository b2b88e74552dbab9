// What a Store should answer, said as plainly as possible: a whole copy of all keys for every
// revision. Written from the reference alone (behaviour sections 2 and 3), so that it shares no
// mistake with the store. Test code.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/mvcc/event.h"
#include "kvstore/proto/rpc.pb.h"
#include "kvstore/store.h"

namespace conclave::kv {

class StoreOracle {
 public:
  // All keys at one revision.
  using State = std::map<std::string, mvccpb::KeyValue>;

  // Keeps so many results of requests with an id.
  explicit StoreOracle(size_t results_max = 1000) : states_(2), results_max_(results_max) {}

  int64_t revision() const { return static_cast<int64_t>(states_.size()) - 1; }
  int64_t compact_revision() const { return compact_revision_; }
  const std::set<int64_t>& leases() const { return leases_; }
  const State& state(int64_t revision) const { return states_[static_cast<size_t>(revision)]; }
  // What each revision did, in order: the key, and whether it was deleted.
  using Changes = std::vector<std::pair<std::string, bool>>;
  const Changes& changes(int64_t revision) const { return changes_.at(revision); }

  // `run` under an id, unless it has a result: the first result of the newest ids there are.
  // `request` is all that tells one request from another.
  ApplyResult Once(const std::string& id, const std::string& request,
                   const std::function<ApplyResult()>& run);
  // Whether the id has a result.
  bool Knows(const std::string& id) const;

  ApplyResult Put(const etcdserverpb::PutRequest& request);
  ApplyResult DeleteRange(const etcdserverpb::DeleteRangeRequest& request);
  ApplyResult Txn(const etcdserverpb::TxnRequest& request);
  ApplyResult Compact(const etcdserverpb::CompactionRequest& request);
  ApplyResult LeaseGrant(const etcdserverpb::LeaseGrantRequest& request);
  ApplyResult LeaseRevoke(const etcdserverpb::LeaseRevokeRequest& request);
  absl::Status Range(const etcdserverpb::RangeRequest& request,
                     etcdserverpb::RangeResponse* response) const;
  std::vector<std::string> KeysOf(int64_t lease) const;

 private:
  // A command under way.
  struct Change {
    State state;
    Changes changes;
  };

  int64_t CurrentIn(const Change& change) const { return revision() + !change.changes.empty(); }
  Change Begin() const { return {states_.back(), {}}; }
  void End(Change change);

  absl::Status CheckLease(const etcdserverpb::PutRequest& request) const;
  absl::Status CheckKept(const etcdserverpb::PutRequest& request) const;
  void PutIn(Change& change, const etcdserverpb::PutRequest& request,
             etcdserverpb::PutResponse* response) const;
  void DeleteIn(Change& change, const etcdserverpb::DeleteRangeRequest& request,
                etcdserverpb::DeleteRangeResponse* response) const;
  bool Succeeds(const etcdserverpb::TxnRequest& request) const;
  absl::Status CheckTxn(const etcdserverpb::TxnRequest& request) const;
  void TxnIn(Change& change, const etcdserverpb::TxnRequest& request,
             etcdserverpb::TxnResponse* response) const;

  struct Result {
    std::string id;
    std::string request;
    ApplyResult result;
  };

  std::vector<State> states_;  // revision 1 is empty
  const size_t results_max_;
  std::vector<Result> results_;  // oldest first
  std::map<int64_t, Changes> changes_;
  std::set<int64_t> leases_;
  int64_t compact_revision_ = -1;
};

}  // namespace conclave::kv
