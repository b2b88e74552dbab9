// The changes of membership that are in this member's log but not in its state machine yet. A new
// member must be dialled as soon as the entry that adds it is in the log, for the entry may need
// its vote; and no change may be judged while an earlier one is unapplied. Follows every write to
// the log. Owned by Node; raft lane.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "kvstore/proto/rpc.pb.h"
#include "raft/core/core.h"

namespace conclave::server {

class UnappliedMembers {
 public:
  // What is in the log when a member starts.
  explicit UnappliedMembers(const raft::RecoveredState& recovered);

  // True if that changed anything.
  bool OnAppend(const raft::AppendTask& task);
  bool OnApplied(raft::LogIndex index);

  bool empty() const { return by_index_.empty(); }
  // Those that the entries add.
  std::vector<etcdserverpb::Member> Added() const;

 private:
  bool TruncateFrom(raft::LogIndex index);
  bool Take(const std::vector<raft::Entry>& entries);

  // Of each configuration entry, the member it adds.
  std::map<raft::LogIndex, std::optional<etcdserverpb::Member>> by_index_;
};

}  // namespace conclave::server
