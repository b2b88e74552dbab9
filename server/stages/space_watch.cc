#include "server/stages/space_watch.h"

#include <algorithm>
#include <utility>

#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::server {

namespace {

constexpr uint64_t kFreePartOfQuota = 20;

using etcdserverpb::AlarmMember;
using etcdserverpb::AlarmRequest;

// Whether one of the directories is short of space. What cannot be asked is no reason for alarm.
bool IsShort(FileSystem& file_system, const SpaceWatchOptions& options) {
  return std::any_of(options.directories.begin(), options.directories.end(),
                     [&](const std::string& directory) {
                       const absl::StatusOr<uint64_t> free = file_system.FreeBytes(directory);
                       return free.ok() && *free < options.free_bytes_min;
                     });
}

}  // namespace

SpaceWatch::SpaceWatch(SpaceWatchOptions options, raft::NodeId member, Executor* lane,
                       FileSystem* file_system, kv::Store* store, Proposer* proposer,
                       Observer observer)
    : options_(std::move(options)),
      member_(member),
      lane_(lane),
      file_system_(file_system),
      store_(store),
      proposer_(proposer),
      observer_(std::move(observer)) {}

SpaceWatch::~SpaceWatch() {
  *alive_ = false;
  if (timer_ != 0) lane_->CancelTimer(timer_);
}

void SpaceWatch::Start() { Look(); }

void SpaceWatch::SetLogShort(bool is_short) {
  log_short_ = is_short;
  Judge();
}

void SpaceWatch::LookLater() {
  timer_ = lane_->RunAt(lane_->Now() + options_.look_every, [this] {
    timer_ = 0;
    Look();
  });
}

void SpaceWatch::Look() {
  if (file_system_ == nullptr) return OnLooked(false);
  auto found = std::make_shared<bool>(false);
  file_system_->RunInBackground(
      [file_system = file_system_, options = options_, found] {
        *found = IsShort(*file_system, options);
        return absl::OkStatus();
      },
      lane_,
      [this, alive = alive_, found](const absl::Status&) {
        if (*alive) OnLooked(*found);
      });
}

void SpaceWatch::OnLooked(bool disk_short) {
  disk_short_ = disk_short;
  Judge();
  LookLater();
}

void SpaceWatch::Judge() {
  const bool low = disk_short_ || log_short_;
  if (low != std::exchange(low_, low)) {
    observer_(low ? SpaceNews::kDiskShort : SpaceNews::kDiskHasRoom);
  }
  if (low) return RaiseAlarm(kv::CommandKind::kAlarm);
  LiftAlarmIfRoom();
}

bool SpaceWatch::HasRoomFor(uint64_t bytes) {
  if (options_.quota_bytes == 0 || SEEDED_BUG(kQuotaIgnored)) return true;
  if (store_->KeptBytes() + bytes < options_.quota_bytes) return true;
  if (IsNearlyFull()) {
    if (!proposing_ && !AlarmIsOn()) observer_(SpaceNews::kQuotaReached);
    RaiseAlarm(kv::CommandKind::kQuotaAlarm);
  }
  return false;
}

// Between this and the quota nothing is raised and nothing lifted, or the alarm would come and go
// with every delete, and with a request that never fits.
bool SpaceWatch::IsNearlyFull() const {
  const uint64_t quota = options_.quota_bytes;
  return quota != 0 && store_->KeptBytes() > quota - quota / kFreePartOfQuota;
}

void SpaceWatch::LiftAlarmIfRoom() {
  if (!store_->IsQuotaAlarmOn(member_.value()) || SEEDED_BUG(kQuotaAlarmKept)) return;
  if (IsNearlyFull()) return;
  SIM_REACHED("stages.space.quota_alarm_lifted");
  if (!proposing_) observer_(SpaceNews::kQuotaHasRoom);
  ProposeAlarm(AlarmRequest::DEACTIVATE, kv::CommandKind::kAlarm);
}

bool SpaceWatch::AlarmIsOn() const {
  const std::vector<AlarmMember> alarms = store_->Alarms();
  return std::any_of(alarms.begin(), alarms.end(), [this](const AlarmMember& alarm) {
    return alarm.alarm() == etcdserverpb::NOSPACE && alarm.memberid() == member_.value();
  });
}

void SpaceWatch::RaiseAlarm(kv::CommandKind kind) {
  if (AlarmIsOn() || SEEDED_BUG(kFullDiskUntold)) return;
  SIM_REACHED("stages.space.alarm_raised");
  ProposeAlarm(AlarmRequest::ACTIVATE, kind);
}

void SpaceWatch::ProposeAlarm(AlarmRequest::AlarmAction action, kv::CommandKind kind) {
  if (proposing_) return;
  proposing_ = true;
  AlarmRequest request;
  request.set_action(action);
  request.set_memberid(member_.value());
  request.set_alarm(etcdserverpb::NOSPACE);
  // Whatever becomes of it, the next look, or the next write, sees whether the alarm is on.
  proposer_->Propose(kind, request.SerializeAsString(),
                     [this, alive = alive_](const kv::ApplyResult&) {
                       if (*alive) proposing_ = false;
                     });
}

bool IsOutOfSpace(const kv::Store& store) { return store.IsAlarmOn(etcdserverpb::NOSPACE); }

}  // namespace conclave::server
