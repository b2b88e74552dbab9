// HTTP/2 connections of a load generator (RFC 9113, gRPC over HTTP2), on nghttp2: as many calls as
// the caller likes, unary or streaming, on one thread. A call costs a microsecond or two, where
// grpc++ costs ten to twenty, so that on a small machine it is the server that is measured.
//
// A connection that is lost fails its calls and is made again; nothing is tried again by itself.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

struct nghttp2_session;

namespace conclave::client {

class Http2Connection;

// One call at a time; may be started again when it has ended. Must stay where it is, and alive,
// until then or until its connection is gone.
class Http2Call {
 public:
  virtual ~Http2Call() = default;

  // Valid during the call only.
  virtual void OnMessage(std::string_view message) = 0;
  // With the status of its trailers; Unavailable if the connection was lost or refused, Internal if
  // the server broke gRPC's rules.
  virtual void OnEnd(const absl::Status& status) = 0;

  bool open() const { return stream_ != 0; }

 private:
  friend class Http2Connection;
  friend struct Http2ClientCallbacks;

  // Takes framed bytes; hands on each message that is whole.
  void OnData(std::string_view bytes);

  int32_t stream_ = 0;     // 0: not open
  std::size_t place_ = 0;  // among the connection's open calls
  std::string output_;     // framed messages, sent up to output_sent_
  std::size_t output_sent_ = 0;
  bool output_ends_ = false;   // after output_, the client says no more
  bool output_waits_ = false;  // nghttp2 was told that there is nothing to send yet
  std::string input_;          // the beginning of a message
  int grpc_status_ = -1;       // -1: not seen
  std::string grpc_message_;
};

class Http2Connection {
 public:
  // `endpoint` is host:port, resolved at each connect. The loop connects it.
  explicit Http2Connection(std::string endpoint);
  ~Http2Connection();
  Http2Connection(const Http2Connection&) = delete;
  Http2Connection& operator=(const Http2Connection&) = delete;

  // Starts a call with its first message. `method` is "/package.Service/Method"; it and the
  // metadata "conclave-request-id" (empty: none) must outlive the call. With `last` there is no
  // message after it. Never calls back before it returns: without a
  // connection the call ends at the loop's next turn.
  void Start(Http2Call* call, const std::string& method, std::string_view message, bool last,
             std::string_view request_id = {});
  // A further message of an open call.
  void Send(Http2Call* call, std::string_view message);
  // RST_STREAM; the call ends at once, with `status`.
  void Cancel(Http2Call* call, const absl::Status& status);

 private:
  friend class Http2Loop;
  friend struct Http2ClientCallbacks;
  using Instant = std::chrono::steady_clock::time_point;

  enum class State : std::uint8_t { kDown, kConnecting, kUp };

  void Connect(int epoll, std::uint32_t number);
  void OpenSession();
  // What epoll has said.
  void OnReady(std::uint32_t events);
  bool Read();
  // All that nghttp2 has to say, in as few writes as the socket takes.
  bool Write();
  // Open for nothing, and no call can be started any more.
  bool IsUsedUp() const;
  void WatchWritable(bool on);
  void Drop(const absl::Status& why);
  void End(Http2Call* call, const absl::Status& status);
  void EndRefused();

  const std::string endpoint_;
  State state_ = State::kDown;
  int socket_ = -1;
  int epoll_ = -1;
  std::uint32_t number_ = 0;
  bool watches_writable_ = false;
  Instant connect_at_{};
  nghttp2_session* session_ = nullptr;
  std::string unsent_;  // bytes that the socket did not take
  std::size_t unsent_from_ = 0;
  std::vector<Http2Call*> calls_;    // open ones
  std::vector<Http2Call*> refused_;  // started without a connection
};

// The connections of one thread and the waiting for them.
class Http2Loop {
 public:
  // `connections` spread evenly over the endpoints (host:port), at least one. Begins to connect.
  Http2Loop(const std::vector<std::string>& endpoints, std::size_t connections);
  ~Http2Loop();
  Http2Loop(const Http2Loop&) = delete;
  Http2Loop& operator=(const Http2Loop&) = delete;

  std::size_t size() const { return connections_.size(); }
  Http2Connection& connection(std::size_t number) { return *connections_[number]; }

  // One turn: sends what calls have added, waits at most `wait` for something to come, hands it on.
  void Turn(std::chrono::nanoseconds wait);

 private:
  // Sends and connects where it is time; when the next connect is due.
  std::chrono::steady_clock::time_point Prepare();

  int epoll_;
  std::vector<std::unique_ptr<Http2Connection>> connections_;
};

}  // namespace conclave::client
