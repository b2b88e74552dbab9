// The member list as the state machine keeps it: who is in the cluster, what each has published of
// itself, and who has been in it (reference: behaviour section 9). Replicated: changed by commands.
// Owned by Store; apply lane. Which members vote is the raft configuration's business, which the
// same log entries change.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "kvstore/engine/engine.h"
#include "kvstore/proto/rpc.pb.h"

namespace conclave::kv {

class Members {
 public:
  // Reads the list that the engine holds. DataLoss if it is damaged.
  absl::Status Load(const Engine& engine);

  // Adds a member or replaces the one with its id.
  void Set(const etcdserverpb::Member& member, WriteBatch& batch);
  // Takes over name and clientURLs. Errors: member not found.
  absl::Status SetAttributes(const etcdserverpb::Member& published, WriteBatch& batch);

  // ---- Changes of membership. Each Check gives the error that the change would. ----

  // A member that was never in the cluster: id, peerURLs, isLearner; the rest comes when it
  // publishes itself. Errors: member not found if its id was removed, as etcd has it; member
  // exists; peer URL exists.
  absl::Status CheckAdd(const etcdserverpb::Member& member) const;
  absl::Status Add(const etcdserverpb::Member& member, WriteBatch& batch);
  // Its id can never come back. Errors: member not found.
  absl::Status CheckRemove(uint64_t id) const { return CheckThere(id); }
  absl::Status Remove(uint64_t id, WriteBatch& batch);
  // A learner votes from now on. Errors: member not found, not a learner.
  absl::Status CheckPromote(uint64_t id) const;
  absl::Status Promote(uint64_t id, WriteBatch& batch);
  // Replaces the peer URLs. Errors: member not found, peer URL exists.
  absl::Status CheckUpdate(const etcdserverpb::MemberUpdateRequest& update) const;
  absl::Status Update(const etcdserverpb::MemberUpdateRequest& update, WriteBatch& batch);

  bool IsRemoved(uint64_t id) const { return removed_.contains(id); }
  // Null if it is not in the cluster; good until the list changes.
  const etcdserverpb::Member* Find(uint64_t id) const;
  // Sorted by id.
  std::vector<etcdserverpb::Member> List() const;

 private:
  using Urls = google::protobuf::RepeatedPtrField<std::string>;

  absl::Status CheckThere(uint64_t id) const;
  // No member but `except` may have any of them.
  absl::Status CheckFree(const Urls& peer_urls, uint64_t except) const;

  std::map<uint64_t, etcdserverpb::Member> by_id_;
  std::set<uint64_t> removed_;
};

}  // namespace conclave::kv
