#include "server/http2/frame_meter.h"

#include <gtest/gtest.h>

#include <string>

namespace conclave::server {
namespace {

constexpr uint8_t kData = 0, kHeaders = 1, kPriority = 2, kReset = 3, kSettings = 4, kPing = 6,
                  kWindowUpdate = 8, kUnknown = 99;
constexpr Instant kStart{Seconds(100)};

std::string Frame(uint8_t type, uint8_t flags, size_t payload) {
  std::string frame = {static_cast<char>(payload >> 16),
                       static_cast<char>(payload >> 8),
                       static_cast<char>(payload),
                       static_cast<char>(type),
                       static_cast<char>(flags),
                       0,
                       0,
                       0,
                       1};
  return frame + std::string(payload, 'x');
}

TEST(FrameMeter, KnowsWhetherAFrameIsUnfinishedHoweverTheBytesAreCut) {
  const std::string input = Frame(kSettings, 0, 12) + Frame(kData, 0, 300) + Frame(kPing, 0, 8);
  const size_t settings_end = 9 + 12, data_end = settings_end + 9 + 300;
  const Http2Options options;
  for (size_t step : {1u, 2u, 7u, 10u, 1000u}) {
    FrameMeter meter(options);
    for (size_t at = 0; at < input.size(); at += step) {
      ASSERT_TRUE(meter.Feed(std::string_view(input).substr(at, step), kStart));
      const size_t fed = std::min(at + step, input.size());
      const bool boundary = fed == settings_end || fed == data_end || fed == input.size();
      EXPECT_EQ(meter.mid_frame(), !boundary) << fed;
      EXPECT_EQ(meter.settings_seen(), fed >= settings_end) << fed;
    }
  }
}

TEST(FrameMeter, AnEmptySettingsFrameCountsAsSeen) {
  const Http2Options options;
  FrameMeter meter(options);
  EXPECT_TRUE(meter.Feed(Frame(kSettings, 0, 0), kStart));
  EXPECT_TRUE(meter.settings_seen());
  EXPECT_FALSE(meter.mid_frame());
}

TEST(FrameMeter, FloodsEndTheConnectionAndOrdinaryTrafficDoesNot) {
  Http2Options options;
  options.flood_settings_max = options.flood_pings_max = options.flood_resets_max =
      options.flood_empty_frames_max = 10;
  const struct {
    const char* name;
    std::string frame;
    bool flood;
  } cases[] = {
      {"settings", Frame(kSettings, 0, 6), true},
      {"pings", Frame(kPing, 0, 8), true},
      {"resets", Frame(kReset, 0, 4), true},
      {"empty data", Frame(kData, 0, 0), true},
      {"empty headers", Frame(kHeaders, 0, 0), true},
      {"priority", Frame(kPriority, 0, 5), true},
      {"unknown", Frame(kUnknown, 0, 1), true},
      {"data", Frame(kData, 0, 1), false},
      {"end of stream", Frame(kData, 1, 0), false},
      {"headers", Frame(kHeaders, 4, 20), false},
      {"window updates", Frame(kWindowUpdate, 0, 4), false},
  };
  for (const auto& c : cases) {
    FrameMeter meter(options);
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(meter.Feed(c.frame, kStart)) << c.name;
    EXPECT_EQ(meter.Feed(c.frame, kStart), !c.flood) << c.name;
  }
}

TEST(FrameMeter, CountsAnewInEveryInterval) {
  Http2Options options;
  options.flood_pings_max = 10;
  FrameMeter meter(options);
  Instant now = kStart;
  for (int interval = 0; interval < 3; ++interval) {
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(meter.Feed(Frame(kPing, 0, 8), now));
    now += options.flood_interval;
  }
}

}  // namespace
}  // namespace conclave::server
