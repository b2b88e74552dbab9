#include "server/http2/liveness.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "raft/base/manual_executor.h"

namespace conclave::server {
namespace {

class LivenessTest : public ::testing::Test {
 protected:
  LivenessTest() {
    liveness_.emplace(&lane_, options_,
                      Liveness::Actions{.send_ping = [this] { ++pings_; },
                                        .give_up = [this](std::string_view why) { gone_ = why; }});
  }
  void Handshake() { liveness_->OnInput(true, false); }

  Http2Options options_;
  ManualExecutor lane_;
  int pings_ = 0;
  std::string gone_;
  std::optional<Liveness> liveness_;
};

TEST_F(LivenessTest, TheHandshakeHasItsTime) {
  lane_.Advance(options_.handshake_timeout - Seconds(1));
  liveness_->OnInput(false, true);
  EXPECT_EQ(gone_, "");
  lane_.Advance(Seconds(1));
  EXPECT_EQ(gone_, "handshake timeout") << "bytes alone do not extend it";
}

TEST_F(LivenessTest, AfterTheHandshakeSilenceBetweenFramesIsFine) {
  Handshake();
  lane_.Advance(Seconds(3600));
  EXPECT_EQ(gone_, "");
  EXPECT_EQ(pings_, 0);
}

TEST_F(LivenessTest, SilenceInsideAFrameIsNot) {
  Handshake();
  lane_.Advance(Seconds(100));
  liveness_->OnInput(true, true);
  lane_.Advance(options_.partial_frame_timeout - Seconds(1));
  EXPECT_EQ(gone_, "");
  lane_.Advance(Seconds(1));
  EXPECT_EQ(gone_, "silence in the middle of a frame");
}

TEST_F(LivenessTest, AFrameThatKeepsComingIsFine) {
  Handshake();
  for (int i = 0; i < 20; ++i) {
    liveness_->OnInput(true, true);
    lane_.Advance(options_.partial_frame_timeout - Seconds(1));
  }
  EXPECT_EQ(gone_, "");
  liveness_->OnInput(true, false);
  lane_.Advance(Seconds(1000));
  EXPECT_EQ(gone_, "");
}

TEST_F(LivenessTest, LongIdlenessIsProbedAndAnAnswerIsEnough) {
  Handshake();
  for (int i = 1; i <= 3; ++i) {
    lane_.Advance(options_.keepalive_interval);
    EXPECT_EQ(pings_, i);
    lane_.Advance(options_.keepalive_timeout - Seconds(1));
    liveness_->OnInput(true, false);
  }
  EXPECT_EQ(gone_, "");
}

TEST_F(LivenessTest, NoAnswerToAProbeMeansGone) {
  Handshake();
  lane_.Advance(options_.keepalive_interval);
  EXPECT_EQ(pings_, 1);
  lane_.Advance(options_.keepalive_timeout - Seconds(1));
  EXPECT_EQ(gone_, "");
  lane_.Advance(Seconds(1));
  EXPECT_EQ(gone_, "keepalive ping was not answered");
  lane_.Advance(Seconds(100'000));
  EXPECT_EQ(pings_, 1) << "it is over";
}

TEST_F(LivenessTest, ABusyConnectionIsNotProbed) {
  for (int i = 0; i < 100; ++i) {
    Handshake();
    lane_.Advance(options_.keepalive_interval / 2);
  }
  EXPECT_EQ(pings_, 0);
}

}  // namespace
}  // namespace conclave::server
