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

// Why one was raised, and so who lifts it. Numbers are on disk: never change or reuse one.
enum class AlarmCause : uint8_t {
  kRequest = 0,     // somebody asked for it, or a disk is full: people lift it
  kQuota = 1,       // of NOSPACE: its member does when the quota allows for that
  kDivergence = 2,  // of CORRUPT: the leader does when the member's state is right again
};

class Alarms {
 public:
  // Reads the alarms that the engine holds. DataLoss if they are damaged.
  absl::Status Load(const Engine& engine);

  // Carries out an ACTIVATE or DEACTIVATE; adds to `response`, unless null, the alarm that is now
  // on or was lifted, if any. One that is on already keeps its cause.
  void Apply(const etcdserverpb::AlarmRequest& request, AlarmCause cause, WriteBatch& batch,
             etcdserverpb::AlarmResponse* response);

  // True if any member has raised the alarm.
  bool IsOn(etcdserverpb::AlarmType type) const;
  // True if that member's NOSPACE is on, and was raised for the quota.
  bool IsOnForQuota(uint64_t member) const {
    return IsOnFor({member, etcdserverpb::NOSPACE}, AlarmCause::kQuota);
  }
  // True if that member's CORRUPT is on, and was raised because its state differs.
  bool IsOnForDivergence(uint64_t member) const {
    return IsOnFor({member, etcdserverpb::CORRUPT}, AlarmCause::kDivergence);
  }
  // Store::IsCorrupt.
  bool IsCorrupt() const;
  std::vector<etcdserverpb::AlarmMember> List() const;

 private:
  using Alarm = std::pair<uint64_t, etcdserverpb::AlarmType>;

  bool IsOnFor(const Alarm& alarm, AlarmCause cause) const;

  std::map<Alarm, AlarmCause> on_;
};

}  // namespace conclave::kv
