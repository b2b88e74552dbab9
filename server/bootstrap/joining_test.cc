#include "server/bootstrap/joining.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/config/command_line.h"

namespace conclave::server {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

ServerConfig Config(const std::string& initial_cluster) {
  absl::StatusOr<ParseOutcome> outcome = ParseCommandLine(
      {"--name=m3", "--data-dir=/d", "--initial-cluster-state=existing",
       "--initial-advertise-peer-urls=http://localhost:3", "--initial-cluster=" + initial_cluster},
      {}, nullptr);
  EXPECT_TRUE(outcome.ok()) << outcome.status();
  return outcome->config;
}

ServerConfig RightConfig() {
  return Config("m1=http://127.0.0.1:1,m2=http://127.0.0.1:2,m3=http://localhost:3");
}

void Add(google::protobuf::RepeatedPtrField<etcdserverpb::Member>* list, uint64_t id,
         const std::string& name, const std::vector<std::string>& urls) {
  etcdserverpb::Member* member = list->Add();
  member->set_id(id);
  member->set_name(name);
  for (const std::string& url : urls) member->add_peerurls(url);
}

// Was started with m0, which has gone; m3 was added and has not started.
peerpb::MembersResponse Cluster() {
  peerpb::MembersResponse cluster;
  cluster.set_cluster_id(0xc1);
  Add(cluster.mutable_members(), 11, "m1", {"http://127.0.0.1:1"});
  Add(cluster.mutable_members(), 9, "", {"http://127.0.0.1:3"});
  Add(cluster.mutable_members(), 12, "m2", {"http://127.0.0.1:2"});
  Add(cluster.mutable_initial_members(), 12, "m2", {"http://127.0.0.1:2"});
  Add(cluster.mutable_initial_members(), 10, "m0", {"http://127.0.0.1:20", "http://127.0.0.1:10"});
  return cluster;
}

std::string ErrorOf(const ServerConfig& config, const peerpb::MembersResponse& cluster) {
  const absl::Status status = JoiningIdentity(config, cluster).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\n")));
  return std::string(status.message());
}

TEST(JoiningTest, AMemberFindsItselfByItsPeerUrls) {
  const absl::StatusOr<Identity> identity = JoiningIdentity(RightConfig(), Cluster());
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(identity->cluster_id, 0xc1u);
  EXPECT_EQ(identity->member_id, raft::NodeId(9));
  EXPECT_EQ(identity->name, "m3");
  EXPECT_TRUE(identity->joined());
}

// Its log and its store begin where those of the others did, whoever is left of them.
TEST(JoiningTest, AMemberTakesOverWhomTheClusterWasStartedWith) {
  const Identity identity = *JoiningIdentity(RightConfig(), Cluster());
  EXPECT_THAT(
      identity.members,
      ElementsAre(
          InitialMember{raft::NodeId(10), "m0", {"http://127.0.0.1:10", "http://127.0.0.1:20"}},
          InitialMember{raft::NodeId(12), "m2", {"http://127.0.0.1:2"}}));
  ASSERT_EQ(identity.members_at_join.size(), 3u);
  EXPECT_EQ(identity.members_at_join[0].id, raft::NodeId(9));
}

TEST(JoiningTest, EveryMemberMustBeNamed) {
  EXPECT_THAT(ErrorOf(Config("m1=http://127.0.0.1:1,m3=http://localhost:3"), Cluster()),
              AllOf(HasSubstr("--initial-cluster: member count is unequal"),
                    HasSubstr("m1=http://127.0.0.1:1,m3=http://127.0.0.1:3,m2=http://127.0.0.1:2"),
                    HasSubstr("etcdctl member add")));
  EXPECT_THAT(ErrorOf(Config("m1=http://127.0.0.1:1,m2=http://127.0.0.1:2,m3=http://localhost:3,"
                             "m4=http://127.0.0.1:4"),
                      Cluster()),
              HasSubstr("member count is unequal"));
}

TEST(JoiningTest, EveryMemberMustBeWhereTheClusterHasIt) {
  EXPECT_THAT(ErrorOf(Config("m1=http://127.0.0.1:1,m2=http://127.0.0.1:22,m3=http://localhost:3"),
                      Cluster()),
              HasSubstr("--initial-cluster: unmatched member while checking PeerURLs"));
  // One that was not added yet.
  peerpb::MembersResponse cluster = Cluster();
  cluster.mutable_members(1)->set_peerurls(0, "http://127.0.0.1:33");
  EXPECT_THAT(ErrorOf(RightConfig(), cluster), HasSubstr("unmatched member"));
}

TEST(JoiningTest, WhoHasRunBeforeMustBeReplaced) {
  peerpb::MembersResponse cluster = Cluster();
  cluster.mutable_members(1)->set_name("m3");
  EXPECT_THAT(
      ErrorOf(RightConfig(), cluster),
      AllOf(HasSubstr("--data-dir: /d is empty, but m3 (9) at http://127.0.0.1:3 has run before"),
            HasSubstr("etcdctl member remove 9, then etcdctl member add m3 "
                      "--peer-urls=http://localhost:3")));
  EXPECT_THAT(ErrorOf(Config("m1=http://127.0.0.1:1,m3=http://localhost:3"), cluster),
              HasSubstr("has run before"))
      << "with the flags of when the cluster was smaller";
  EXPECT_TRUE(CheckNeverRan(RightConfig(), raft::NodeId(9), Cluster()).ok());
  EXPECT_TRUE(CheckNeverRan(RightConfig(), raft::NodeId(99), cluster).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(CheckNeverRan(RightConfig(), raft::NodeId(9), cluster)));
}

TEST(JoiningTest, WhoWasThereAtTheStartAndIsNotAnyMoreWasRemoved) {
  peerpb::MembersResponse cluster = Cluster();
  EXPECT_TRUE(CheckMayStart(RightConfig(), raft::NodeId(10), cluster).ok())
      << "an old list says nothing of it";
  cluster.set_up_to_date(true);
  const absl::Status gone = CheckMayStart(RightConfig(), raft::NodeId(10), cluster);
  EXPECT_THAT(std::string(gone.message()), HasSubstr("member a was removed from the cluster"));
  EXPECT_TRUE(CheckMayStart(RightConfig(), raft::NodeId(9), cluster).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(CheckMayStart(RightConfig(), raft::NodeId(11), cluster)))
      << "it has run before";
}

}  // namespace
}  // namespace conclave::server
