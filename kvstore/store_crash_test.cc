// The store and the log together: after a crash the engine holds some prefix of the drains, and
// applying the log from there on gives the state as if nothing had happened.

#include <gtest/gtest.h>

#include "kvstore/random_log.h"
#include "kvstore/test_store.h"

namespace conclave::kv {
namespace {

void Replay(const RandomLog& log, TestStore& store, uint64_t drain) {
  while (store->applied_index() < log.size()) {
    log.ApplyNext(*store);
    if (store->applied_index() % drain == 0) store->Commit();
  }
  store->Commit();
}

int64_t Count(TestStore& store) {
  etcdserverpb::RangeRequest request;
  request.set_key("key1");
  request.set_range_end("key8");
  request.set_count_only(true);
  return store.Range(request)->count();
}

TEST(StoreCrashTest, TheLogBringsBackWhatACrashTook) {
  RandomLog log(21);
  StoreOptions options;
  options.results.results_max = 200;  // so that results come and go
  TestStore crashing(EngineKind::kLevelDb, options);
  TestStore steady(EngineKind::kMemory, options);
  uint64_t lost = 0;
  uint64_t kept = 0;
  for (int round = 0; round < 30; ++round) {
    for (uint64_t n = log.random().Below(600); n > 0; --n) log.Append();
    Replay(log, crashing, 1 + log.random().Below(50));
    crashing->CompactStep();
    if (log.random().OneIn(4)) crashing.engine().Flush();
    crashing.Crash();
    lost += log.size() - crashing->applied_index();
    kept += crashing->applied_index() > 0;
    // Whatever the crash left says where it stands.
    ASSERT_EQ(crashing->position(), log.PositionAt(crashing->applied_index())) << round;
    Replay(log, crashing, 1 + log.random().Below(50));
    Replay(log, steady, 10);
    ASSERT_EQ(crashing->position(), log.PositionAt(log.size())) << round;
    ASSERT_EQ(crashing->Hash(), steady->Hash()) << round;
    ASSERT_EQ(Count(crashing), Count(steady)) << round;
  }
  EXPECT_GT(lost, 1000u);
  EXPECT_GT(kept, 20u);
  EXPECT_GT(Count(steady), 1000);
}

}  // namespace
}  // namespace conclave::kv
