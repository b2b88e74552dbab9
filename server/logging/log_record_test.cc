#include "server/logging/log_record.h"

#include <gtest/gtest.h>

#include <limits>

#include "nlohmann/json.hpp"

namespace conclave::server {
namespace {

// 2026-01-02T03:04:05.678Z.
constexpr std::chrono::system_clock::time_point kWhen{std::chrono::milliseconds(1767323045678)};

std::string Line(LineFormat format, LogLevel level, std::string_view message,
                 std::initializer_list<LogField> fields) {
  RecordBuffer buffer;
  EncodeRecord(level, message, fields, buffer);
  return FormatRecord({buffer.data(), buffer.size()}, kWhen, format);
}

TEST(LogRecordTest, HumanLines) {
  EXPECT_EQ(
      Line(LineFormat::kHuman, LogLevel::kInfo, "became leader",
           {{"term", 5}, {"member", "8e9e"}, {"late", true}, {"s", 0.25}, {"n", -3}}),
      "2026-01-02T03:04:05.678Z INFO  became leader term=5 member=8e9e late=true s=0.25 n=-3\n");
  EXPECT_EQ(Line(LineFormat::kHuman, LogLevel::kError, "stopped", {}),
            "2026-01-02T03:04:05.678Z ERROR stopped\n");
}

TEST(LogRecordTest, HumanValuesAreQuotedWhenTheyNeedIt) {
  EXPECT_EQ(Line(LineFormat::kHuman, LogLevel::kWarn, "m",
                 {{"a", "two words"}, {"b", ""}, {"c", "x=y"}, {"d", "say \"hi\""}}),
            "2026-01-02T03:04:05.678Z WARN  m a=\"two words\" b=\"\" c=\"x=y\" "
            "d=\"say \\\"hi\\\"\"\n");
}

TEST(LogRecordTest, JsonLinesHaveTypedFields) {
  const std::string line = Line(LineFormat::kJson, LogLevel::kWarn, "slow \"disk\"",
                                {{"term", std::numeric_limits<uint64_t>::max()},
                                 {"n", int8_t{-3}},
                                 {"ok", false},
                                 {"s", 1.5},
                                 {"path", "/d"},
                                 {"bad", std::numeric_limits<double>::quiet_NaN()}});
  const nlohmann::json json = nlohmann::json::parse(line);
  EXPECT_EQ(json["ts"], "2026-01-02T03:04:05.678Z");
  EXPECT_EQ(json["level"], "warn");
  EXPECT_EQ(json["msg"], "slow \"disk\"");
  EXPECT_EQ(json["term"], std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(json["n"], -3);
  EXPECT_EQ(json["ok"], false);
  EXPECT_EQ(json["s"], 1.5);
  EXPECT_EQ(json["path"], "/d");
  EXPECT_TRUE(json["bad"].is_null());
}

// A key in a log line comes from a client: it must not be able to forge lines.
TEST(LogRecordTest, TextsOfClientsStayOnTheirLine) {
  const std::string evil = "a\nb\x1b[2J\xff";
  for (LineFormat format : {LineFormat::kHuman, LineFormat::kJson}) {
    const std::string line = Line(format, LogLevel::kInfo, evil, {{"key", evil}});
    EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
    EXPECT_EQ(line.find('\x1b'), std::string::npos) << line;
    EXPECT_EQ(line.find('\xff'), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace conclave::server
