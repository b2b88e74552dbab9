// The store and the log together: after a crash the engine holds some prefix of the drains, and
// applying the log from there on gives the state as if nothing had happened.

#include <gtest/gtest.h>

#include <vector>

#include "kvstore/random_requests.h"
#include "kvstore/test_store.h"

namespace conclave::kv {
namespace {

class StoreCrashTest : public ::testing::Test {
 protected:
  template <typename Request>
  void Append(CommandKind kind, const Request& request) {
    log_.push_back(EncodeCommand({kind, 1, log_.size()}, request.SerializeAsString()));
  }

  // Puts and deletes over so many keys that the counts need many buckets, and some of everything
  // else.
  void AppendRandom() {
    Random& random = requests_.random();
    if (random.OneIn(50)) {
      etcdserverpb::CompactionRequest compact;
      compact.set_revision(random.Between(1, log_.size() + 1));
      return Append(CommandKind::kCompact, compact);
    }
    if (random.OneIn(20)) {
      etcdserverpb::LeaseGrantRequest grant;
      grant.set_id(random.Between(1, 5));
      grant.set_ttl(60);
      return Append(CommandKind::kLeaseGrant, grant);
    }
    if (random.OneIn(40)) {
      etcdserverpb::LeaseRevokeRequest revoke;
      revoke.set_id(random.Between(1, 5));
      return Append(CommandKind::kLeaseRevoke, revoke);
    }
    const std::string key = "key" + std::to_string(random.Below(3000));
    if (random.OneIn(10)) {
      etcdserverpb::DeleteRangeRequest request;
      request.set_key(key);
      request.set_range_end(key + "5");
      return Append(CommandKind::kDeleteRange, request);
    }
    const auto put = TestStore::PutRequest(key, std::string(random.Below(300), 'v'),
                                           random.OneIn(4) ? random.Between(1, 5) : 0);
    Append(CommandKind::kPut, put);
  }

  void Replay(TestStore& store, size_t drain) {
    while (store->applied_index() < log_.size()) {
      const uint64_t next = store->applied_index();
      (void)store->Apply(next + 1, 1, log_[next].view(), false);
      if (next % drain == 0) store->Commit();
    }
    store->Commit();
  }

  static int64_t Count(TestStore& store) {
    etcdserverpb::RangeRequest request;
    request.set_key("key1");
    request.set_range_end("key8");
    request.set_count_only(true);
    return store.Range(request)->count();
  }

  RandomRequests requests_{21};
  std::vector<Bytes> log_;
};

TEST_F(StoreCrashTest, TheLogBringsBackWhatACrashTook) {
  TestStore crashing(EngineKind::kLevelDb);
  TestStore steady;
  uint64_t lost = 0;
  uint64_t kept = 0;
  for (int round = 0; round < 30; ++round) {
    for (uint64_t n = requests_.random().Below(600); n > 0; --n) AppendRandom();
    Replay(crashing, 1 + requests_.random().Below(50));
    crashing->CompactStep();
    if (requests_.random().OneIn(4)) crashing.engine().Flush();
    crashing.Crash();
    lost += log_.size() - crashing->applied_index();
    kept += crashing->applied_index() > 0;
    Replay(crashing, 1 + requests_.random().Below(50));
    Replay(steady, 10);
    ASSERT_EQ(crashing->Hash(), steady->Hash()) << round;
    ASSERT_EQ(Count(crashing), Count(steady)) << round;
  }
  EXPECT_GT(lost, 1000u);
  EXPECT_GT(kept, 20u);
  EXPECT_GT(Count(steady), 1000);
}

}  // namespace
}  // namespace conclave::kv
