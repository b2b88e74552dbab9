#include "server/http2/frame_meter.h"

#include <algorithm>
#include <cstring>

namespace conclave::server {

namespace {

// RFC 9113 section 6.
enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kReset = 3,
  kSettings = 4,
  kPing = 6,
  kWindowUpdate = 8,
  kContinuation = 9,
};
constexpr uint8_t kEndStream = 0x1;
constexpr uint8_t kEndHeaders = 0x4;

}  // namespace

bool FrameMeter::Feed(std::string_view bytes, Instant now) {
  while (!bytes.empty()) {
    if (payload_left_ > 0) {
      const size_t step = std::min(payload_left_, bytes.size());
      payload_left_ -= step;
      bytes.remove_prefix(step);
    } else {
      const size_t step = std::min(kHeaderBytes - header_bytes_, bytes.size());
      std::memcpy(header_.data() + header_bytes_, bytes.data(), step);
      header_bytes_ += step;
      bytes.remove_prefix(step);
      if (header_bytes_ < kHeaderBytes) return true;
      header_bytes_ = 0;
      payload_left_ = static_cast<size_t>(header_[0]) << 16 | header_[1] << 8 | header_[2];
      in_settings_ = header_[3] == kSettings;
      if (!Count(now)) return false;
    }
    if (payload_left_ == 0 && in_settings_) settings_seen_ = true;
  }
  return true;
}

bool FrameMeter::Count(Instant now) {
  if (now - interval_start_ >= options_.flood_interval) {
    interval_start_ = now;
    settings_ = pings_ = resets_ = empty_ = 0;
  }
  const uint8_t flags = header_[4];
  switch (header_[3]) {
    case kSettings:
      return ++settings_ <= options_.flood_settings_max;
    case kPing:
      return ++pings_ <= options_.flood_pings_max;
    case kReset:
      return ++resets_ <= options_.flood_resets_max;
    case kData:
      if (payload_left_ > 0 || (flags & kEndStream) != 0) return true;
      break;
    case kHeaders:
    case kContinuation:
      if (payload_left_ > 0 || (flags & kEndHeaders) != 0) return true;
      break;
    case kWindowUpdate:
      return true;
    default:
      break;
  }
  return ++empty_ <= options_.flood_empty_frames_max;
}

}  // namespace conclave::server
