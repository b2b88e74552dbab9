// The seeded bug of joining: no simulated member is started over an emptied directory, so this is
// where it is found.
#include <gtest/gtest.h>

#include "raft/base/with_seeded_bug.h"
#include "server/bootstrap/joining.h"

namespace conclave::server {
namespace {

// A member is started over an empty directory, and the cluster knows its id as one that has run.
absl::Status StartOverEmptyDirectory() {
  peerpb::MembersResponse cluster;
  etcdserverpb::Member* const member = cluster.add_members();
  member->set_id(9);
  member->set_name("m3");
  member->add_peerurls("http://localhost:3");
  ServerConfig config;
  config.data_dir = "/d";
  return CheckNeverRan(config, raft::NodeId(9), cluster);
}

TEST(JoiningSeededBugsTest, WipedMemberRejoins) {
  EXPECT_TRUE(absl::IsFailedPrecondition(StartOverEmptyDirectory()));
  const WithSeededBug bug(SeededBug::kWipedMemberRejoins);
  EXPECT_EQ(StartOverEmptyDirectory(), absl::OkStatus());
}

}  // namespace
}  // namespace conclave::server
