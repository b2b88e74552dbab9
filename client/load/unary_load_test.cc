#include "client/load/unary_load.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "client/load/request_template.h"
#include "kvstore/proto/rpc.grpc.pb.h"

namespace conclave::client {
namespace {

const std::string kPut = "/etcdserverpb.KV/Put";

// Answers each put with a revision of its own after `delay`; every `fail_every`th fails (0: none).
class CountingKv : public etcdserverpb::KV::Service {
 public:
  explicit CountingKv(int fail_every, std::chrono::milliseconds delay = {})
      : fail_every_(fail_every), delay_(delay) {}

  grpc::Status Put(grpc::ServerContext*, const etcdserverpb::PutRequest*,
                   etcdserverpb::PutResponse* response) override {
    const int number = ++served_;
    std::this_thread::sleep_for(delay_);
    if (fail_every_ != 0 && number % fail_every_ == 0)
      return {grpc::StatusCode::UNAVAILABLE, "tired"};
    response->mutable_header()->set_revision(number);
    return grpc::Status::OK;
  }

 private:
  const int fail_every_;
  const std::chrono::milliseconds delay_;
  std::atomic<int> served_{0};
};

// A server of the service on a free port of loopback.
class LocalServer {
 public:
  explicit LocalServer(grpc::Service* service) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(service);
    server_ = builder.BuildAndStart();
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// Makes `total` puts over all slots and keeps what came of them.
class Puts : public LoadWorkload {
 public:
  explicit Puts(int total) : left_(total) {}

  bool Next(std::size_t slot, LoadCall* call) override {
    if (left_ == 0) return false;
    --left_;
    call->method = &kPut;
    call->connection = slot % connections_;
    call->request = template_.Serialize(static_cast<std::uint64_t>(left_));
    outstanding_most_ = std::max(outstanding_most_, ++outstanding_);
    return true;
  }

  void Done(std::size_t, const LoadOutcome& outcome) override {
    --outstanding_;
    EXPECT_LE(outcome.began, outcome.ended);
    longest_ = std::max(longest_, outcome.ended - outcome.began);
    if (!outcome.status.ok()) {
      EXPECT_EQ(outcome.status, error_);
      ++failed_;
      return;
    }
    etcdserverpb::PutResponse response;
    ASSERT_TRUE(response.ParseFromArray(outcome.response.data(),
                                        static_cast<int>(outcome.response.size())));
    revisions_.push_back(response.header().revision());
  }

  int left_;
  absl::Status error_ = absl::UnavailableError("tired");
  std::size_t connections_ = 1;
  int outstanding_ = 0;
  int outstanding_most_ = 0;
  int failed_ = 0;
  std::chrono::steady_clock::duration longest_{};
  std::vector<std::int64_t> revisions_;
  RequestTemplate template_ = RequestTemplate::ForPut({"k", 8, 16});
};

TEST(UnaryLoadTest, MakesEveryCallOnceAndHandsOnEveryAnswer) {
  CountingKv service(0);
  const LocalServer server(&service);
  Puts puts(500);
  puts.connections_ = 2;
  Http2Loop loop({server.address()}, 2);
  RunUnaryLoad(loop, {.outstanding = 16}, puts);
  EXPECT_EQ(puts.outstanding_most_, 16);
  EXPECT_EQ(puts.outstanding_, 0);
  std::sort(puts.revisions_.begin(), puts.revisions_.end());
  ASSERT_EQ(puts.revisions_.size(), 500u);
  for (int i = 0; i < 500; ++i) EXPECT_EQ(puts.revisions_[i], i + 1);
}

TEST(UnaryLoadTest, GoesOnAfterFailures) {
  CountingKv service(10);
  const LocalServer server(&service);
  Puts puts(100);
  Http2Loop loop({server.address()}, 1);
  RunUnaryLoad(loop, {.outstanding = 4, .pause_after_failure = std::chrono::milliseconds(1)}, puts);
  EXPECT_EQ(puts.failed_, 10);
  EXPECT_EQ(puts.revisions_.size(), 90u);
}

TEST(UnaryLoadTest, AnOpenLoadKeepsToItsRate) {
  CountingKv service(0);
  const LocalServer server(&service);
  Puts puts(100);
  const auto began = std::chrono::steady_clock::now();
  Http2Loop loop({server.address()}, 1);
  RunUnaryLoad(loop, {.outstanding = 16, .calls_per_second = 500}, puts);
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(198));
  EXPECT_EQ(puts.revisions_.size(), 100u);
}

TEST(UnaryLoadTest, AnOpenLoadChargesTheServerForWhatHadToWait) {
  CountingKv service(0, std::chrono::milliseconds(20));
  const LocalServer server(&service);
  Puts puts(10);
  Http2Loop loop({server.address()}, 1);
  RunUnaryLoad(loop, {.outstanding = 1, .calls_per_second = 1000}, puts);
  // The last one was due after 9 ms, when nine of 20 ms each were before it.
  EXPECT_GE(puts.longest_, std::chrono::milliseconds(10 * 20 - 9));
}

TEST(UnaryLoadTest, MoreSlotsThanCalls) {
  CountingKv service(0);
  const LocalServer server(&service);
  Puts puts(3);
  Http2Loop loop({server.address()}, 1);
  RunUnaryLoad(loop, {.outstanding = 8}, puts);
  EXPECT_EQ(puts.revisions_.size(), 3u);
}

TEST(UnaryLoadTest, ACallThatTakesTooLongIsGivenUp) {
  CountingKv service(0, std::chrono::milliseconds(300));
  const LocalServer server(&service);
  Puts puts(1);
  puts.error_ = absl::DeadlineExceededError("no answer in time");
  Http2Loop loop({server.address()}, 1);
  RunUnaryLoad(loop, {.outstanding = 1, .call_timeout = std::chrono::milliseconds(20)}, puts);
  EXPECT_EQ(puts.failed_, 1);
  EXPECT_LT(puts.longest_, std::chrono::milliseconds(290));
}

}  // namespace
}  // namespace conclave::client
