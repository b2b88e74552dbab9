// Notices when a disk of this member runs short of space, or its store would come to keep more than
// the quota, and raises the NOSPACE alarm for it through the log, so that the whole cluster refuses
// to grow while there is still room for what gives space back: deletes, compactions, and the
// engine's own rewriting of its tables. An alarm for a disk stays on until somebody lifts it, as in
// etcd; lifted while space is still short, it comes back (reference: behaviour section 10.3). One
// for the quota is lifted here as soon as deletes and a compaction have made some room below it. On
// the raft lane; asking the disk is background work.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "kvstore/store.h"
#include "raft/base/executor.h"
#include "raft/base/file_system.h"
#include "raft/base/time.h"
#include "raft/base/types.h"
#include "server/stages/proposer.h"

namespace conclave::server {

struct SpaceWatchOptions {
  std::vector<std::string> directories = {};  // of the log and of the engine
  // Space is short below this: what a flush of the engine's write buffer may take.
  uint64_t free_bytes_min = 64 << 20;
  Duration look_every = Seconds(1);
  uint64_t quota_bytes = 0;  // of Store::KeptBytes; 0: none
};

enum class SpaceNews {
  kDiskShort,
  kDiskHasRoom,
  kQuotaReached,  // the alarm is about to be raised
  kQuotaHasRoom,  // and about to be lifted
};

class SpaceWatch {
 public:
  using Observer = absl::AnyInvocable<void(SpaceNews news)>;

  // Nothing is owned, all must outlive it. Without a file system it knows only what the log tells.
  SpaceWatch(SpaceWatchOptions options, raft::NodeId member, Executor* lane,
             FileSystem* file_system, kv::Store* store, Proposer* proposer, Observer observer);
  ~SpaceWatch();
  SpaceWatch(const SpaceWatch&) = delete;
  SpaceWatch& operator=(const SpaceWatch&) = delete;

  void Start();
  // From the log: it has given up its reserve, or made it anew (Wal::SetSpaceObserver).
  void SetLogShort(bool is_short);

  bool low() const { return low_; }

  // Whether the store may come to keep `bytes` more. If not, and it is nearly full, the alarm is
  // raised. What is under way in the log is not counted: the store may pass its quota by that.
  bool HasRoomFor(uint64_t bytes);

 private:
  void LookLater();
  void Look();
  void OnLooked(bool disk_short);
  void Judge();
  bool AlarmIsOn() const;
  bool IsNearlyFull() const;
  void RaiseAlarm(kv::CommandKind kind);
  void LiftAlarmIfRoom();
  void ProposeAlarm(etcdserverpb::AlarmRequest::AlarmAction action, kv::CommandKind kind);

  const SpaceWatchOptions options_;
  const raft::NodeId member_;
  Executor* const lane_;
  FileSystem* const file_system_;
  kv::Store* const store_;
  Proposer* const proposer_;
  Observer observer_;
  bool disk_short_ = false;
  bool log_short_ = false;
  bool low_ = false;
  bool proposing_ = false;
  TimerId timer_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// Whether a NOSPACE alarm of any member is on: then nothing may make the store grow.
bool IsOutOfSpace(const kv::Store& store);

}  // namespace conclave::server
