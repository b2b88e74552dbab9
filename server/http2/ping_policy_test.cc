#include "server/http2/ping_policy.h"

#include <gtest/gtest.h>

namespace conclave::server {
namespace {

class PingPolicyTest : public ::testing::Test {
 protected:
  bool PingAfter(Duration pause, bool has_streams = true) {
    now_ += pause;
    return policy_.OnPing(now_, has_streams);
  }
  Http2Options options_;
  PingPolicy policy_{options_};
  Instant now_{Seconds(1000)};
};

TEST_F(PingPolicyTest, PingsFarEnoughApartAreWelcome) {
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(PingAfter(Seconds(5)));
}

TEST_F(PingPolicyTest, TwoEarlyPingsAreForgivenTheThirdIsNot) {
  EXPECT_TRUE(PingAfter(Seconds(0)));  // the first of all
  EXPECT_TRUE(PingAfter(Seconds(1)));
  EXPECT_TRUE(PingAfter(Seconds(1)));
  EXPECT_FALSE(PingAfter(Seconds(1)));
}

TEST_F(PingPolicyTest, StrikesAreNotForgottenWithTime) {
  EXPECT_TRUE(PingAfter(Seconds(0)));
  EXPECT_TRUE(PingAfter(Seconds(1)));
  EXPECT_TRUE(PingAfter(Seconds(1)));
  EXPECT_TRUE(PingAfter(Seconds(60)));
  EXPECT_FALSE(PingAfter(Seconds(1)));
}

TEST_F(PingPolicyTest, SendingForgivesTheStrikesAndTheNextPing) {
  EXPECT_TRUE(PingAfter(Seconds(0)));
  for (int i = 0; i < 50; ++i) {
    policy_.OnSent();
    EXPECT_TRUE(PingAfter(Milliseconds(1)));
  }
  EXPECT_TRUE(PingAfter(Milliseconds(1)));
  EXPECT_TRUE(PingAfter(Milliseconds(1)));
  EXPECT_FALSE(PingAfter(Milliseconds(1)));
}

TEST_F(PingPolicyTest, WithoutStreamsEveryPingIsEarly) {
  EXPECT_TRUE(PingAfter(Seconds(0), false));
  EXPECT_TRUE(PingAfter(Seconds(60), false));
  EXPECT_TRUE(PingAfter(Seconds(60), false));
  EXPECT_FALSE(PingAfter(Seconds(60), false));
}

TEST_F(PingPolicyTest, WithoutStreamsMayBeAllowed) {
  options_.client_ping_without_stream = true;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(PingAfter(Seconds(5), false));
}

}  // namespace
}  // namespace conclave::server
