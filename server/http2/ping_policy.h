// How often a client may ping, as grpc-go enforces it for etcd: two pings too early are forgiven,
// the next ends the connection (reference: wire section 1, "Client ping policing"). One per
// connection, on its lane.
#pragma once

#include "raft/base/time.h"
#include "server/http2/options.h"

namespace conclave::server {

class PingPolicy {
 public:
  explicit PingPolicy(const Http2Options& options) : options_(options) {}

  // A ping came in. False if the client has had its strikes: answer with GOAWAY, ENHANCE_YOUR_CALM,
  // "too_many_pings".
  [[nodiscard]] bool OnPing(Instant now, bool has_streams);
  // We sent headers or data: pings that measure their arrival are welcome, and strikes are
  // forgotten.
  void OnSent() { forgive_ = true; }

 private:
  const Http2Options& options_;
  Instant last_ping_ = Instant::min();
  int strikes_ = 0;
  bool forgive_ = false;
};

}  // namespace conclave::server
