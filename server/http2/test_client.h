// A gRPC client for the tests of this folder, on nghttp2 and our own Connection, in the test's one
// event loop. It shows what a polite client library hides: windows not granted, streams half open,
// raw frames. Test code only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/net/connection.h"
#include "server/net/event_loop.h"

struct nghttp2_session;

namespace conclave::server {

// `message` in its gRPC frame.
std::string GrpcFrame(std::string_view message);

// What the client knows of one call.
struct ClientCall {
  std::map<std::string, std::string> headers;  // and trailers, which have other names
  std::string body;
  size_t header_blocks = 0;  // 1 for a response without messages, else 2
  bool closed = false;
  uint32_t error_code = 0;  // of the RST_STREAM that closed it; 0 if none

  // The body's messages. Fails the test if the last is cut.
  std::vector<std::string> Messages() const;
  // grpc-status as a number; -1 if there is none.
  int status() const;
  std::string message() const;
};

class TestClient : public ConnectionHandler {
 public:
  struct Options {
    bool grant_windows = true;  // false: the server gets the initial window and no more
    uint32_t stream_window = 65535;
  };
  using Headers = std::vector<std::pair<std::string, std::string>>;

  TestClient(EventLoop* loop, ScopedFd socket, Options options);
  TestClient(EventLoop* loop, ScopedFd socket) : TestClient(loop, std::move(socket), Options()) {}
  ~TestClient() override;

  // Opens a call and leaves its request open. Headers of the same name replace the usual ones;
  // ":none" as value leaves one out.
  int32_t Open(std::string_view path, const Headers& headers = {});
  // Request bytes as they are, framed or not; `end` half-closes.
  void SendRaw(int32_t id, std::string_view bytes, bool end);
  void Send(int32_t id, std::string_view message, bool end = false);
  // A whole unary or server-stream call.
  int32_t Call(std::string_view path, std::string_view message, const Headers& headers = {});
  void Reset(int32_t id);
  // Grants more response bytes, for the call and for the connection.
  void Grant(int32_t id, size_t bytes);
  void Ping();
  // Bytes past nghttp2, straight into the connection.
  void WriteRaw(std::string_view bytes);
  void Disconnect() { connection_.reset(); }

  const ClientCall& call(int32_t id) { return calls_[id]; }
  bool closed(int32_t id) { return calls_[id].closed; }
  size_t closed_count() const;
  // The last GOAWAY: its error code, and its words.
  std::optional<uint32_t> goaway() const { return goaway_; }
  const std::string& goaway_text() const { return goaway_text_; }
  int32_t goaway_last_stream() const { return goaway_last_stream_; }
  size_t ping_acks() const { return ping_acks_; }
  bool disconnected() const { return disconnected_; }

 private:
  friend struct ClientCallbacks;
  struct Request {
    std::string bytes;
    bool end = false;
    bool deferred = false;
  };

  void OnBytes(std::string_view bytes) override;
  void OnDrained() override { Flush(); }
  void OnClosed(const absl::Status& why) override;
  void Flush();

  const Options options_;
  std::unique_ptr<Connection> connection_;
  nghttp2_session* nghttp2_ = nullptr;
  std::map<int32_t, ClientCall> calls_;
  std::map<int32_t, Request> requests_;
  std::optional<uint32_t> goaway_;
  std::string goaway_text_;
  int32_t goaway_last_stream_ = 0;
  size_t ping_acks_ = 0;
  bool disconnected_ = false;
};

// A socket that says and hears plain bytes.
class RawClient : public ConnectionHandler {
 public:
  RawClient(EventLoop* loop, ScopedFd socket)
      : connection_(std::make_unique<Connection>(loop, std::move(socket), this)) {}

  void Write(std::string_view bytes) { connection_->Write(bytes); }
  void Disconnect() { connection_.reset(); }
  const std::string& received() const { return received_; }
  std::string TakeReceived() { return std::exchange(received_, {}); }
  bool disconnected() const { return disconnected_; }

 private:
  void OnBytes(std::string_view bytes) override { received_.append(bytes); }
  void OnClosed(const absl::Status&) override { disconnected_ = true; }

  std::unique_ptr<Connection> connection_;
  std::string received_;
  bool disconnected_ = false;
};

}  // namespace conclave::server
