#include "server/config/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/config/flags.h"

namespace conclave::server {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

absl::StatusOr<std::string> NoFiles(const std::string& path) {
  return absl::NotFoundError(path + ": No such file or directory");
}

ParseOutcome Parse(const std::vector<std::string>& arguments, const Environment& environment = {}) {
  absl::StatusOr<ParseOutcome> parsed = ParseCommandLine(arguments, environment, NoFiles);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  ParseOutcome outcome;
  if (parsed.ok()) outcome = *std::move(parsed);
  return outcome;
}

std::string Error(const std::vector<std::string>& arguments, const Environment& environment = {}) {
  const absl::Status status = ParseCommandLine(arguments, environment, NoFiles).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << arguments[0];
  const std::string text(status.message());
  EXPECT_THAT(text, Not(HasSubstr("\n")));
  return text;
}

TEST(CommandLineTest, NoFlagsAreOneMemberOnLoopback) {
  const ServerConfig config = Parse({}).config;
  EXPECT_EQ(config.name, "default");
  EXPECT_EQ(config.data_dir, "default.etcd");
  EXPECT_THAT(ToStrings(config.listen_client_urls), ElementsAre("http://localhost:2379"));
  EXPECT_EQ(FormatInitialCluster(config.initial_cluster), "default=http://localhost:2380");
  EXPECT_TRUE(config.given.empty());
}

TEST(CommandLineTest, EveryWayToWriteAFlag) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--name", "m1"},
                                             {"--name=m1"},
                                             {"-name", "m1"},
                                             {"-name=m1"},
                                             {"--name=x", "--name=m1"}}) {
    const ServerConfig config = Parse(arguments).config;
    EXPECT_EQ(config.name, "m1");
    EXPECT_EQ(config.data_dir, "m1.etcd");
    EXPECT_TRUE(config.IsGiven("name"));
  }
}

TEST(CommandLineTest, ValuesMayLookLikeFlagsOrBeEmpty) {
  EXPECT_EQ(Parse({"--quota-backend-bytes", "-1"}).config.quota_backend_bytes, -1);
  EXPECT_EQ(Parse({"--name", "--x"}).config.name, "--x");
  const ServerConfig config = Parse({"--trusted-ca-file=", "--name", "m1"}).config;
  EXPECT_EQ(config.name, "m1");
}

TEST(CommandLineTest, BooleansStandAloneOrTakeTheirValueAfterEquals) {
  EXPECT_TRUE(Parse({"--unsafe-no-fsync"}).config.unsafe_no_fsync);
  EXPECT_TRUE(Parse({"--unsafe-no-fsync=T"}).config.unsafe_no_fsync);
  EXPECT_FALSE(Parse({"--unsafe-no-fsync=false"}).config.unsafe_no_fsync);
  EXPECT_THAT(Error({"--unsafe-no-fsync", "false"}), StartsWith("\"false\": expected a flag"));
  EXPECT_THAT(Error({"--unsafe-no-fsync="}), StartsWith("--unsafe-no-fsync: bad value \"\""));
}

TEST(CommandLineTest, EachErrorNamesTheFlagAndWhatWasExpected) {
  struct Case {
    std::vector<std::string> arguments;
    std::string flag;
    std::string expected;
  };
  const Case cases[] = {
      {{"--data-dri=x"}, "--data-dri: unknown flag", "--data-dir"},
      {{"--xyzzy"}, "--xyzzy: unknown flag", "expected one of those that conclave --help lists"},
      {{"--name"}, "--name: ", "expected a value"},
      {{"serve"}, "\"serve\": ", "expected a flag"},
      {{"-"}, "\"-\": ", "expected a flag"},
      {{"--max-txn-ops=many"}, "--max-txn-ops: ", "an integer of at least 1"},
      {{"--max-txn-ops=0"}, "--max-txn-ops: ", "an integer of at least 1"},
      {{"--max-concurrent-streams=4294967296"},
       "--max-concurrent-streams: ",
       "from 1 to 4294967295"},
      {{"--grpc-keepalive-timeout=20"}, "--grpc-keepalive-timeout: ", "with a unit"},
      {{"--grpc-keepalive-timeout=-1s"}, "--grpc-keepalive-timeout: ", "at least 0s"},
      {{"--log-level=loud"}, "--log-level: ", "one of debug, info"},
      {{"--listen-peer-urls=127.0.0.1:2380"}, "--listen-peer-urls: ", "the scheme http"},
      {{"--initial-cluster=m1"}, "--initial-cluster: ", "name=URL,name=URL"},
      {{"--cert-file=/x"},
       "--cert-file: not supported by this version",
       "expected its default \"\""},
      {{"--socket-reuse-port"}, "--socket-reuse-port: not supported", "expected its default"},
      {{"--force-new-cluster"}, "--force-new-cluster: not supported", "expected its default"},
      {{"--force-new-cluster=maybe"}, "--force-new-cluster: bad value", "true or false"},
      {{"--max-wals=some"}, "--max-wals: ", "an integer"},
      {{"--enable-v2"}, "--enable-v2: not supported", "\"false\""},
      {{"--config-file=/x.yaml"}, "--config-file: ", "/x.yaml: No such file"},
      {{"--version=2"}, "--version: ", "expected no value"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(Error(c.arguments), AllOf(StartsWith(c.flag), HasSubstr(c.expected)));
  }
}

TEST(CommandLineTest, FlagsOfAbsentFeaturesAreTakenAtTheirDefault) {
  EXPECT_THAT(Parse({"--client-cert-auth=0", "--corrupt-check-time=0", "--auth-token=simple",
                     "--pre-vote", "--tls-min-version", "TLS1.2", "--enable-v2=false"})
                  .warnings,
              IsEmpty());
}

TEST(CommandLineTest, FlagsWithoutEffectAreWarnedOf) {
  EXPECT_THAT(
      Parse({"--max-snapshots=7", "--v", "--snapshot=whatever", "--socket-reuse-address"}).warnings,
      ElementsAre(HasSubstr("--max-snapshots"), HasSubstr("--snapshot"),
                  HasSubstr("--socket-reuse-address"), HasSubstr("--v ")));
}

TEST(CommandLineTest, OldNamesAreTakenWithAWarning) {
  const ParseOutcome outcome = Parse({"--experimental-watch-progress-notify-interval=5s"});
  EXPECT_EQ(outcome.config.watch_progress_notify_interval, Seconds(5));
  EXPECT_THAT(outcome.warnings, ElementsAre(HasSubstr("use --watch-progress-notify-interval")));
  EXPECT_THAT(Error({"--experimental-compaction-batch-limit=5", "--compaction-batch-limit=5"}),
              StartsWith("--compaction-batch-limit: expected only one of its names"));
}

TEST(CommandLineTest, HelpAndVersionArePrinted) {
  for (const char* argument : {"--help", "-help", "-h", "--h"}) {
    EXPECT_THAT(Parse({argument}).print, StartsWith("Usage: conclave"));
  }
  EXPECT_EQ(Parse({"--version"}, {{"ETCD_NAME", "x"}, {"ETCD_MAX_TXN_OPS", "bad"}}).print,
            "etcd Version: 3.6.14\nconclave Version: 0.1.0\n");
  EXPECT_THAT(Parse({"--version", "--reported-version=3.5.1"}).print,
              StartsWith("etcd Version: 3.5.1\n"));
  EXPECT_THAT(Parse({"--version=false"}).print, IsEmpty());
}

TEST(EnvironmentTest, BothPrefixesSetFlags) {
  const ServerConfig config =
      Parse({}, {{"ETCD_NAME", "m1"}, {"CONCLAVE_MAX_TXN_OPS", "7"}, {"HOME", "/root"}}).config;
  EXPECT_EQ(config.name, "m1");
  EXPECT_EQ(config.max_txn_ops, 7);
  EXPECT_TRUE(config.IsGiven("name"));
}

TEST(EnvironmentTest, AnEmptyValueIsNone) {
  const ParseOutcome outcome = Parse({"--name=m1"}, {{"ETCD_NAME", ""}, {"ETCD_DATA_DIR", ""}});
  EXPECT_EQ(outcome.config.name, "m1");
  EXPECT_EQ(outcome.config.data_dir, "m1.etcd");
}

TEST(EnvironmentTest, AFlagGivenTwiceIsAnError) {
  EXPECT_THAT(Error({"--name=m1"}, {{"ETCD_NAME", "m1"}}),
              AllOf(StartsWith("--name: "), HasSubstr("ETCD_NAME")));
  EXPECT_THAT(Error({"--max-txn-ops=1"}, {{"ETCD_NAME", "a"}, {"CONCLAVE_NAME", "a"}}),
              AllOf(StartsWith("--name (from CONCLAVE_NAME): "), HasSubstr("ETCD_NAME")));
}

TEST(EnvironmentTest, UnknownVariablesAreWarnedOf) {
  const ParseOutcome outcome = Parse({}, {{"ETCD_NAMES", "x"}, {"ETCD_VERSION", "3.4"}});
  EXPECT_THAT(outcome.warnings,
              ElementsAre(StartsWith("ETCD_NAMES: unknown"), StartsWith("ETCD_VERSION: unknown")));
  EXPECT_THAT(outcome.print, IsEmpty());
}

TEST(EnvironmentTest, ErrorsNameTheVariable) {
  EXPECT_THAT(Error({"--name=x"}, {{"ETCD_MAX_TXN_OPS", "x"}}),
              StartsWith("--max-txn-ops (from ETCD_MAX_TXN_OPS): "));
}

}  // namespace
}  // namespace conclave::server
