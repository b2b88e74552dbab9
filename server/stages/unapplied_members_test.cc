#include "server/stages/unapplied_members.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kvstore/command.h"
#include "raft/core/configuration.h"

namespace conclave::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

raft::Entry EntryAt(uint64_t index, raft::EntryKind kind, Bytes payload) {
  return {.term = raft::Term(1),
          .index = raft::LogIndex(index),
          .kind = kind,
          .payload = std::move(payload)};
}

raft::Entry PutAt(uint64_t index) {
  return EntryAt(index, raft::EntryKind::kCommand,
                 kv::EncodeCommand({.kind = kv::CommandKind::kPut}, "put"));
}

raft::Entry ConfigurationAt(uint64_t index, std::string_view context) {
  const raft::Configuration configuration{
      .voters = {raft::NodeId(1)}, .outgoing = {}, .learners = {}};
  return EntryAt(index, raft::EntryKind::kConfiguration,
                 Bytes::Copy(raft::EncodeConfigurationEntry(configuration, context)));
}

raft::Entry AdditionAt(uint64_t index, uint64_t id) {
  etcdserverpb::Member member;
  member.set_id(id);
  const Bytes command =
      kv::EncodeCommand({.kind = kv::CommandKind::kMemberAdd}, member.SerializeAsString());
  return ConfigurationAt(index, command.view());
}

raft::Entry RemovalAt(uint64_t index, uint64_t id) {
  etcdserverpb::MemberRemoveRequest request;
  request.set_id(id);
  const Bytes command =
      kv::EncodeCommand({.kind = kv::CommandKind::kMemberRemove}, request.SerializeAsString());
  return ConfigurationAt(index, command.view());
}

raft::AppendTask TaskOf(std::vector<raft::Entry> entries) {
  raft::AppendTask task;
  task.entries = std::move(entries);
  return task;
}

std::vector<uint64_t> AddedBy(const UnappliedMembers& members) {
  std::vector<uint64_t> ids;
  for (const auto& member : members.Added()) ids.push_back(member.id());
  return ids;
}

TEST(UnappliedMembersTest, AnAdditionCountsFromTheLogToTheStateMachine) {
  UnappliedMembers members{raft::RecoveredState{}};
  EXPECT_FALSE(members.OnAppend(TaskOf({PutAt(1)})));
  EXPECT_TRUE(members.OnAppend(TaskOf({PutAt(2), AdditionAt(3, 7), PutAt(4), AdditionAt(5, 8)})));
  EXPECT_THAT(AddedBy(members), ElementsAre(7, 8));
  EXPECT_FALSE(members.OnApplied(raft::LogIndex(2)));
  EXPECT_TRUE(members.OnApplied(raft::LogIndex(4)));
  EXPECT_THAT(AddedBy(members), ElementsAre(8));
  EXPECT_TRUE(members.OnApplied(raft::LogIndex(5)));
  EXPECT_TRUE(members.empty());
}

TEST(UnappliedMembersTest, OtherChangesAreUnderWayButAddNobody) {
  UnappliedMembers members{raft::RecoveredState{}};
  EXPECT_TRUE(members.OnAppend(TaskOf({RemovalAt(1, 7), ConfigurationAt(2, "")})));
  EXPECT_THAT(AddedBy(members), IsEmpty());
  EXPECT_FALSE(members.empty());
}

TEST(UnappliedMembersTest, WhatTheLogLosesIsTakenBack) {
  UnappliedMembers members{raft::RecoveredState{}};
  members.OnAppend(TaskOf({PutAt(1), AdditionAt(2, 7), AdditionAt(3, 8)}));
  EXPECT_TRUE(members.OnAppend(TaskOf({PutAt(3)})));
  EXPECT_THAT(AddedBy(members), ElementsAre(7));
  EXPECT_TRUE(members.OnAppend(TaskOf({AdditionAt(2, 9)})));
  EXPECT_THAT(AddedBy(members), ElementsAre(9));

  raft::AppendTask reset = TaskOf({PutAt(101)});
  reset.reset = raft::LogStart{.index = raft::LogIndex(100), .term = {}, .configuration = {}};
  EXPECT_TRUE(members.OnAppend(reset));
  EXPECT_TRUE(members.empty());
}

TEST(UnappliedMembersTest, AfterARestartTheLogIsLookedThrough) {
  raft::RecoveredState recovered;
  recovered.entries = {AdditionAt(1, 7), PutAt(2), AdditionAt(3, 8)};
  recovered.applied = raft::LogIndex(2);
  EXPECT_THAT(AddedBy(UnappliedMembers(recovered)), ElementsAre(8));
}

}  // namespace
}  // namespace conclave::server
