// One connection between two members, whichever of them dialled: cuts its input into handshake and
// frames, gathers output into frames, pings, answers pings and gives up a peer that has gone
// silent. PeerLink and PeerSession each hold one and give the frames their meaning. On the loop's
// lane. Input that breaks the protocol closes the stream with a reason.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "raft/base/time.h"
#include "server/net/connection.h"
#include "server/net/scoped_fd.h"
#include "server/peer/frame.h"
#include "server/peer/peer_options.h"

namespace conclave::server {

// None of these may destroy the stream but OnStreamClosed; all may close it.
class PeerStreamOwner {
 public:
  virtual ~PeerStreamOwner() = default;

  // The input so far, until StartFrames was called: how many bytes of it were used up. 0 waits for
  // more; an error closes.
  virtual absl::StatusOr<size_t> OnHandshakeBytes(std::string_view input) = 0;
  // A frame that is neither ping nor pong. An error closes.
  virtual absl::Status OnFrame(const Frame& frame) = 0;
  // All whole frames of one read were given to OnFrame.
  virtual void OnReadDone() {}
  virtual void OnRoundTrip(Duration elapsed) = 0;
  // The last call, not made after Close: the peer or the network ended it, the input broke the
  // protocol, or silence.
  virtual void OnStreamClosed(const absl::Status& why) = 0;
};

// Whether a stream that ended with `why` did so because its input broke the protocol.
inline bool IsProtocolError(const absl::Status& why) {
  return absl::IsDataLoss(why) || absl::IsInvalidArgument(why);
}

// What the other end of a stream may cost: a larger frame is not taken, and nothing is answered
// while more output than this waits for the other end to read it.
struct StreamBounds {
  size_t payload_bytes_max = 0;
  size_t unread_bytes_max = 0;
};

class PeerStream : private ConnectionHandler {
 public:
  // Takes a connected socket. `context` and `owner` must outlive the stream.
  PeerStream(const PeerContext* context, ScopedFd fd, PeerStreamOwner* owner);
  ~PeerStream() override = default;

  // Sends bytes of the handshake.
  void WriteHandshake(std::string_view bytes);
  // The handshake is done: what follows, both ways, are frames. Of a peer's, or within `bounds`.
  void StartFrames();
  void StartFrames(const StreamBounds& bounds);

  // Starts a frame; its payload is appended to the returned string, then EndFrame sends it. Between
  // the two calls the stream may be closed, but nothing else written. Requires !closed().
  std::string& BeginFrame(FrameKind kind);
  void EndFrame();

  // Sends a ping and notices silence: to be called every tick, which is a kSilentTicksMax-th of the
  // election timeout. Silence is counted in ticks and not in time, so that a pause of this process
  // is not taken for the peers' silence. Nothing before StartFrames.
  void Tick();

  // Ends the connection at once and without a call to the owner.
  void Close();
  // Sends what is queued (a refusal), then ends; OnStreamClosed when done.
  void CloseAfterFlush();
  bool closed() const { return connection_ == nullptr; }

  // Output that the kernel has not taken, in bytes.
  size_t queued_bytes() const { return closed() ? 0 : connection_->queued_bytes(); }
  uint64_t bytes_sent() const { return closed() ? final_bytes_sent_ : connection_->bytes_sent(); }
  uint64_t bytes_received() const { return bytes_received_; }
  Instant last_received() const { return last_received_; }

 private:
  void OnBytes(std::string_view bytes) override;
  void OnClosed(const absl::Status& why) override;

  // Handles what is whole in `input`; `used` is how many bytes that was, also if what follows them
  // is an error.
  absl::Status Consume(std::string_view input, size_t& used);
  // The bytes of the frame at the front, or 0 if its end is missing.
  absl::StatusOr<size_t> ConsumeFrame(std::string_view input);
  absl::Status HandleFrame(const Frame& frame);
  void SendPong(std::string_view ping);
  absl::Status HandlePong(std::string_view payload);
  void Fail(const absl::Status& why);

  const PeerContext* const context_;
  PeerStreamOwner* const owner_;
  std::unique_ptr<Connection> connection_;  // nullptr once closed
  bool framed_ = false;
  StreamBounds bounds_;  // of frames
  std::string input_;    // the start of a frame whose end has not arrived
  std::string scratch_;  // the frame being written; kept for its capacity
  Instant last_received_;
  bool heard_since_tick_ = true;
  int silent_ticks_ = 0;
  uint64_t ping_sent_ns_ = 0;  // of the last ping; 0 once it came back
  uint64_t bytes_received_ = 0;
  uint64_t final_bytes_sent_ = 0;
};

}  // namespace conclave::server
