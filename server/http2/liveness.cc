#include "server/http2/liveness.h"

#include <utility>

namespace conclave::server {

Liveness::Liveness(Executor* lane, const Http2Options& options, Actions actions)
    : lane_(lane), options_(options), actions_(std::move(actions)), last_input_(lane->Now()) {
  handshake_timer_ = lane_->RunAt(last_input_ + options_.handshake_timeout, [this] {
    handshake_timer_ = 0;
    GiveUp("handshake timeout");
  });
  keepalive_timer_ = lane_->RunAt(last_input_ + options_.keepalive_interval, [this] {
    keepalive_timer_ = 0;
    CheckKeepalive();
  });
}

Liveness::~Liveness() {
  Cancel(handshake_timer_);
  Cancel(keepalive_timer_);
  Cancel(partial_frame_timer_);
}

void Liveness::OnInput(bool handshake_done, bool mid_frame) {
  last_input_ = lane_->Now();
  ping_sent_ = kNever;  // any sign of life is an answer
  mid_frame_ = mid_frame;
  if (handshake_done) Cancel(handshake_timer_);
  // Most reads that end inside a frame are followed by another at once: a timer that runs is left
  // alone and looks again.
  if (mid_frame && partial_frame_timer_ == 0) {
    partial_frame_timer_ = lane_->RunAt(last_input_ + options_.partial_frame_timeout, [this] {
      partial_frame_timer_ = 0;
      CheckPartialFrame();
    });
  }
}

void Liveness::CheckKeepalive() {
  const Instant now = lane_->Now();
  if (ping_sent_ != kNever && now - ping_sent_ >= options_.keepalive_timeout) {
    return GiveUp("keepalive ping was not answered");
  }
  Instant next = last_input_ + options_.keepalive_interval;
  if (next <= now) {
    actions_.send_ping();
    ping_sent_ = now;
    next = now + options_.keepalive_timeout;
  }
  keepalive_timer_ = lane_->RunAt(next, [this] {
    keepalive_timer_ = 0;
    CheckKeepalive();
  });
}

void Liveness::CheckPartialFrame() {
  if (!mid_frame_) return;
  const Instant due = last_input_ + options_.partial_frame_timeout;
  if (due <= lane_->Now()) return GiveUp("silence in the middle of a frame");
  partial_frame_timer_ = lane_->RunAt(due, [this] {
    partial_frame_timer_ = 0;
    CheckPartialFrame();
  });
}

void Liveness::GiveUp(std::string_view why) {
  auto give_up = std::move(actions_.give_up);
  Cancel(handshake_timer_);
  Cancel(keepalive_timer_);
  Cancel(partial_frame_timer_);
  give_up(why);
}

void Liveness::Cancel(TimerId& timer) {
  if (timer != 0) lane_->CancelTimer(std::exchange(timer, 0));
}

}  // namespace conclave::server
