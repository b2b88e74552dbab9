// The alarms that are on, by member and kind (reference: behaviour section 10.1). Replicated:
// raised and lifted by commands. Owned by Store; apply lane.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "kvstore/engine/engine.h"
#include "kvstore/proto/rpc.pb.h"

namespace conclave::kv {

class Alarms {
 public:
  // Reads the alarms that the engine holds. DataLoss if they are damaged.
  absl::Status Load(const Engine& engine);

  // Carries out an ACTIVATE or DEACTIVATE; adds to `response`, unless null, the alarm that is now
  // on or was lifted, if any. `for_quota`: who raises it lifts it when the quota allows for that;
  // one that is on already stays what it is.
  void Apply(const etcdserverpb::AlarmRequest& request, bool for_quota, WriteBatch& batch,
             etcdserverpb::AlarmResponse* response);

  // True if any member has raised the alarm.
  bool IsOn(etcdserverpb::AlarmType type) const;
  // True if that member's NOSPACE is on, and was raised for the quota.
  bool IsOnForQuota(uint64_t member) const;
  std::vector<etcdserverpb::AlarmMember> List() const;

 private:
  std::map<std::pair<uint64_t, etcdserverpb::AlarmType>, bool> on_;  // whether for the quota
};

}  // namespace conclave::kv
