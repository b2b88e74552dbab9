#include "server/config/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "server/config/help.h"

namespace conclave::server {
namespace {

using ::testing::HasSubstr;

// The table against itself: mistakes in it would show only to the one user of a flag.
TEST(FlagTableTest, NamesAndYamlKeysAreUnique) {
  std::set<std::string_view> names;
  std::set<std::string_view> keys;
  for (const Flag& flag : AllFlags()) {
    EXPECT_TRUE(names.insert(flag.name).second) << flag.name;
    if (flag.yaml_key == "-") continue;
    EXPECT_TRUE(keys.insert(flag.yaml_key.empty() ? flag.name : flag.yaml_key).second) << flag.name;
  }
}

TEST(FlagTableTest, DefaultsAreAcceptedByTheirOwnFlags) {
  for (const Flag& flag : AllFlags()) {
    ServerConfig config;
    std::vector<std::string> warnings;
    const std::string text = FlagText(flag, config);
    if (flag.name == "initial-cluster" || std::holds_alternative<NoEffect>(flag.target)) continue;
    const absl::Status status = SetFlag(flag, text, config, warnings);
    EXPECT_TRUE(status.ok()) << flag.name << ": " << status;
    EXPECT_EQ(FlagText(flag, config), text) << flag.name;
    EXPECT_TRUE(config.IsGiven(std::string(flag.name)));
  }
}

TEST(FlagTableTest, EveryWorkingFlagIsExplained) {
  for (const Flag& flag : AllFlags()) {
    const bool works = !std::holds_alternative<NoEffect>(flag.target) &&
                       !std::holds_alternative<OnlyDefault>(flag.target);
    EXPECT_EQ(works, !flag.help.empty()) << flag.name;
  }
}

// The defaults of etcd that clients and operators count on (reference: behaviour section 14.2).
TEST(FlagTableTest, DefaultsAreThoseOfEtcd) {
  const std::pair<const char*, const char*> cases[] = {
      {"name", "default"},
      {"heartbeat-interval", "100"},
      {"election-timeout", "1000"},
      {"listen-peer-urls", "http://localhost:2380"},
      {"listen-client-urls", "http://localhost:2379"},
      {"initial-cluster-token", "etcd-cluster"},
      {"max-txn-ops", "128"},
      {"max-request-bytes", "1572864"},
      {"max-concurrent-streams", "4294967295"},
      {"grpc-keepalive-min-time", "5s"},
      {"grpc-keepalive-interval", "2h"},
      {"grpc-keepalive-timeout", "20s"},
      {"auto-compaction-mode", "periodic"},
      {"log-level", "info"},
  };
  for (const auto& [name, text] : cases) {
    EXPECT_EQ(FlagText(*FindFlag(name), ServerConfig{}), text) << name;
  }
}

TEST(FlagsTest, ExperimentalNamesFindTheirFlag) {
  EXPECT_EQ(FindFlag("experimental-compaction-batch-limit"), FindFlag("compaction-batch-limit"));
  EXPECT_EQ(FindFlag("experimental-name"), nullptr);
}

TEST(FlagsTest, TheNearestNameIsSuggestedIfThereIsOne) {
  EXPECT_EQ(NearestFlag("data-dri"), "data-dir");
  EXPECT_EQ(NearestFlag("listen-client-url"), "listen-client-urls");
  EXPECT_EQ(NearestFlag("xyzzy"), "");
}

TEST(FlagsTest, InitialClusterCollectsTheUrlsOfAName) {
  const absl::StatusOr<std::vector<ClusterMember>> members =
      ParseInitialCluster("b=http://h:1,a=http://h:2,b=http://h:3");
  ASSERT_TRUE(members.ok()) << members.status();
  ASSERT_EQ(members->size(), 2u);
  EXPECT_EQ(FormatInitialCluster(*members), "b=http://h:1,b=http://h:3,a=http://h:2");
  for (const char* bad : {"", "a", "=http://h:1", "a=", "a=http://h:1,", "a=h:1"}) {
    EXPECT_FALSE(ParseInitialCluster(bad).ok()) << bad;
  }
}

TEST(HelpTest, HasGroupsDefaultsAndTheFlagsThatDoNotWorkYet) {
  const std::string help = HelpText();
  EXPECT_THAT(help, HasSubstr("\nMember:\n"));
  EXPECT_THAT(help, HasSubstr("--grpc-keepalive-interval '2h'"));
  EXPECT_THAT(help, HasSubstr(" --trusted-ca-file"));
  EXPECT_THAT(help, ::testing::Not(HasSubstr("--max-snapshots")));
}

}  // namespace
}  // namespace conclave::server
