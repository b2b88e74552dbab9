#include "server/bootstrap/identity.h"
#include "raft/base/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/config/flags.h"

namespace conclave::server {
namespace {

using ::testing::HasSubstr;

ServerConfig ThreeMembers(const std::string& name) {
  ServerConfig config;
  config.name = name;
  config.initial_cluster = *ParseInitialCluster(
      "m2=http://127.0.0.1:22380,m1=http://127.0.0.1:2380,"
      "m3=http://127.0.0.1:32380");
  return config;
}

// The example of the reference (behaviour section 9.1), which a single etcd with default flags has.
TEST(IdentityTest, AMemberAloneHasTheIdsThatEtcdGivesIt) {
  ServerConfig config;
  config.initial_cluster = *ParseInitialCluster("default=http://localhost:2380");
  const Identity identity = *InitialIdentity(config);
  EXPECT_EQ(HexId(identity.member_id.value()), "8e9e05c52164694d");
  EXPECT_EQ(HexId(identity.cluster_id), "cdf818194e3a8c32");
}

TEST(IdentityTest, EveryMemberComputesTheSameClusterFromTheSameFlags) {
  const Identity first = *InitialIdentity(ThreeMembers("m1"));
  const Identity second = *InitialIdentity(ThreeMembers("m2"));
  EXPECT_EQ(first.cluster_id, second.cluster_id);
  EXPECT_EQ(first.members, second.members);
  EXPECT_NE(first.member_id, second.member_id);
  EXPECT_EQ(first.members.size(), 3u);
  EXPECT_LT(first.members[0].id, first.members[1].id);
  EXPECT_LT(first.members[1].id, first.members[2].id);
}

TEST(IdentityTest, TheTokenKeepsClustersWithTheSameUrlsApart) {
  ServerConfig other = ThreeMembers("m1");
  other.initial_cluster_token = "other";
  const Identity a = *InitialIdentity(ThreeMembers("m1"));
  const Identity b = *InitialIdentity(other);
  EXPECT_NE(a.member_id, b.member_id);
  EXPECT_NE(a.cluster_id, b.cluster_id);
}

TEST(IdentityTest, TheOrderOfAMembersUrlsDoesNotMatter) {
  EXPECT_EQ(InitialMemberId({"http://a:1", "http://b:2"}, "t"),
            InitialMemberId({"http://b:2", "http://a:1"}, "t"));
}

TEST(IdentityTest, ANameThatIsNotInTheClusterIsAnErrorOfTheFlag) {
  const absl::Status status = InitialIdentity(ThreeMembers("m9")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--initial-cluster: "));
  EXPECT_THAT(std::string(status.message()), HasSubstr("m9"));
}

TEST(IdentityTest, WhatIsWrittenIsReadBack) {
  const Identity identity = *InitialIdentity(ThreeMembers("m3"));
  const absl::StatusOr<Identity> read = DecodeIdentity(EncodeIdentity(identity));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, identity);
}

TEST(IdentityTest, WhoJoinedRemembersWhoWasThere) {
  Identity identity = *InitialIdentity(ThreeMembers("m3"));
  identity.members_at_join = {{raft::NodeId(7), "m7", {"http://a:1", "http://b:2"}},
                              {raft::NodeId(9), "", {"http://c:1"}}};
  const absl::StatusOr<Identity> read = DecodeIdentity(EncodeIdentity(identity));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, identity);
  EXPECT_TRUE(read->joined());
}

TEST(IdentityTest, HexHasNoLeadingZeros) { EXPECT_EQ(HexId(0x0bad), "bad"); }

TEST(IdentityTest, DamagedTextsAreDataLoss) {
  const std::string good = EncodeIdentity(*InitialIdentity(ThreeMembers("m1")));
  std::vector<std::string> bad = {"",
                                  "{}",
                                  "[]",
                                  "null",
                                  "{\"format\": \"1\"}",
                                  "{\"format\": 1}",
                                  good.substr(0, good.size() / 2)};
  const auto replaced = [&](const std::string& what, const std::string& by) {
    std::string text = good;
    const size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos);
    return text.replace(at, what.size(), by);
  };
  bad.push_back(replaced("\"format\": 1", "\"format\": 2"));
  bad.push_back(replaced("\"cluster_id\": \"", "\"cluster_id\": \"x"));
  bad.push_back(replaced("\"name\": \"m1\"", "\"name\": 1"));
  bad.push_back(replaced("\"peer_urls\"", "\"peers\""));
  for (const std::string& text : bad) {
    EXPECT_EQ(DecodeIdentity(text).status().code(), absl::StatusCode::kDataLoss) << text;
  }
}

}  // namespace
}  // namespace conclave::server
