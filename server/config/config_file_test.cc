#include "server/config/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/config/command_line.h"

namespace conclave::server {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

absl::StatusOr<ParseOutcome> Read(const std::string& yaml, std::vector<std::string> more = {},
                                  const Environment& environment = {}) {
  more.push_back("--config-file=/c.yaml");
  return ParseCommandLine(more, environment, [&](const std::string& path) {
    EXPECT_EQ(path, "/c.yaml");
    return absl::StatusOr<std::string>(yaml);
  });
}

std::string Error(const std::string& yaml) {
  const absl::Status status = Read(yaml).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << yaml;
  return std::string(status.message());
}

TEST(ConfigFileTest, SettingsOfEveryKindAreRead) {
  const absl::StatusOr<ParseOutcome> outcome = Read(
      "name: m1\n"
      "data-dir: /var/lib/m1   # a comment\n"
      "wal-dir:\n"
      "max-txn-ops: 7\n"
      "unsafe-no-fsync: yes\n"
      "grpc-keepalive-timeout: 3000000000\n"
      "log-outputs: [stdout, /var/log/m1]\n"
      "auto-compaction-retention: '5'\n"
      "listen-peer-urls: http://127.0.0.1:1,http://127.0.0.1:2\n"
      "initial-advertise-peer-urls: http://127.0.0.1:1\n"
      "socket-options:\n"
      "  reuse-port: false\n"
      "client-transport-security: {cert-file: '', client-cert-auth: false}\n");
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  const ServerConfig& config = outcome->config;
  EXPECT_EQ(config.name, "m1");
  EXPECT_EQ(config.data_dir, "/var/lib/m1");
  EXPECT_FALSE(config.IsGiven("wal-dir"));
  EXPECT_EQ(config.max_txn_ops, 7);
  EXPECT_TRUE(config.unsafe_no_fsync);
  EXPECT_EQ(config.grpc_keepalive_timeout, Seconds(3));
  EXPECT_THAT(config.log_outputs, ElementsAre("stdout", "/var/log/m1"));
  EXPECT_EQ(config.listen_peer_urls.size(), 2u);
  EXPECT_TRUE(config.IsGiven("socket-reuse-port"));
  EXPECT_THAT(outcome->warnings, IsEmpty());
}

TEST(ConfigFileTest, JsonIsYaml) {
  const absl::StatusOr<ParseOutcome> outcome = Read("{\"name\": \"m1\", \"max-txn-ops\": 9}");
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->config.name, "m1");
  EXPECT_EQ(outcome->config.max_txn_ops, 9);
}

TEST(ConfigFileTest, AnEmptyFileIsAllDefaults) {
  const absl::StatusOr<ParseOutcome> outcome = Read("");
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->config.data_dir, "default.etcd");
}

TEST(ConfigFileTest, ItReplacesFlagsAndEnvironment) {
  const absl::StatusOr<ParseOutcome> outcome =
      Read("name: m1\n", {"--name=m2", "--max-txn-ops=5"}, {{"ETCD_MAX_REQUEST_BYTES", "1"}});
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->config.name, "m1");
  EXPECT_EQ(outcome->config.max_txn_ops, 128);
  EXPECT_EQ(outcome->config.max_request_bytes, 1572864);
  EXPECT_THAT(outcome->warnings, ElementsAre(HasSubstr("all other flags are ignored")));
}

TEST(ConfigFileTest, TheEnvironmentCanNameIt) {
  const absl::StatusOr<ParseOutcome> outcome =
      ParseCommandLine({}, {{"ETCD_CONFIG_FILE", "/e.yaml"}}, [](const std::string& path) {
        return absl::StatusOr<std::string>("name: from" + path.substr(1, 1) + "\n");
      });
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->config.name, "frome");
}

TEST(ConfigFileTest, ErrorsNameTheLineTheFlagAndWhatWasExpected) {
  struct Case {
    std::string yaml;
    std::string start;
    std::string expected;
  };
  const Case cases[] = {
      {"name: m1\nmax-txn-ops: x\n", "--max-txn-ops (from /c.yaml line 2): ", "an integer"},
      {"grpc-keepalive-timeout: 20s\n",
       "--grpc-keepalive-timeout (from /c.yaml line 1): ", "an integer of nanoseconds"},
      {"name: [a, b]\n", "--name (from /c.yaml line 1): ", "a single value"},
      {"log-outputs: [[a]]\n", "--log-outputs (from ", "a list of single values"},
      {"unsafe-no-fsync: 7\n", "--unsafe-no-fsync (from ", "true or false"},
      {"peer-transport-security:\n  cert-file: /x\n",
       "--peer-cert-file (from /c.yaml line 2): ", "not supported"},
      {"compaction-batch-limit: 5\nexperimental-compaction-batch-limit: 6\n",
       "--compaction-batch-limit (from /c.yaml line 2): ", "set once"},
      {"a: b: c\n", "--config-file: expected YAML or JSON in /c.yaml, but line 1: ", ""},
      {"just a text\n", "--config-file: expected settings", "/c.yaml"},
      {"heartbeat-interval: 500\n", "--election-timeout: ", "2500 ms"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(Error(c.yaml), AllOf(StartsWith(c.start), HasSubstr(c.expected)));
  }
}

TEST(ConfigFileTest, UnknownKeysAreWarnedOf) {
  const absl::StatusOr<ParseOutcome> outcome =
      Read("names: x\nv: 1\nclient-transport-security: {allowed-cn: x}\n");
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_THAT(outcome->warnings,
              ElementsAre(HasSubstr("line 1: unknown key \"names\""), HasSubstr("\"v\""),
                          HasSubstr("\"client-transport-security.allowed-cn\"")));
}

}  // namespace
}  // namespace conclave::server
