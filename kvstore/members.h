// The member list as the state machine keeps it: who is in the cluster and what each has published
// of itself. Owned by Store; apply lane. Which members vote is the raft configuration's business.
#pragma once

#include <cstdint>
#include <map>
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

  // Sorted by id.
  std::vector<etcdserverpb::Member> List() const;

 private:
  std::map<uint64_t, etcdserverpb::Member> by_id_;
};

}  // namespace conclave::kv
