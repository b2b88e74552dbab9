// The alarms that are on, by member and kind (reference: behaviour section 10.1). Replicated:
// raised and lifted by commands. Owned by Store; apply lane.
#pragma once

#include <cstdint>
#include <set>
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
  // on or was lifted, if any.
  void Apply(const etcdserverpb::AlarmRequest& request, WriteBatch& batch,
             etcdserverpb::AlarmResponse* response);

  // True if any member has raised the alarm.
  bool IsOn(etcdserverpb::AlarmType type) const;
  std::vector<etcdserverpb::AlarmMember> List() const;

 private:
  std::set<std::pair<uint64_t, etcdserverpb::AlarmType>> on_;
};

}  // namespace conclave::kv
