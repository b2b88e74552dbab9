// Follows the frame boundaries of an HTTP/2 connection's input, before nghttp2 sees it: whether a
// frame is unfinished (a client that stops there holds a connection for ever) and how many frames
// of the kinds that floods are made of have come. It reads only the 9-byte frame headers (RFC 9113
// section 4.1). On the connection's lane.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "raft/base/time.h"
#include "server/http2/options.h"

namespace conclave::server {

class FrameMeter {
 public:
  explicit FrameMeter(const Http2Options& options) : options_(options) {}

  // `bytes`: all input after the preface, in order. False once a kind has come more often within an
  // interval than allowed.
  bool Feed(std::string_view bytes, Instant now);

  // The last frame, or its header, is not complete.
  bool mid_frame() const { return header_bytes_ > 0 || payload_left_ > 0; }
  // A complete SETTINGS frame has come: the client's half of the handshake.
  bool settings_seen() const { return settings_seen_; }

 private:
  static constexpr size_t kHeaderBytes = 9;

  bool Count(Instant now);

  const Http2Options& options_;
  std::array<uint8_t, kHeaderBytes> header_{};
  size_t header_bytes_ = 0;  // of the header under way
  size_t payload_left_ = 0;
  bool in_settings_ = false;
  bool settings_seen_ = false;

  Instant interval_start_{};
  uint32_t settings_ = 0;
  uint32_t pings_ = 0;
  uint32_t resets_ = 0;
  uint32_t empty_ = 0;
};

}  // namespace conclave::server
