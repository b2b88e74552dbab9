#include "jepsen-style-tests/checker/generated_history.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "kvstore/random_requests.h"
#include "kvstore/store_oracle.h"
#include "kvstore/validate.h"
#include "raft/base/text.h"

namespace conclave::checker {
namespace {

using etcdserverpb::CompactionRequest;
using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::PutRequest;
using etcdserverpb::RangeRequest;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;

constexpr int64_t kMillisecondNs = 1'000'000;
constexpr int64_t kSecondNs = 1'000 * kMillisecondNs;
constexpr size_t kTxnOpsMax = 128;
constexpr char kLock[] = "lock";
constexpr char kTarget[] = "guarded";

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed), requests_(random_.Next()) {}

  GeneratedHistory Run(int steps) {
    for (int step = 0; step < steps; ++step) {
      now_ns_ += static_cast<int64_t>(random_.Between(10, 100)) * kMillisecondNs;
      ExpireLeases();
      Step();
    }
    // Left alone, all leases end.
    for (; !leases_.empty(); now_ns_ += 100 * kMillisecondNs) ExpireLeases();
    history_.end_ns = now_ns_ + 20 * kSecondNs;
    history_.leases.healthy.push_back({0, history_.end_ns});
    history_.oracle_options.lease_deletes = std::move(lease_deletes_);
    history_.watch_options.compact_revisions = std::move(compact_revisions_);
    history_.watchers =
        GenerateWatchers(history_.log, *history_.watch_options.compact_revisions, random_);
    ReadFinalStates();
    return std::move(history_);
  }

 private:
  struct Lease {
    int64_t ttl_s = 0;
    int64_t expiry_ns = 0;
  };
  struct LockKey {
    std::string key;
    int64_t token = 0;
  };

  void Step() {
    const uint64_t dice = random_.Below(100);
    if (dice < 30) return Send(UniquePut(requests_.Put()));
    if (dice < 45) return Send(Read());
    if (dice < 52) return Send(requests_.DeleteRange());
    if (dice < 66) return SendTxn();
    if (dice < 69) return Compact();
    if (dice < 75) return GrantLease();
    if (dice < 82) return KeepAlive();
    if (dice < 84) return RevokeLease();
    if (dice < 89) return EnterLock();
    if (dice < 93) return LeaveLock();
    return UpdateUnderLock();
  }

  // ---- Requests. ----

  PutRequest UniquePut(PutRequest put) {
    if (!put.ignore_value()) put.set_value(fmt::format("v{}", ++values_));
    put.set_lease(put.lease() == 0 ? 0 : AnyLease());
    return put;
  }
  // A key that is touched twice in one transaction leaves no trace of the first touch in the
  // oracle's states: no deletes where Validate would let them overlap a put, which is from a key on
  // and in nested transactions.
  TxnRequest Unique(TxnRequest txn, bool nested = false) {
    for (auto* branch : {txn.mutable_success(), txn.mutable_failure()}) {
      for (RequestOp& op : *branch) {
        if (op.has_request_put()) *op.mutable_request_put() = UniquePut(op.request_put());
        if (op.has_request_txn()) *op.mutable_request_txn() = Unique(op.request_txn(), true);
        if (!op.has_request_delete_range()) continue;
        if (nested) {
          *op.mutable_request_range() = Read();
        } else if (op.request_delete_range().range_end() == std::string(1, '\0')) {
          op.mutable_request_delete_range()->clear_range_end();
        }
      }
    }
    return txn;
  }
  RangeRequest Read() {
    RangeRequest range = requests_.Range(oracle_.compact_revision(), oracle_.revision());
    range.set_serializable(random_.OneIn(4));
    return range;
  }

  void SendTxn() {
    const TxnRequest txn = Unique(requests_.Txn(oracle_.compact_revision(), oracle_.revision()));
    if (kv::Validate(txn, kTxnOpsMax).ok()) Send(txn);
  }

  void Compact() {
    CompactionRequest request;
    request.set_revision(requests_.Revision(oracle_.compact_revision(), oracle_.revision()));
    const int64_t before = oracle_.compact_revision();
    Send(request);
    if (oracle_.compact_revision() != before) compact_revisions_.insert(request.revision());
  }

  // ---- Carrying them out, now. ----

  KvOperation NewOperation(KvRequest request) {
    KvOperation operation;
    operation.id = history_.operations.size() + 1;
    operation.process = random_.Below(8);
    operation.called_ns = now_ns_ - static_cast<int64_t>(random_.Below(80 * kMillisecondNs));
    operation.returned_ns = now_ns_ + static_cast<int64_t>(random_.Below(80 * kMillisecondNs));
    operation.request = std::move(request);
    // Answered from a state of before the call.
    if (operation.serializable() && random_.OneIn(2)) {
      operation.called_ns += kSecondNs;
      operation.returned_ns += kSecondNs;
    }
    return operation;
  }

  // Some requests never get there, and some answers never come back.
  void Send(KvRequest request) {
    KvOperation operation = NewOperation(std::move(request));
    const bool lost = random_.OneIn(25);
    if (lost && random_.OneIn(2)) {
      operation.outcome = random_.OneIn(2) ? Outcome::kInfo : Outcome::kFail;
      operation.error = "etcdserver: too many requests";
    } else {
      Apply(operation);
      if (lost) operation.outcome = Outcome::kInfo;
    }
    if (operation.outcome != Outcome::kOk) operation.response = {};
    if (operation.outcome == Outcome::kInfo) operation.returned_ns = kNeverReturned;
    history_.operations.push_back(std::move(operation));
  }

  // One that is certainly answered.
  const KvOperation& SendSafely(KvRequest request) {
    KvOperation operation = NewOperation(std::move(request));
    Apply(operation);
    return history_.operations.emplace_back(std::move(operation));
  }

  void Apply(KvOperation& operation) {
    const int64_t before = oracle_.revision();
    const absl::Status status = std::visit(
        [&](const auto& request) { return Ask(request, operation.response); }, operation.request);
    if (!status.ok()) {
      operation.outcome = Outcome::kFail;
      operation.error = MessageOf(status);
    }
    if (oracle_.revision() != before) Record();
  }

  template <typename T>
  static absl::Status Take(kv::ApplyResult result, KvResponse& response) {
    if (result.status.ok()) response = std::get<T>(std::move(result.response));
    return result.status;
  }
  absl::Status Ask(const PutRequest& request, KvResponse& response) {
    return Take<etcdserverpb::PutResponse>(oracle_.Put(request), response);
  }
  absl::Status Ask(const DeleteRangeRequest& request, KvResponse& response) {
    return Take<etcdserverpb::DeleteRangeResponse>(oracle_.DeleteRange(request), response);
  }
  absl::Status Ask(const TxnRequest& request, KvResponse& response) {
    return Take<etcdserverpb::TxnResponse>(oracle_.Txn(request), response);
  }
  absl::Status Ask(const CompactionRequest& request, KvResponse& response) {
    return Take<etcdserverpb::CompactionResponse>(oracle_.Compact(request), response);
  }
  absl::Status Ask(const RangeRequest& request, KvResponse& response) {
    return oracle_.Range(request, &response.emplace<etcdserverpb::RangeResponse>());
  }

  // Adds the oracle's newest revision to the log.
  void Record() {
    const int64_t revision = oracle_.revision();
    std::vector<KvEvent> events;
    for (const auto& [key, is_delete] : oracle_.changes(revision)) {
      KvEvent& event = events.emplace_back();
      event.key = key;
      event.is_delete = is_delete;
      if (is_delete) continue;
      const mvccpb::KeyValue& kv = oracle_.state(revision).at(key);
      event.value = kv.value();
      event.lease = kv.lease();
      event.create_revision = kv.create_revision();
      event.version = kv.version();
    }
    history_.log.Add(revision, std::move(events), now_ns_);
  }

  // ---- Leases. ----

  int64_t AnyLease() {
    if (leases_.empty()) return 12345;  // not granted
    auto it = leases_.begin();
    std::advance(it, static_cast<ptrdiff_t>(random_.Below(leases_.size())));
    return it->first;
  }

  int64_t NewLease(int64_t ttl_s) {
    etcdserverpb::LeaseGrantRequest request;
    request.set_id(++last_lease_);
    request.set_ttl(ttl_s);
    oracle_.LeaseGrant(request);
    leases_[last_lease_] = {ttl_s, now_ns_ + ttl_s * kSecondNs};
    history_.leases.grants.push_back({last_lease_, ttl_s, now_ns_ - 5 * kMillisecondNs,
                                      now_ns_ + 5 * kMillisecondNs, Outcome::kOk});
    return last_lease_;
  }
  void GrantLease() { NewLease(static_cast<int64_t>(random_.Between(2, 6))); }

  void KeepAlive() {
    const int64_t lease =
        random_.OneIn(4) ? last_lease_ - static_cast<int64_t>(random_.Below(10)) : AnyLease();
    LeaseKeepAlive keepalive{lease, 0, now_ns_ - 5 * kMillisecondNs, now_ns_ + 5 * kMillisecondNs,
                             Outcome::kOk};
    const auto found = leases_.find(lease);
    if (found != leases_.end()) {
      keepalive.ttl_s = found->second.ttl_s;
      found->second.expiry_ns = now_ns_ + found->second.ttl_s * kSecondNs;
    }
    history_.leases.keepalives.push_back(keepalive);
  }

  void RevokeLease() {
    if (leases_.empty()) return;
    const int64_t lease = AnyLease();
    EndLease(lease);
    history_.leases.revokes.push_back({lease, now_ns_ - 5 * kMillisecondNs,
                                       now_ns_ + 5 * kMillisecondNs, Outcome::kOk,
                                       oracle_.revision()});
  }

  void ExpireLeases() {
    std::vector<int64_t> expired;
    for (const auto& [lease, state] : leases_) {
      if (state.expiry_ns <= now_ns_ && random_.OneIn(2)) expired.push_back(lease);
    }
    for (const int64_t lease : expired) EndLease(lease);
  }

  void EndLease(int64_t lease) {
    const int64_t before = oracle_.revision();
    etcdserverpb::LeaseRevokeRequest request;
    request.set_id(lease);
    oracle_.LeaseRevoke(request);
    leases_.erase(lease);
    const bool had_keys = oracle_.revision() != before;
    if (had_keys) {
      Record();
      lease_deletes_.insert(oracle_.revision());
    }
    history_.leases.ends.push_back({lease, had_keys ? oracle_.revision() : 0, now_ns_});
  }

  // ---- The lock, after etcd's recipe. ----

  static std::string LockKeyOf(int64_t lease) {
    return fmt::format("{}/{}", kLock, HexId(static_cast<uint64_t>(lease)));
  }
  static void AddCreateCompare(TxnRequest& txn, const std::string& key, int64_t create_revision) {
    etcdserverpb::Compare& compare = *txn.add_compare();
    compare.set_key(key);
    compare.set_target(etcdserverpb::Compare::CREATE);
    compare.set_create_revision(create_revision);
  }

  std::optional<LockKey> Owner() const {
    std::optional<LockKey> owner;
    for (const auto& [key, kv] : oracle_.state(oracle_.revision())) {
      if (key.rfind(std::string(kLock) + "/", 0) != 0) continue;
      if (!owner.has_value() || kv.create_revision() < owner->token) {
        owner = LockKey{key, kv.create_revision()};
      }
    }
    return owner;
  }

  void EnterLock() {
    const int64_t lease = NewLease(static_cast<int64_t>(random_.Between(3, 6)));
    TxnRequest txn;
    AddCreateCompare(txn, LockKeyOf(lease), 0);
    PutRequest& put = *txn.add_success()->mutable_request_put();
    put.set_key(LockKeyOf(lease));
    put.set_lease(lease);
    NoteOwner(SendSafely(txn));
  }

  void LeaveLock() {
    const std::optional<LockKey> owner = Owner();
    if (!owner.has_value()) return;
    DeleteRangeRequest request;
    request.set_key(owner->key);
    SendSafely(request);
    RangeRequest read;
    read.set_key(kLock);
    read.set_range_end("locl");
    NoteOwner(SendSafely(read));
  }

  // Whoever owns the lock is told so by the answer to `operation`.
  void NoteOwner(const KvOperation& operation) {
    const std::optional<LockKey> owner = Owner();
    if (!owner.has_value()) return;
    history_.locks.acquisitions.push_back({operation.process, kLock, owner->key, owner->token,
                                           operation.header_revision(), operation.called_ns,
                                           operation.returned_ns});
    holders_.push_back(*owner);
  }

  // By a client that holds the lock, or thinks it does.
  void UpdateUnderLock() {
    if (holders_.empty()) return;
    const LockKey holder = random_.OneIn(3) ? holders_[random_.Below(holders_.size())]
                                            : Owner().value_or(holders_.back());
    TxnRequest txn;
    AddCreateCompare(txn, holder.key, holder.token);
    PutRequest& put = *txn.add_success()->mutable_request_put();
    put.set_key(kTarget);
    put.set_value(fmt::format("u{}", ++values_));
    const KvOperation& done = SendSafely(txn);
    const auto& response = std::get<etcdserverpb::TxnResponse>(done.response);
    history_.locks.updates.push_back({done.id, done.process, holder.key, holder.token, kTarget,
                                      put.value(), Outcome::kOk, response.succeeded(),
                                      done.header_revision()});
  }

  // ---- The end. ----

  void ReadFinalStates() {
    for (const char* member : {"a", "b", "c"}) {
      FinalState final_state{member, oracle_.revision(), {}};
      for (const auto& [key, kv] : oracle_.state(oracle_.revision())) {
        final_state.kvs.push_back(kv);
      }
      history_.final_states.push_back(std::move(final_state));
      for (const uint64_t index : {100, 200}) {
        history_.hashes.push_back({member, index, static_cast<uint32_t>(index * 77)});
      }
    }
  }

  Random random_;
  kv::RandomRequests requests_;
  kv::StoreOracle oracle_;
  GeneratedHistory history_;
  int64_t now_ns_ = kSecondNs;
  uint64_t values_ = 0;
  int64_t last_lease_ = 0x1000;
  std::map<int64_t, Lease> leases_;
  std::vector<LockKey> holders_;  // all who were ever told so
  std::set<int64_t> lease_deletes_;
  std::set<int64_t> compact_revisions_;
};

}  // namespace

GeneratedHistory GenerateHistory(uint64_t seed, int steps) { return Generator(seed).Run(steps); }

}  // namespace conclave::checker
