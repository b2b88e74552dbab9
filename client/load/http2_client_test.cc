#include "client/load/http2_client.h"

#include <gmock/gmock.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "kvstore/proto/rpc.grpc.pb.h"

namespace conclave::client {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::string kWatchMethod = "/etcdserverpb.Watch/Watch";
const std::string kPutMethod = "/etcdserverpb.KV/Put";
const std::string kRangeMethod = "/etcdserverpb.KV/Range";

// A request with watch id n is answered by n responses with the ids 1 to n, of which the last has
// a large text; a cancel request ends the stream with an error.
class CountingWatch : public etcdserverpb::Watch::Service {
  grpc::Status Watch(grpc::ServerContext*,
                     grpc::ServerReaderWriter<etcdserverpb::WatchResponse,
                                              etcdserverpb::WatchRequest>* stream) override {
    etcdserverpb::WatchRequest request;
    while (stream->Read(&request)) {
      if (request.has_cancel_request()) return {grpc::StatusCode::OUT_OF_RANGE, "as asked"};
      const std::int64_t count = request.create_request().watch_id();
      for (std::int64_t id = 1; id <= count; ++id) {
        etcdserverpb::WatchResponse response;
        response.set_watch_id(id);
        if (id == count) response.set_cancel_reason(std::string(300'000, 'x'));
        stream->Write(response);
      }
    }
    return grpc::Status::OK;
  }
};

class TestServer {
 public:
  explicit TestServer(int port = 0) : port_(port) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(),
                             &port_);
    builder.RegisterService(&watch_);
    builder.RegisterService(&kv_);
    server_ = builder.BuildAndStart();
  }
  ~TestServer() { server_->Shutdown(std::chrono::system_clock::now()); }

  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  class Kv : public etcdserverpb::KV::Service {
    grpc::Status Put(grpc::ServerContext*, const etcdserverpb::PutRequest*,
                     etcdserverpb::PutResponse* response) override {
      response->mutable_header()->set_revision(7);
      return grpc::Status::OK;
    }
  };

  int port_;
  CountingWatch watch_;
  Kv kv_;
  std::unique_ptr<grpc::Server> server_;
};

// Answers the second call of its only connection and says GOAWAY in the same write; the first stays
// open, so that the client does not go, too.
class LeavingServer {
 public:
  LeavingServer() : listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(listener_, any, size), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    EXPECT_EQ(getsockname(listener_, any, &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~LeavingServer() {
    thread_.join();
    close(listener_);
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  static constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  static constexpr std::size_t kFrameHeader = 9;
  static constexpr unsigned char kData = 0x0, kHeaders = 0x1, kSettings = 0x4, kGoaway = 0x7;
  static constexpr unsigned char kEndStream = 0x1, kEndHeaders = 0x4;
  static constexpr unsigned char kSecond = 3;  // its stream

  static std::string Frame(unsigned char type, unsigned char flags, unsigned char stream,
                           const std::string& payload) {
    const unsigned char header[kFrameHeader] = {
        0, 0, static_cast<unsigned char>(payload.size()), type, flags, 0, 0, 0, stream};
    return std::string(reinterpret_cast<const char*>(header), kFrameHeader) + payload;
  }

  std::string Receive(int connection, std::size_t size) {
    std::string bytes(size, '\0');
    const ssize_t got = recv(connection, bytes.data(), size, MSG_WAITALL);
    return got == static_cast<ssize_t>(size) ? bytes : "";
  }

  void Serve() {
    const int connection = accept(listener_, nullptr, nullptr);
    EXPECT_EQ(Receive(connection, kPreface.size()), kPreface);
    for (std::string header; !(header = Receive(connection, kFrameHeader)).empty();) {
      const auto byte = [&](int i) { return static_cast<unsigned char>(header[i]); };
      Receive(connection, std::size_t{byte(0)} << 16 | std::size_t{byte(1)} << 8 | byte(2));
      if (byte(3) != kData || byte(8) != kSecond) continue;
      // ":status: 200" of the static table and "grpc-status: 0" as it stands (RFC 7541, 6.2.2);
      // the last stream that was seen and no error (RFC 9113, 6.8).
      const std::string reply = Frame(kSettings, 0, 0, "") +
                                Frame(kHeaders, kEndStream | kEndHeaders, kSecond,
                                      std::string("\x88\0\x0bgrpc-status\x01"
                                                  "0",
                                                  16)) +
                                Frame(kGoaway, 0, 0, std::string("\0\0\0\x03\0\0\0\0", 8));
      EXPECT_EQ(send(connection, reply.data(), reply.size(), 0),
                static_cast<ssize_t>(reply.size()));
    }
    close(connection);
  }

  const int listener_;
  int port_ = 0;
  std::thread thread_;
};

// Keeps what comes.
class TestCall : public Http2Call {
 public:
  void OnMessage(std::string_view message) override { messages.emplace_back(message); }
  void OnEnd(const absl::Status& status) override { ends.push_back(status); }

  std::vector<std::int64_t> watch_ids() const {
    std::vector<std::int64_t> ids;
    for (const std::string& message : messages) {
      etcdserverpb::WatchResponse response;
      EXPECT_TRUE(response.ParseFromString(message));
      ids.push_back(response.watch_id());
    }
    return ids;
  }

  std::vector<std::string> messages;
  std::vector<absl::Status> ends;
};

// Turns the loop until it is so, or ten seconds have passed.
bool TurnUntil(Http2Loop& loop, const std::function<bool()>& so) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!so() && std::chrono::steady_clock::now() < deadline) {
    loop.Turn(std::chrono::milliseconds(20));
  }
  return so();
}

std::string WatchCreate(std::int64_t watch_id) {
  etcdserverpb::WatchRequest request;
  request.mutable_create_request()->set_watch_id(watch_id);
  return request.SerializeAsString();
}

std::string WatchCancel() {
  etcdserverpb::WatchRequest request;
  request.mutable_cancel_request()->set_watch_id(1);
  return request.SerializeAsString();
}

TEST(Http2ClientTest, AStreamTalksBothWaysUntilItsStatus) {
  const TestServer server;
  Http2Loop loop({server.address()}, 1);
  TestCall call;
  loop.connection(0).Start(&call, kWatchMethod, WatchCreate(3), /*last=*/false);
  ASSERT_TRUE(TurnUntil(loop, [&] { return call.messages.size() == 3; }));
  EXPECT_THAT(call.watch_ids(), ElementsAre(1, 2, 3));
  EXPECT_GT(call.messages.back().size(), 300'000u);
  loop.connection(0).Send(&call, WatchCreate(1));
  ASSERT_TRUE(TurnUntil(loop, [&] { return call.messages.size() == 4; }));
  EXPECT_TRUE(call.open());
  loop.connection(0).Send(&call, WatchCancel());
  ASSERT_TRUE(TurnUntil(loop, [&] { return !call.ends.empty(); }));
  EXPECT_THAT(call.ends, ElementsAre(absl::OutOfRangeError("as asked")));
  EXPECT_FALSE(call.open());
}

TEST(Http2ClientTest, AMethodThatIsNotThereIsUnimplemented) {
  const TestServer server;
  Http2Loop loop({server.address()}, 1);
  TestCall call;
  loop.connection(0).Start(&call, kRangeMethod, "", /*last=*/true);
  ASSERT_TRUE(TurnUntil(loop, [&] { return !call.ends.empty(); }));
  EXPECT_EQ(call.ends.front().code(), absl::StatusCode::kUnimplemented);
}

TEST(Http2ClientTest, WithoutAServerCallsEndUnavailableAndLaterOnesReachANewOne) {
  int port = 0;
  {
    const TestServer server;
    port = server.port();
  }
  Http2Loop loop({"127.0.0.1:" + std::to_string(port)}, 1);
  TestCall call;
  loop.connection(0).Start(&call, kPutMethod, "", /*last=*/true);
  EXPECT_THAT(call.ends, IsEmpty());  // never before Start has returned
  ASSERT_TRUE(TurnUntil(loop, [&] { return !call.ends.empty(); }));
  EXPECT_EQ(call.ends.front().code(), absl::StatusCode::kUnavailable);
  const TestServer server(port);
  ASSERT_TRUE(TurnUntil(loop, [&] {
    if (!call.open()) loop.connection(0).Start(&call, kPutMethod, "", /*last=*/true);
    return call.ends.back().ok();
  }));
  EXPECT_EQ(call.messages.size(), 1u);
}

TEST(Http2ClientTest, AServerThatStopsEndsWhatIsOpen) {
  auto server = std::make_unique<TestServer>();
  Http2Loop loop({server->address()}, 1);
  TestCall call;
  loop.connection(0).Start(&call, kWatchMethod, WatchCreate(1), /*last=*/false);
  ASSERT_TRUE(TurnUntil(loop, [&] { return call.messages.size() == 1; }));
  server.reset();
  ASSERT_TRUE(TurnUntil(loop, [&] { return !call.ends.empty(); }));
  EXPECT_FALSE(call.ends.front().ok());
}

TEST(Http2ClientTest, CallsThatWaitedToLeaveWhenTheServerSaidGoawayEndOnce) {
  const LeavingServer server;
  TestCall waiting[2];
  TestCall kept;
  struct Answered : TestCall {
    void OnEnd(const absl::Status& status) override {
      TestCall::OnEnd(status);
      then();
    }
    std::function<void()> then;
  } answered;
  Http2Loop loop({server.address()}, 1);
  answered.then = [&] {  // GOAWAY was not read yet
    for (TestCall& call : waiting) loop.connection(0).Start(&call, kPutMethod, "", /*last=*/true);
  };
  loop.connection(0).Start(&kept, kPutMethod, "", /*last=*/true);
  loop.connection(0).Start(&answered, kPutMethod, "", /*last=*/true);
  ASSERT_TRUE(TurnUntil(loop, [&] { return !waiting[1].ends.empty(); }));
  for (int i = 0; i < 5; ++i) loop.Turn(std::chrono::milliseconds(5));
  EXPECT_THAT(answered.ends, ElementsAre(absl::OkStatus()));
  for (const TestCall& call : waiting) {
    ASSERT_EQ(call.ends.size(), 1u);
    EXPECT_EQ(call.ends.front().code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_TRUE(kept.open());
}

TEST(Http2ClientTest, ACancelledCallEndsAtOnceAndOnce) {
  const TestServer server;
  Http2Loop loop({server.address()}, 1);
  TestCall call;
  loop.connection(0).Start(&call, kWatchMethod, WatchCreate(2), /*last=*/false);
  ASSERT_TRUE(TurnUntil(loop, [&] { return call.messages.size() == 2; }));
  loop.connection(0).Cancel(&call, absl::CancelledError("enough"));
  EXPECT_THAT(call.ends, ElementsAre(absl::CancelledError("enough")));
  for (int i = 0; i < 5; ++i) loop.Turn(std::chrono::milliseconds(5));
  EXPECT_EQ(call.ends.size(), 1u);
}

}  // namespace
}  // namespace conclave::client
