// The store against the oracle under thousands of random commands, with drains of any size,
// compactions and restarts; and two stores with different drains against each other.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "kvstore/mvcc/kept_bytes.h"
#include "kvstore/mvcc/keys.h"
#include "kvstore/mvcc/record.h"
#include "kvstore/random_requests.h"
#include "kvstore/store_oracle.h"
#include "kvstore/test_store.h"
#include "kvstore/validate.h"
#include "raft/base/test_scale.h"

namespace conclave::kv {
namespace {

constexpr size_t kTxnOpsMax = 128;
constexpr size_t kResultsMax = 5;

// As a client gets it: in the background if it is long, piece by piece if it can be.
absl::StatusOr<etcdserverpb::RangeResponse> RangeOf(TestStore& store,
                                                    const etcdserverpb::RangeRequest& request) {
  etcdserverpb::RangeResponse response;
  const absl::StatusOr<bool> whole = store->RangeIfShort(request, &response);
  if (!whole.ok()) return whole.status();
  if (*whole) return response;
  response.Clear();
  if (!IsInKeyOrder(request)) {
    absl::StatusOr<RangeWork> work = store->PrepareRange(request);
    if (!work.ok()) return work.status();
    (*work)(&response);
    return response;
  }
  const auto view = store->ViewRange(request, {});
  if (!view.ok()) return view.status();
  RangePiece piece;
  piece.progress = (*view)->start();
  while (!piece.last) {
    piece = (*view)->Read(piece.progress, {.keys_max = 2, .bytes_max = 1000});
    EXPECT_TRUE(response.MergeFromString(piece.kvs));
  }
  response.mutable_header()->set_revision(piece.progress.header_revision);
  response.set_more(piece.progress.more);
  response.set_count(piece.count);
  return response;
}

// Runs the same random commands through some stores and the oracle, one in three under a request
// id. The stores keep kResultsMax results.
class ModelRun {
 public:
  ModelRun(uint64_t seed, std::vector<TestStore*> stores) : requests_(seed), stores_(stores) {}

  void Step() {
    // Once in a while a request comes again, under its id.
    if (!sent_.empty() && requests_.random().OneIn(6)) {
      return sent_[requests_.random().Below(sent_.size())]();
    }
    Send();
  }

  void Send() {
    const uint64_t kind = requests_.random().Below(20);
    if (kind < 8) return Run(CommandKind::kPut, requests_.Put(), &StoreOracle::Put);
    if (kind < 11) {
      return Run(CommandKind::kDeleteRange, requests_.DeleteRange(), &StoreOracle::DeleteRange);
    }
    if (kind < 17) {
      const auto txn = requests_.Txn(oracle_.compact_revision(), oracle_.revision());
      if (Validate(txn, kTxnOpsMax).ok()) Run(CommandKind::kTxn, txn, &StoreOracle::Txn);
      return;
    }
    if (kind == 17) {
      etcdserverpb::LeaseGrantRequest grant;
      grant.set_id(requests_.Lease());
      grant.set_ttl(30);
      if (grant.id() != 0) Run(CommandKind::kLeaseGrant, grant, &StoreOracle::LeaseGrant);
      return;
    }
    if (kind == 18 && requests_.random().OneIn(2)) {
      etcdserverpb::LeaseRevokeRequest revoke;
      revoke.set_id(requests_.Lease());
      return Run(CommandKind::kLeaseRevoke, revoke, &StoreOracle::LeaseRevoke);
    }
    if (kind == 19 && requests_.random().OneIn(4)) {
      etcdserverpb::CompactionRequest compact;
      compact.set_revision(requests_.Revision(oracle_.compact_revision(), oracle_.revision()));
      Run(CommandKind::kCompact, compact, &StoreOracle::Compact);
    }
  }

  // Between drains: random reads, and now and then everything.
  void CheckReads(TestStore& store) {
    for (int i = 0; i < 3; ++i) {
      const auto request = requests_.Range(oracle_.compact_revision(), oracle_.revision());
      etcdserverpb::RangeResponse expected;
      const absl::Status status = oracle_.Range(request, &expected);
      const auto actual = RangeOf(store, request);
      ASSERT_EQ(actual.status(), status) << request.DebugString();
      if (status.ok()) {
        ASSERT_EQ(actual->DebugString(), expected.DebugString()) << request.DebugString();
      }
    }
    for (const int64_t lease : oracle_.leases()) {
      ASSERT_EQ(store->lessor().Keys(lease), oracle_.KeysOf(lease));
    }
  }

  // Every revision from the compacted one on, by its changes.
  void CheckHistory(TestStore& store) {
    const int64_t from = std::max<int64_t>(oracle_.compact_revision(), 2);
    int64_t next = from;
    for (const SharedRevisionEvents& revision : store->ReadEvents(from, 1 << 20, 1 << 30)) {
      ASSERT_EQ(revision->revision, next++);
      StoreOracle::Changes changes;
      for (const Event& event : revision->events) changes.emplace_back(event.key, event.is_delete);
      ASSERT_EQ(changes, oracle_.changes(revision->revision));
    }
    ASSERT_EQ(next, oracle_.revision() + 1);
  }

  // After compaction has finished, history before its revision is one version of each key live at
  // it, and not an entry more.
  void CheckNothingDead(TestStore& store) {
    const int64_t compacted = oracle_.compact_revision();
    size_t expected = 0;
    for (int64_t revision = std::max<int64_t>(compacted, 2); revision <= oracle_.revision();
         ++revision) {
      expected += oracle_.changes(revision).size();
    }
    if (compacted > 0) {
      for (const auto& [key, kv] : oracle_.state(compacted)) {
        expected += kv.mod_revision() < compacted;
      }
    }
    for (const char prefix : {kHistoryPrefix, kPointerPrefix}) {
      size_t entries = 0;
      const std::unique_ptr<Iterator> it = store.engine().NewIterator();
      for (it->Seek(std::string(1, prefix)); it->Valid() && it->key().front() == prefix;
           it->Next()) {
        ++entries;
      }
      ASSERT_EQ(entries, expected) << prefix;
    }
  }

  // What counts for the quota is what is there, wherever compaction stands.
  void CheckKeptBytes(TestStore& store) {
    uint64_t expected = 0;
    const std::unique_ptr<Iterator> it = store.engine().NewIterator();
    for (it->Seek(std::string(1, kHistoryPrefix)); it->Valid(); it->Next()) {
      const std::optional<Revision> revision = ParseHistoryKey(it->key());
      if (!revision) break;
      const EventView event = ReadEvent(it->value(), *revision);
      expected += BytesOfEvent(event.key, event.record.value.size());
    }
    ASSERT_EQ(store->KeptBytes(), expected);
  }

  Random& random() { return requests_.random(); }
  const StoreOracle& oracle() const { return oracle_; }
  // How often a request under an id was carried out, repeated, and refused as another one's.
  struct Counts {
    uint64_t first = 0;
    uint64_t repeated = 0;
    uint64_t refused = 0;
  };
  const Counts& once() const { return once_; }

 private:
  template <typename Request>
  void Run(CommandKind kind, const Request& request,
           ApplyResult (StoreOracle::*expect)(const Request&)) {
    if (requests_.random().OneIn(3)) {
      // More ids than the stores keep, and few enough to meet again.
      const std::string id = "the-request-id-of-" + std::to_string(requests_.random().Below(12));
      const auto send = [this, id, kind, request, expect] { RunOnce(id, kind, request, expect); };
      sent_.push_back(send);
      if (sent_.size() > 8) sent_.erase(sent_.begin());
      return send();
    }
    const std::string expected = TextOf((oracle_.*expect)(request));
    for (TestStore* store : stores_) {
      ASSERT_EQ(TextOf(store->Apply(kind, request)), expected) << request.DebugString();
    }
  }

  template <typename Request>
  void RunOnce(const std::string& id, CommandKind kind, const Request& request,
               ApplyResult (StoreOracle::*expect)(const Request&)) {
    const bool known = oracle_.Knows(id);
    const std::string bytes = request.SerializeAsString();
    const ApplyResult result = oracle_.Once(id, std::to_string(static_cast<int>(kind)) + bytes,
                                            [&] { return (oracle_.*expect)(request); });
    const bool refused = result.status == ErrRequestIdReused();
    ++(refused ? once_.refused : known ? once_.repeated : once_.first);
    for (TestStore* store : stores_) {
      ASSERT_EQ(TextOf(store->ApplyOnce(id, kind, request)), TextOf(result))
          << request.DebugString();
    }
  }

  RandomRequests requests_;
  StoreOracle oracle_{kResultsMax};
  std::vector<std::function<void()>> sent_;  // the newest requests that had an id
  Counts once_;
  const std::vector<TestStore*> stores_;
};

StoreOptions SmallSteps() {
  StoreOptions options;
  options.compaction_batch = 5;
  options.long_range_keys = 3;
  options.long_range_bytes = 60;
  options.record_cache_bytes = 2'000;
  options.results.results_max = kResultsMax;
  return options;
}

class StoreModelTest : public ::testing::TestWithParam<EngineKind> {};

INSTANTIATE_TEST_SUITE_P(Engines, StoreModelTest,
                         ::testing::Values(EngineKind::kMemory, EngineKind::kLevelDb), EngineName);

TEST_P(StoreModelTest, AnswersAsTheOracle) {
  for (int seed = 1; seed <= Scaled(6); ++seed) {  // the oracle keeps every state: no longer runs
    SCOPED_TRACE(seed);
    TestStore store(GetParam(), SmallSteps());
    ModelRun run(static_cast<uint64_t>(seed), {&store});
    for (int step = 0; step < 1500; ++step) {
      run.Step();
      if (run.random().OneIn(3)) {
        store->Commit();
        run.CheckReads(store);
        if (run.random().OneIn(4)) store->CompactStep();
        run.CheckKeptBytes(store);
        if (run.random().OneIn(60)) run.CheckHistory(store);
        if (run.random().OneIn(60)) {
          store.CompactFully();
          run.CheckNothingDead(store);
        }
        if (run.random().OneIn(100)) store.Restart();
      }
      if (HasFatalFailure()) return;
    }
    EXPECT_GT(run.oracle().compact_revision(), 100);
    EXPECT_GT(run.once().first, 200u);
    EXPECT_GT(run.once().repeated, 40u);
    EXPECT_GT(run.once().refused, 40u);
  }
}

// Drains and the progress of compaction are each member's own; the state must not depend on them.
TEST_P(StoreModelTest, MembersAgreeWhateverTheirDrains) {
  StoreOptions large_steps;
  large_steps.results.results_max = kResultsMax;
  TestStore one(GetParam(), large_steps);
  TestStore other(EngineKind::kMemory, SmallSteps());
  ModelRun run(11, {&one, &other});
  for (int step = 0; step < 3000; ++step) {
    run.Step();
    if (HasFatalFailure()) return;
    one->Commit();
    if (run.random().OneIn(5)) one->CompactStep();
    if (!run.random().OneIn(20)) continue;
    other->Commit();
    if (run.random().OneIn(10)) other->CompactStep();
    const int64_t revision = run.random().OneIn(2) ? 0 : std::max<int64_t>(1, one->revision() - 5);
    const auto expected = one->HashKv(revision);
    const auto actual = other->HashKv(revision);
    ASSERT_EQ(actual.status(), expected.status());
    if (expected.ok()) {
      ASSERT_EQ(actual->hash, expected->hash);
    }
    ASSERT_EQ(one->Hash(), other->Hash());
  }
}

}  // namespace
}  // namespace conclave::kv
