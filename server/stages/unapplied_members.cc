#include "server/stages/unapplied_members.h"

#include <utility>

#include "kvstore/command.h"
#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/text.h"
#include "raft/core/configuration.h"

namespace conclave::server {

namespace {

using etcdserverpb::Member;

// Fatal if the entry does not decode: it was made by a member, and checked on its way here.
std::optional<Member> AddedBy(const raft::Entry& entry) {
  const auto change = raft::DecodeConfigurationEntry(entry.payload.view());
  if (!change.ok()) Fatal(std::string(MessageOf(change.status())));
  if (change->context.empty()) return std::nullopt;  // the end of a joint configuration
  const absl::StatusOr<kv::Command> command = kv::DecodeCommand(change->context);
  if (!command.ok()) Fatal(std::string(MessageOf(command.status())));
  if (command->header.kind != kv::CommandKind::kMemberAdd) return std::nullopt;
  Member member;
  CHECK(member.ParseFromArray(command->request.data(), static_cast<int>(command->request.size())));
  return member;
}

}  // namespace

UnappliedMembers::UnappliedMembers(const raft::RecoveredState& recovered) {
  Take(recovered.entries);
  OnApplied(recovered.applied);
}

bool UnappliedMembers::OnAppend(const raft::AppendTask& task) {
  bool changed = false;
  if (task.reset) changed = TruncateFrom(raft::LogIndex(0));
  if (task.entries.empty()) return changed;
  if (TruncateFrom(task.entries.front().index)) {
    SIM_REACHED("stages.members.change_taken_back");
    changed = true;
  }
  return Take(task.entries) || changed;
}

bool UnappliedMembers::OnApplied(raft::LogIndex index) {
  const auto end = by_index_.upper_bound(index);
  const bool changed = end != by_index_.begin();
  by_index_.erase(by_index_.begin(), end);
  return changed;
}

std::vector<Member> UnappliedMembers::Added() const {
  std::vector<Member> added;
  for (const auto& [index, member] : by_index_) {
    if (member) added.push_back(*member);
  }
  return added;
}

bool UnappliedMembers::TruncateFrom(raft::LogIndex index) {
  const auto begin = by_index_.lower_bound(index);
  const bool changed = begin != by_index_.end();
  by_index_.erase(begin, by_index_.end());
  return changed;
}

bool UnappliedMembers::Take(const std::vector<raft::Entry>& entries) {
  bool changed = false;
  for (const raft::Entry& entry : entries) {
    if (entry.kind != raft::EntryKind::kConfiguration) continue;
    by_index_[entry.index] = AddedBy(entry);
    changed = true;
  }
  return changed;
}

}  // namespace conclave::server
