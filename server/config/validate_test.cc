#include "server/config/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/config/command_line.h"

namespace conclave::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

absl::StatusOr<ParseOutcome> Parse(const std::vector<std::string>& arguments) {
  return ParseCommandLine(arguments, {}, nullptr);
}

TEST(CompleteConfigTest, InitialClusterComesFromNameAndPeerUrls) {
  const absl::StatusOr<ParseOutcome> outcome =
      Parse({"--name=m1", "--initial-advertise-peer-urls=http://10.0.0.1:2380,http://10.0.0.2:1"});
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_THAT(outcome->config.initial_cluster,
              ::testing::ElementsAre(ClusterMember{
                  "m1", {{"http", "10.0.0.1", 2380, ""}, {"http", "10.0.0.2", 1, ""}}}));
}

TEST(CompleteConfigTest, ConsoleIsAnotherNameForHuman) {
  EXPECT_EQ(Parse({"--log-format=console"})->config.log_format, "human");
  EXPECT_EQ(Parse({"--log-format=json"})->config.log_format, "json");
}

TEST(CompleteConfigTest, EachRuleNamesItsFlagAndWhatWasExpected) {
  struct Case {
    std::vector<std::string> arguments;
    std::string flag;
    std::string expected;
  };
  const std::string two = "http://127.0.0.1:1,http://127.0.0.1:1";
  const Case cases[] = {
      {{"--name="}, "--name: ", "expected a name"},
      {{"--listen-client-urls=http://127.0.0.1:1"},
       "--advertise-client-urls: ",
       "expected to be set"},
      {{"--listen-peer-urls=http://host:1"}, "--listen-peer-urls: ", "an IP address or localhost"},
      {{"--listen-metrics-urls=http://host:1"}, "--listen-metrics-urls: ", "an IP address"},
      {{"--listen-client-urls=http://h:1"}, "--listen-client-urls: ", "an IP address"},
      {{"--listen-peer-urls=" + two}, "--listen-peer-urls: ", "every URL once"},
      {{"--listen-peer-urls=https://127.0.0.1:1"}, "--listen-peer-urls: TLS", "http://"},
      {{"--advertise-client-urls=https://h:1"}, "--advertise-client-urls: TLS", "http://"},
      {{"--initial-advertise-peer-urls=" + two}, "--initial-advertise-peer-urls: ", "once"},
      {{"--initial-cluster=a=http://h:1,b=http://h:1"}, "--initial-cluster: ", "every URL once"},
      {{"--heartbeat-interval=201"}, "--election-timeout: ", "1005 ms"},
      {{"--election-timeout=50001"}, "--election-timeout: ", "to 50000"},
      {{"--watch-progress-notify-interval=99ms"}, "--watch-progress-notify-interval: ", "100ms"},
      {{"--log-outputs=default,stdout"}, "--log-outputs: ", "default alone"},
      {{"--log-outputs=stdout,"}, "--log-outputs: ", "empty"},
      {{"--log-outputs=systemd/journal"}, "--log-outputs: ", "not supported"},
      {{"--reported-version=3.6"}, "--reported-version: ", "x.y.z"},
      {{"--reported-version=3.6.x"}, "--reported-version: ", "x.y.z"},
      {{"--reported-version=3.6.1.2"}, "--reported-version: ", "x.y.z"},
      {{"--auto-compaction-retention=soon"},
       "--auto-compaction-retention: ",
       "hours or a duration"},
      {{"--auto-compaction-mode=revision", "--auto-compaction-retention=1h"},
       "--auto-compaction-retention: ",
       "a number of revisions"},
  };
  for (const Case& c : cases) {
    const absl::Status status = Parse(c.arguments).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.arguments[0];
    EXPECT_THAT(std::string(status.message()), AllOf(StartsWith(c.flag), HasSubstr(c.expected)));
  }
}

TEST(CheckInitialClusterTest, WantsThisMemberAtItsOwnUrls) {
  const auto check = [](const std::string& cluster, const std::string& urls) {
    const absl::StatusOr<ParseOutcome> outcome = Parse(
        {"--name=m1", "--initial-cluster=" + cluster, "--initial-advertise-peer-urls=" + urls});
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return std::string(CheckInitialCluster(outcome->config).message());
  };
  EXPECT_EQ(check("m1=http://10.0.0.1:1,m2=http://10.0.0.2:1", "http://10.0.0.1:1"), "");
  EXPECT_EQ(check("m1=http://a:1,m1=http://b:1", "http://b:1,http://a:1"), "");
  EXPECT_EQ(check("m1=http://127.0.0.1:1", "http://localhost:1"), "");
  EXPECT_THAT(check("m2=http://10.0.0.2:1", "http://10.0.0.1:1"),
              AllOf(StartsWith("--initial-cluster: "), HasSubstr("m1=http://10.0.0.1:1")));
  EXPECT_THAT(check("m1=http://10.0.0.1:2", "http://10.0.0.1:1"),
              AllOf(StartsWith("--initial-cluster: "), HasSubstr("--initial-advertise-peer-urls")));
}

TEST(AutoCompactionTest, ABareNumberIsHoursOrRevisions) {
  ServerConfig config;
  const auto of = [&](const std::string& mode, const std::string& retention) {
    config.auto_compaction_mode = mode;
    config.auto_compaction_retention = retention;
    return *AutoCompactionOf(config);
  };
  EXPECT_EQ(of("periodic", "0").period, Duration(0));
  EXPECT_EQ(of("periodic", "2").period, Seconds(7200));
  EXPECT_EQ(of("periodic", "30m").period, Seconds(1800));
  EXPECT_EQ(of("revision", "1000").revisions, 1000);
  EXPECT_EQ(of("revision", "1000").period, Duration(0));
}

}  // namespace
}  // namespace conclave::server
