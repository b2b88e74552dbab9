#include "client/bench/bench_workload.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <set>

#include "kvstore/proto/rpc.pb.h"

namespace conclave::client {
namespace {

using std::chrono::milliseconds;

// Drives a workload without any server: every call ends at a chosen moment with a chosen status.
class Driver {
 public:
  explicit Driver(LoadWorkload& workload) : workload_(workload) {}

  bool Call(milliseconds after_start, milliseconds took,
            const grpc::Status& status = grpc::Status::OK) {
    if (!workload_.Next(0, &call_)) return false;
    const auto ended = start_ + after_start;
    workload_.Done(0, {status, grpc::ByteBuffer(), ended - took, ended});
    return true;
  }

  const LoadCall& call() const { return call_; }

 private:
  LoadWorkload& workload_;
  LoadCall call_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

BenchOptions Options() {
  BenchOptions options;
  options.connections = 1;
  options.warm_up = milliseconds(1'000);
  options.duration = milliseconds(2'000);
  return options;
}

TEST(BenchWorkloadTest, CountsWhatEndsBetweenWarmUpAndEnd) {
  BenchWorkload workload(Options());
  Driver driver(workload);
  EXPECT_TRUE(driver.Call(milliseconds(500), milliseconds(90)));
  EXPECT_TRUE(driver.Call(milliseconds(1'100), milliseconds(90)));  // ends the warm-up
  EXPECT_TRUE(driver.Call(milliseconds(1'200), milliseconds(5)));
  EXPECT_TRUE(driver.Call(milliseconds(1'300), milliseconds(7)));
  EXPECT_TRUE(driver.Call(milliseconds(3'100), milliseconds(6)));  // ends the run
  EXPECT_FALSE(driver.Call(milliseconds(3'200), milliseconds(1)));
  EXPECT_EQ(workload.result().operations, 3u);
  EXPECT_EQ(workload.result().errors, 0u);
  EXPECT_EQ(workload.result().elapsed, milliseconds(2'000));
  EXPECT_EQ(workload.result().latency.max_ns(), 7'000'000);
  EXPECT_FALSE(workload.result().server_cpu.has_value());
}

TEST(BenchWorkloadTest, FailuresAreCountedApart) {
  BenchWorkload workload(Options());
  Driver driver(workload);
  driver.Call(milliseconds(1'100), milliseconds(1));
  driver.Call(milliseconds(1'200), milliseconds(900), {grpc::StatusCode::UNAVAILABLE, "no leader"});
  driver.Call(milliseconds(1'300), milliseconds(900), {grpc::StatusCode::UNAVAILABLE, "another"});
  driver.Call(milliseconds(3'300), milliseconds(2));
  EXPECT_EQ(workload.result().operations, 1u);
  EXPECT_EQ(workload.result().errors, 2u);
  EXPECT_EQ(workload.result().first_error, "no leader");
  EXPECT_EQ(workload.result().latency.max_ns(), 2'000'000);
}

TEST(BenchWorkloadTest, AGivenNumberOfOperationsEndsIt) {
  BenchOptions options = Options();
  options.operations = 3;
  options.warm_up = milliseconds(0);
  BenchWorkload workload(options);
  Driver driver(workload);
  int calls = 0;
  while (driver.Call(milliseconds(10'000 * ++calls), milliseconds(1))) ASSERT_LT(calls, 100);
  EXPECT_EQ(workload.result().operations, 3u);
}

TEST(BenchWorkloadTest, ReportsTheServersTime) {
  BenchOptions options = Options();
  options.server_pids = {static_cast<int>(getpid())};
  BenchWorkload workload(options);
  Driver driver(workload);
  driver.Call(milliseconds(1'100), milliseconds(1));
  driver.Call(milliseconds(9'000), milliseconds(1));
  ASSERT_TRUE(workload.result().server_cpu.has_value());
  EXPECT_GE(workload.result().server_cpu->count(), 0);
}

TEST(BenchWorkloadTest, MixedLoadReadsAndWritesKeysOfItsSpace) {
  BenchOptions options = Options();
  options.operation = BenchOperation::kMixed;
  options.read_percent = 30;
  options.key_space = 50;
  BenchWorkload workload(options);
  Driver driver(workload);
  int reads = 0;
  std::set<std::string> keys;
  for (int i = 0; i < 2'000; ++i) {
    ASSERT_TRUE(driver.Call(milliseconds(1), milliseconds(1)));
    const std::string wire = ToString(driver.call().request);
    if (*driver.call().method == "/etcdserverpb.KV/Range") {
      etcdserverpb::RangeRequest request;
      ASSERT_TRUE(request.ParseFromString(wire));
      keys.insert(request.key());
      ++reads;
    } else {
      etcdserverpb::PutRequest request;
      ASSERT_TRUE(request.ParseFromString(wire));
      keys.insert(request.key());
      EXPECT_EQ(request.value().size(), options.value_size);
    }
  }
  EXPECT_NEAR(reads, 600, 120);
  EXPECT_EQ(keys.size(), 50u);
}

TEST(FillWorkloadTest, PutsEachKeyUntilItSucceeds) {
  BenchOptions options = Options();
  options.key_space = 5;
  FillWorkload workload(options);
  Driver driver(workload);
  std::multiset<std::string> keys;
  int calls = 0;
  while (driver.Call(
      milliseconds(1), milliseconds(1),
      calls == 2 ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "") : grpc::Status::OK)) {
    ++calls;
    etcdserverpb::PutRequest request;
    ASSERT_TRUE(request.ParseFromString(ToString(driver.call().request)));
    keys.insert(request.key());
    ASSERT_LT(calls, 100);
  }
  EXPECT_EQ(calls, 6);
  EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), 5u);
}

}  // namespace
}  // namespace conclave::client
