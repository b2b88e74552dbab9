// One HTTP/2 connection as a gRPC server (RFC 9113; gRPC over HTTP2), on nghttp2. Input is parsed
// as it comes and starts calls; what calls answer is gathered and framed once at the end of the
// loop's turn, as far as the client's windows and the connection's buffer have room. Owned by a
// ServerConnection, on its lane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/http2/frame_meter.h"
#include "server/http2/liveness.h"
#include "server/http2/ping_policy.h"
#include "server/http2/protocol_handler.h"
#include "server/http2/server_context.h"
#include "server/http2/stream_call.h"
#include "server/net/connection.h"

struct nghttp2_session;

namespace conclave::server {

class Session : public ProtocolHandler, private TurnEndListener {
 public:
  // Both must outlive the session.
  Session(const ServerContext* context, Connection* connection);
  // Open calls see OnClosed.
  ~Session() override;

  void OnBytes(std::string_view bytes) override;
  void OnDrained() override;
  // GOAWAY in two steps (RFC 9113 section 6.8): a notice, so that calls already on their way are
  // still served, then the real one. Closes the connection when the last call is over.
  void Drain() override;

  // What follows is for the calls.
  const ServerContext& context() const { return *context_; }
  // The call's response has changed: look at it at the end of the turn.
  void MarkDirty(StreamCall* call);
  // Ends a stream whose client has not taken its response for long; it sees ResourceExhausted. Ends
  // the connection if it is the socket that is stuck.
  void ResetCall(int32_t stream_id);
  // The client may send so many more bytes on a stream.
  void GrantStream(int32_t stream_id, size_t bytes);
  // A call holds `after` bytes of unfinished input instead of `before`. False if the connection
  // holds too many now.
  bool CountInput(size_t before, size_t after);
  void CountOutput(int64_t change) { output_bytes_ += change; }
  // Takes an emptied output buffer for the next call.
  void KeepBuffer(std::string buffer);

 private:
  friend struct SessionCallbacks;  // what nghttp2 calls, in session_callbacks.cc

  struct Nghttp2Deleter {
    void operator()(nghttp2_session* session) const;
  };

  void OnTurnEnd() override;

  // Events of nghttp2's input; see SessionCallbacks.
  StreamCall* OpenCall(int32_t stream_id);
  void StartCall(StreamCall* call, bool input_ended);
  void OnPing();
  void OnPingAck(std::string_view opaque);
  void CloseCall(int32_t stream_id);

  // Everything that can leave now leaves; then the connection is closed if that was all.
  void Pump();
  void FillConnection();
  void SubmitDirty();
  void SubmitResponse(StreamCall* call);
  void TellWritable();

  void SendGoaway();
  // Ends the connection because of the client: GOAWAY with an HTTP/2 error code and words, then
  // close.
  void Terminate(uint32_t error_code, std::string_view why);
  void CloseConnection();
  void CloseAllCalls();

  const ServerContext* const context_;
  Connection* const connection_;
  std::unique_ptr<nghttp2_session, Nghttp2Deleter> nghttp2_;

  absl::flat_hash_map<int32_t, std::shared_ptr<StreamCall>> calls_;
  std::vector<int32_t> dirty_;       // calls to look at; by number, for they may be gone by then
  std::vector<int32_t> writable_;    // calls whose handler is owed OnWritable
  std::vector<int32_t> looking_at_;  // kept for its capacity
  std::vector<std::string> spare_buffers_;

  size_t preface_left_;
  FrameMeter meter_;
  PingPolicy ping_policy_;
  Liveness liveness_;

  size_t unconsumed_ = 0;  // DATA bytes of this read, to be granted again for the connection
  size_t input_bytes_ = 0;
  int64_t output_bytes_ = 0;
  bool too_many_pings_ = false;
  bool stuck_ = false;  // the client does not read its socket
  bool draining_ = false;
  bool goaway_sent_ = false;
  TimerId goaway_timer_ = 0;
  bool ended_ = false;  // the connection is being closed; nothing is sent or heard any more
};

}  // namespace conclave::server
