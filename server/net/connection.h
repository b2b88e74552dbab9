// A stream socket, TCP or Unix, that never blocks: input goes to a handler in large reads, output
// is gathered and leaves in one write at the end of the loop's turn. HTTP/2, HTTP/1 and the peer
// protocol all sit on this class. On its loop's lane. Its owner may destroy it at any time, also
// from within the handler's callbacks; that closes the socket at once and nothing is called any
// more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "raft/base/time.h"
#include "server/net/event_loop.h"
#include "server/net/scoped_fd.h"

namespace conclave::server {

class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;
  // What was read, in order; valid during the call only.
  virtual void OnBytes(std::string_view bytes) = 0;
  // The output is down to the low mark after Writable() was false.
  virtual void OnDrained() {}
  // The connection is over: OK if the peer closed it or CloseAfterFlush is done, else Unavailable
  // in the system's words. The last call. Never made from within a call to the connection.
  virtual void OnClosed(const absl::Status& why) = 0;
};

using ReadPortion = absl::AnyInvocable<size_t() const>;

struct ConnectionOptions {
  // Writable() turns false at the high mark and true again, with OnDrained, at the low one. Bytes
  // of output.
  size_t output_high_mark = 256 << 10;
  size_t output_low_mark = 128 << 10;
  // Writing beyond this closes the connection: its writer does not heed Writable(), or its peer has
  // stopped reading.
  size_t output_bytes_max = 64 << 20;
  // How many bytes of input one turn takes, asked each time; null: all that the loop's buffer
  // holds. Must outlive the connection.
  const ReadPortion* read_portion = nullptr;
};

class Connection : private IoHandler, private TurnEndListener {
 public:
  // Takes a connected, nonblocking socket (from Listener or Connector). `handler` must outlive the
  // connection and is called from the next turn on. Sets TCP_NODELAY: we gather writes ourselves.
  Connection(EventLoop* loop, ScopedFd fd, ConnectionHandler* handler,
             ConnectionOptions options = {});
  ~Connection() override;

  // Adds to the output. Ignored once closing.
  void Write(std::string_view bytes);
  // Output not yet taken by the kernel, in bytes.
  size_t queued_bytes() const { return output_.size() - sent_; }
  bool Writable() const { return queued_bytes() < options_.output_high_mark; }

  // Leaves input in the kernel, which makes the peer wait. Nothing is delivered until
  // ResumeReading.
  void PauseReading();
  void ResumeReading();

  // Delivers nothing more, sends what is queued, tells the peer and waits for its end so that no
  // reset overtakes the last bytes (RFC 9112 section 9.6), then OnClosed(OK). After `limit` it
  // closes whatever is left.
  void CloseAfterFlush(Duration limit);
  bool closing() const { return closing_; }

  EventLoop* loop() const { return loop_; }

  uint64_t bytes_received() const { return bytes_received_; }
  uint64_t bytes_sent() const { return bytes_sent_; }

 private:
  void OnReady(IoEvents events) override;
  void OnTurnEnd() override;

  // Each may end with the connection destroyed, and then returns false.
  bool ReadOnce();
  bool Flush();
  bool Fail(const absl::Status& why);

  template <typename Callback>
  bool Notify(Callback callback);

  size_t PortionToRead() const;
  void UpdateWatch();
  void CloseSocket();

  EventLoop* const loop_;
  ScopedFd fd_;
  ConnectionHandler* const handler_;
  const ConnectionOptions options_;

  std::string output_;
  size_t sent_ = 0;               // of output_, taken by the kernel
  bool above_high_mark_ = false;  // OnDrained is owed
  bool reading_ = true;
  bool blocked_ = false;     // the kernel took less than all: wait until it can take more
  bool overflowed_ = false;  // output_bytes_max was exceeded: fail at the end of the turn
  bool closing_ = false;
  bool output_shut_ = false;
  bool watch_readable_ = true;  // what the loop was told last
  bool watch_writable_ = false;
  TimerId close_timer_ = 0;
  uint64_t bytes_received_ = 0;
  uint64_t bytes_sent_ = 0;
  bool* destroyed_ = nullptr;  // set by the destructor for the callback under way
};

}  // namespace conclave::server
