// The limits of the client port, all in one place (design section 6). The defaults are etcd's where
// it has one, else bounds that no honest client meets. Plain values, copied at start-up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "raft/base/time.h"

namespace conclave::server {

struct Http2Options {
  // Messages and streams. The windows are what a client may send ahead of the handlers, in bytes.
  size_t receive_message_bytes_max = 2 << 20;    // etcd: max-request-bytes + 512 KiB
  uint32_t concurrent_streams_max = UINT32_MAX;  // per connection
  size_t header_list_bytes_max = 64 << 10;       // counted as RFC 9113 section 6.5.2 does
  uint32_t stream_window_bytes = 1 << 20;
  uint32_t connection_window_bytes = 4 << 20;

  // Memory. Call::Writable() is false from the high mark on, and OnWritable comes below half of it.
  size_t call_output_high_mark = 1 << 20;
  // Of one connection: unfinished or paused requests, beyond which calls fail, and responses that
  // the client has not taken, beyond which new calls fail.
  size_t connection_input_bytes_max = 64 << 20;
  size_t connection_output_bytes_max = 256 << 20;

  // A new connection must show its protocol, then send its HTTP/2 settings or a request's headers.
  Duration first_byte_timeout = Seconds(10);
  Duration handshake_timeout = Seconds(10);
  // Silence in the middle of a frame or of a request's body.
  Duration partial_frame_timeout = Seconds(20);
  // Between two requests of an HTTP/1.1 connection.
  Duration idle_timeout_http1 = Seconds(120);
  // For a client to take the last bytes of a connection that we close.
  Duration close_flush_limit = Seconds(5);

  // Pings (reference: wire section 1), enforced as grpc-go does: two strikes are forgiven.
  Duration client_ping_interval_min = Seconds(5);
  bool client_ping_without_stream = false;
  Duration keepalive_interval = Seconds(2 * 60 * 60);  // of silence before the server pings
  Duration keepalive_timeout = Seconds(20);            // for the answer

  // Floods: more frames of a kind than this within flood_interval end the connection.
  Duration flood_interval = Seconds(10);
  uint32_t flood_settings_max = 100;
  uint32_t flood_pings_max = 10'000;
  uint32_t flood_resets_max = 50'000;
  uint32_t flood_empty_frames_max = 10'000;  // empty DATA, PRIORITY, kinds nobody knows
};

struct HttpOptions {
  size_t header_bytes_max = 8 << 10;
  size_t body_bytes_max = 2 << 20;
  // Origins that browsers may call from; "*" allows all (reference: wire section 7.5).
  std::vector<std::string> cors_origins = {"*"};
  // Host headers served, without port; "*" allows all. Others get 421.
  std::vector<std::string> host_whitelist = {"*"};
};

}  // namespace conclave::server
