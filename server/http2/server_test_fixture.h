// A server with a few methods that show every kind of call, and sockets to talk to it, all in the
// test's one loop. For the integration tests of this folder: grpc calls, limits, shutdown, HTTP/1.
// Test code only.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/http2/server.h"
#include "server/http2/test_client.h"
#include "server/net/test_loop.h"

namespace conclave::server {

class CountingObserver : public RpcObserver {
 public:
  void OnStarted(const Method&) override { ++started; }
  void OnMessageReceived(const Method&, size_t bytes) override { received_bytes += bytes; }
  void OnMessageSent(const Method&, size_t bytes) override { sent_bytes += bytes; }
  void OnHandled(const Method& method, absl::StatusCode code, Duration) override {
    handled.emplace_back(method.path, code);
  }
  void OnConnectionClosed(size_t received, size_t sent) override {
    connection_bytes += received + sent;
  }
  int started = 0;
  size_t received_bytes = 0, sent_bytes = 0, connection_bytes = 0;
  std::vector<std::pair<std::string, absl::StatusCode>> handled;
};

// What a test's server lives on. Each program that has these tests says which: the lane of the
// services (direct_test_lane.cc), or one of its own (server/lanes/relayed_test_lane.cc).
class TestLane {
 public:
  virtual ~TestLane() = default;
  virtual Http2Server* server() = 0;
};
std::unique_ptr<TestLane> MakeTestLane(const ServerContext& context);

class ServerTest : public ::testing::Test {
 protected:
  static constexpr const char* kEcho = "/test.Echo/Unary";  // answers with the request
  static constexpr const char* kHold = "/test.Echo/Hold";   // answers when the test says so
  // Streams messages of kProducedBytes as long as there is room.
  static constexpr const char* kProduce = "/test.Echo/Produce";
  // Answers every message; "pause" and "bye" are orders.
  static constexpr const char* kChat = "/test.Echo/Chat";
  static constexpr size_t kProducedBytes = 64 << 10;

  // Echoes; pauses on "pause" until the test resumes it, ends the call on "bye".
  struct Chatter : StreamHandler {
    Chatter(ServerTest* owner, CallRef its_call) : test(owner), call(std::move(its_call)) {}
    void OnMessage(std::string_view message) override {
      ++test->messages_;
      if (message == "pause") return call->PauseReading();
      if (message == "bye") return call->Finish(absl::AbortedError("bye, 100% grün"));
      call->SendBytes(message);
    }
    void OnHalfClose() override { call->Finish(absl::OkStatus()); }
    void OnClosed() override {
      ++test->closed_;
      EXPECT_FALSE(call->open());
      call->SendBytes("ignored");
      call->Finish(absl::InternalError("ignored"));
    }
    ServerTest* test;
    CallRef call;
  };
  // Fills the window whenever there is room.
  struct Producer : StreamHandler {
    Producer(ServerTest* owner, CallRef its_call) : test(owner), call(std::move(its_call)) {}
    void OnMessage(std::string_view) override {}
    void OnWritable() override {
      ++test->writable_;
      Produce();
    }
    void OnClosed() override { ++test->closed_; }
    void Produce() {
      while (call->Writable()) {
        call->SendBytes(std::string(kProducedBytes, 'x'));
        ++test->produced_;
      }
    }
    ServerTest* test;
    CallRef call;
  };

  ServerTest() {
    Add(kEcho, [](const CallRef& call, std::string_view request) {
      call->SendBytes(request);
      call->Finish(absl::OkStatus());
    });
    Add(kHold, [this](const CallRef& call, std::string_view) { held_.push_back(call); });
    Add(
        kProduce,
        [this](const CallRef& call, std::string_view) {
          auto producer = std::make_unique<Producer>(this, call);
          Producer* const handler = producer.get();
          call->SetHandler(std::move(producer));
          handler->Produce();
        },
        MethodKind::kServerStream);
    methods_.Add({.path = kChat,
                  .kind = MethodKind::kBidirectional,
                  .on_request = nullptr,
                  .on_start = [this](const CallRef& call) {
                    chats_.push_back(call);
                    call->SetHandler(std::make_unique<Chatter>(this, call));
                  }});
  }
  // The server goes before what its handlers point to.
  ~ServerTest() override { lane_.reset(); }

  void Add(std::string path, std::function<void(const CallRef&, std::string_view)> handler,
           MethodKind kind = MethodKind::kUnary) {
    methods_.Add(
        {.path = std::move(path), .kind = kind, .on_request = std::move(handler), .on_start = {}});
  }
  void StartServer() {
    ServerContext context;
    context.loop = loop_.get();
    context.methods = &methods_;
    context.routes = routes_;
    context.http2 = http2_;
    context.http = http_;
    context.observer = &observer_;
    lane_ = MakeTestLane(context);
    server_ = lane_->server();
  }
  // A socket whose other end the server serves.
  ScopedFd Connect() {
    if (server_ == nullptr) StartServer();
    auto [servers, clients] = MakeSocketPair();
    server_->Serve(std::move(servers));
    return std::move(clients);
  }
  std::unique_ptr<TestClient> NewClient(TestClient::Options options = {}) {
    return std::make_unique<TestClient>(loop_.get(), Connect(), options);
  }
  bool RunUntilClosed(TestClient& client, int32_t id) {
    return loop_.RunUntil([&] { return client.closed(id); });
  }

  TestLoop loop_;
  DispatchTable methods_;
  std::vector<HttpRoute> routes_;
  Http2Options http2_;
  HttpOptions http_;
  CountingObserver observer_;
  std::unique_ptr<TestLane> lane_;
  Http2Server* server_ = nullptr;  // lane_'s

  std::vector<CallRef> held_, chats_;
  int messages_ = 0, closed_ = 0, produced_ = 0, writable_ = 0;
};

}  // namespace conclave::server
