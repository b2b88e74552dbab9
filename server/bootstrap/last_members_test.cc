#include "server/bootstrap/last_members.h"

#include <gtest/gtest.h>

#include "raft/base/manual_executor.h"
#include "raft/base/memory_file_system.h"

namespace conclave::server {
namespace {

using Members = std::vector<InitialMember>;

const std::string kPath = "d/last_members.json";

class LastMembersTest : public ::testing::Test {
 protected:
  LastMembersTest() { EXPECT_TRUE(fs_.CreateDirectory("d").ok()); }
  LastMembers Read() { return LastMembers(&fs_, kPath, &lane_); }
  void Keep(LastMembers& last, const Members& members) {
    last.Keep(members, [this](const absl::Status& status) {
      EXPECT_TRUE(status.ok()) << status;
      ++written_;
    });
    lane_.RunPosted();
  }

  MemoryFileSystem fs_;
  ManualExecutor lane_;
  int written_ = 0;
  const Members moved_{{raft::NodeId(1), "m1", {"http://127.0.0.1:1"}},
                       {raft::NodeId(0xfedcba9876543210), "m2", {"http://a:2", "http://b:2"}}};
};

TEST_F(LastMembersTest, TheNextRunFindsThemAndACrashLeavesThem) {
  LastMembers last = Read();
  EXPECT_EQ(last.members(), Members());
  Keep(last, {});
  Keep(last, {moved_.front()});
  Keep(last, moved_);
  Keep(last, moved_);
  EXPECT_EQ(written_, 2) << "only what is new";
  fs_.CrashAndLose();
  EXPECT_EQ(Read().members(), moved_);
}

TEST_F(LastMembersTest, WhatIsNoListIsNone) {
  for (const char* text :
       {"", "nonsense", "[]", "{\"format\": 1}", "{\"format\": 2, \"members\": []}",
        "{\"format\": 1, \"members\": [{\"id\": \"1\"}]}"}) {
    ASSERT_TRUE(ReplaceFile(fs_, kPath, text).ok());
    EXPECT_EQ(Read().members(), Members()) << text;
  }
}

}  // namespace
}  // namespace conclave::server
