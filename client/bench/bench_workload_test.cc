#include "client/bench/bench_workload.h"

#include <gtest/gtest.h>

#include <set>

#include "kvstore/proto/rpc.pb.h"

namespace conclave::client {
namespace {

using std::chrono::milliseconds;

// Drives a workload without any server: every call ends at once with a chosen status.
class Driver {
 public:
  explicit Driver(LoadWorkload& workload) : workload_(workload) {}

  bool Call(const absl::Status& status = absl::OkStatus()) {
    if (!workload_.Next(0, &call_)) return false;
    workload_.Done(0, {status, "", start_, start_ + milliseconds(calls_ += 1)});
    return true;
  }

  const LoadCall& call() const { return call_; }

 private:
  LoadWorkload& workload_;
  LoadCall call_;
  int calls_ = 0;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

BenchOptions Options() {
  BenchOptions options;
  options.connections = 1;
  return options;
}

template <typename Request>
Request Parse(const std::string& wire) {
  Request request;
  EXPECT_TRUE(request.ParseFromString(wire));
  return request;
}

TEST(BenchWorkloadTest, RequestIdsAreAllDifferentAndOnlyForPuts) {
  BenchOptions options = Options();
  options.operation = BenchOperation::kMixed;
  options.request_ids = true;
  Measurement measurement(options);
  BenchWorkload workload(options, measurement);
  std::set<std::string> ids;
  for (int puts = 0; puts < 100;) {
    LoadCall call;
    ASSERT_TRUE(workload.Next(0, &call));
    const bool put = call.method->ends_with("Put");
    ASSERT_EQ(call.request_id.empty(), !put);
    if (!put) continue;
    ++puts;
    EXPECT_GE(call.request_id.size(), 16u);
    EXPECT_TRUE(ids.insert(call.request_id).second);
  }
}

TEST(BenchWorkloadTest, EndsWithTheMeasurement) {
  BenchOptions options = Options();
  options.warm_up = milliseconds(0);
  options.operations = 5;
  Measurement measurement(options);
  BenchWorkload workload(options, measurement);
  Driver driver(workload);
  int calls = 0;
  while (driver.Call(calls == 3 ? absl::UnavailableError("no leader") : absl::OkStatus())) {
    ASSERT_LT(++calls, 100);
  }
  EXPECT_EQ(measurement.result().operations, 4u);
  EXPECT_EQ(measurement.result().errors, 1u);
  EXPECT_EQ(measurement.result().first_error, "no leader");
}

TEST(BenchWorkloadTest, MixedLoadReadsAndWritesKeysOfItsSpace) {
  BenchOptions options = Options();
  options.operation = BenchOperation::kMixed;
  options.read_percent = 30;
  options.key_space = 50;
  Measurement measurement(options);
  BenchWorkload workload(options, measurement);
  Driver driver(workload);
  int reads = 0;
  std::set<std::string> keys;
  for (int i = 0; i < 2'000; ++i) {
    ASSERT_TRUE(driver.Call());
    if (*driver.call().method == "/etcdserverpb.KV/Range") {
      keys.insert(Parse<etcdserverpb::RangeRequest>(driver.call().request).key());
      ++reads;
    } else {
      const auto request = Parse<etcdserverpb::PutRequest>(driver.call().request);
      keys.insert(request.key());
      EXPECT_EQ(request.value().size(), options.value_size);
    }
  }
  EXPECT_NEAR(reads, 600, 120);
  EXPECT_EQ(keys.size(), 50u);
}

TEST(BenchWorkloadTest, SequentialKeysComeInOrderAndRoundAgain) {
  BenchOptions options = Options();
  options.operation = BenchOperation::kTxn;
  options.key_space = 3;
  options.sequential = true;
  Measurement measurement(options);
  BenchWorkload workload(options, measurement);
  Driver driver(workload);
  for (const std::uint64_t key : {0, 1, 2, 0}) {
    ASSERT_TRUE(driver.Call());
    EXPECT_EQ(*driver.call().method, "/etcdserverpb.KV/Txn");
    EXPECT_EQ(Parse<etcdserverpb::TxnRequest>(driver.call().request).compare(0).key(),
              ShapeOf(options).KeyOf(key));
  }
}

TEST(FillWorkloadTest, PutsEachKeyUntilItSucceeds) {
  BenchOptions options = Options();
  options.key_space = 5;
  FillWorkload workload(options);
  Driver driver(workload);
  std::multiset<std::string> keys;
  int calls = 0;
  while (driver.Call(calls == 2 ? absl::UnavailableError("") : absl::OkStatus())) {
    ++calls;
    keys.insert(Parse<etcdserverpb::PutRequest>(driver.call().request).key());
    ASSERT_LT(calls, 100);
  }
  EXPECT_EQ(calls, 6);
  EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), 5u);
}

}  // namespace
}  // namespace conclave::client
