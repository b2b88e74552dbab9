// Decides when a silent HTTP/2 client is gone: no handshake in time, silence in the middle of a
// frame, or no answer to our ping after long idleness (reference: wire section 1, server
// keepalive). One per session, on its lane.
#pragma once

#include <string_view>

#include "absl/functional/any_invocable.h"
#include "raft/base/executor.h"
#include "raft/base/time.h"
#include "server/http2/options.h"

namespace conclave::server {

class Liveness {
 public:
  struct Actions {
    Task send_ping;
    // The last call; may destroy the Liveness.
    absl::AnyInvocable<void(std::string_view why)> give_up;
  };

  Liveness(Executor* lane, const Http2Options& options, Actions actions);
  ~Liveness();
  Liveness(const Liveness&) = delete;
  Liveness& operator=(const Liveness&) = delete;

  // Bytes came in. `handshake_done`: the client's settings have been seen. `mid_frame`: they end
  // inside a frame.
  void OnInput(bool handshake_done, bool mid_frame);

 private:
  void CheckKeepalive();
  void CheckPartialFrame();
  void GiveUp(std::string_view why);
  void Cancel(TimerId& timer);

  Executor* const lane_;
  const Http2Options& options_;
  Actions actions_;
  Instant last_input_;
  bool mid_frame_ = false;
  Instant ping_sent_ = kNever;  // kNever: none is unanswered
  TimerId handshake_timer_ = 0;
  TimerId keepalive_timer_ = 0;
  TimerId partial_frame_timer_ = 0;
};

}  // namespace conclave::server
