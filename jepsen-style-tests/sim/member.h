// One simulated member: a machine (disk, engine files, clock) and, while it runs, the process on
// it: everything from the services of server/api down to the log, the same code as in production,
// on simulated seams. The machine outlives its processes. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jepsen-style-tests/sim/full_buffer.h"
#include "jepsen-style-tests/sim/member_lane.h"
#include "jepsen-style-tests/sim/network.h"
#include "jepsen-style-tests/sim/sim_call.h"
#include "jepsen-style-tests/sim/sim_disk.h"
#include "kvstore/engine/memory_home.h"
#include "kvstore/store.h"
#include "raft/base/locked_file_system.h"
#include "raft/core/configuration.h"
#include "raft/wal/wal.h"
#include "server/api/member_keeper.h"
#include "server/api/service.h"
#include "server/peer/peer_calls.h"
#include "server/stages/node.h"

namespace conclave::sim {

class World;

struct MemberOptions {
  raft::NodeId id;
  uint64_t cluster_id = 0;
  raft::Configuration initial;
  server::NodeOptions node = {};  // ids and name are filled in
  server::ApiOptions api = {};
  server::MemberKeeperOptions membership = {};
  kv::StoreOptions store = {};
  size_t segment_bytes = 256 << 10;
  bool leveldb = false;                  // else the engine in memory, with the same promises
  size_t write_buffer_bytes = 64 << 10;  // of LevelDB
  FullBufferOptions full_buffer = {};
  Duration flush_time{};      // how long an engine flush takes
  Duration long_read_time{};  // and a read that is put on the lane for long ones
  // One lookup in so many has to wait for the disk, for so long; 0: none. Of the engine in memory.
  uint32_t disk_read_one_in = 0;
  Duration disk_read_time{};
  size_t call_window_bytes = 64 << 10;
  DiskOptions disk = {};
};

// How a process ends.
enum class EndOfProcess {
  kStop,   // SIGTERM: the state is flushed first
  kKill,   // kill -9: the machine keeps what was written
  kCrash,  // the power goes: what was not synced is lost, kept or torn
};

class Member {
 public:
  Member(World* world, MemberOptions options, const FaultAtlas* atlas, size_t position,
         Random random);
  ~Member();
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  // Starts the process; it may refuse (broken()) or end itself at once.
  void Start(const ClockOptions& clock);
  void End(EndOfProcess how);
  // Hands leadership over if it leads, as the server does on SIGTERM, then ends with kStop.
  void StopGently();

  bool running() const { return process_ != nullptr; }
  // When its latest run began, in true time; 0 if there was none.
  int64_t started_ns() const { return started_ns_; }
  // It found its data damaged and said so: it stays down for good.
  bool broken() const { return broken_; }
  // Nobody is to start it again: it was removed from its cluster and knows it, or its disk is gone.
  void Retire() { retired_ = true; }
  // It stays down for good, for whatever reason.
  bool gone() const { return broken_ || retired_; }
  // Nothing it says may get out: it does not run, or is dead and does not know (the fuse of its
  // disk has blown, or it ended itself in the present event).
  bool silent() const;
  // An event of its is over, and it lives: what that installed is on the disk, whatever comes
  // later.
  void AfterEvent();
  // Ends it if that is so; the world calls this after its event.
  void BuryIfDead();

  raft::NodeId id() const { return options_.id; }
  // Its place among the machines of the world.
  size_t position() const { return position_; }
  // Its end of the network.
  sim::End end() const { return position_ + 1; }
  std::string name() const;
  SimDisk& disk() { return disk_; }
  raft::WalOptions wal_options() const;
  // While running.
  server::Node& node();
  MemberLane& lane();
  kv::Store& store();
  // ObservedStore::SpoilNextPut, whether that is still to happen, and whether it was not undone
  // yet.
  void SpoilNextPut();
  bool spoils_next_put() const;
  bool state_is_wrong() const;
  // While it does not run: nothing of its engine can be read any more. False, and nothing done, if
  // there is none.
  bool DamageEngine();
  // That was done, and it has no state yet.
  bool state_is_lost() const;

  // From the network.
  void ReceiveFromPeer(const Bytes& bytes);
  void AskedByPeer(server::PeerMethod method, const std::string& request,
                   server::PeerCalls::Answer answer);
  void OnConnected(raft::NodeId peer);
  void OnUnreachable(raft::NodeId peer);
  // A client's request arrives.
  void Accept(const std::shared_ptr<ClientCall>& client, const CallRequest& request);

  static constexpr const char* kWalDirectory = "wal";

 private:
  struct Process;

  absl::Status StartProcess();
  void Serve();
  std::unique_ptr<kv::EngineHome> NewEngineHome();
  void OnProcessEnded(const ProcessEnded& end);

  World* const world_;
  const MemberOptions options_;
  const size_t position_;
  Random random_;
  SimDisk disk_;
  LockedFileSystem locked_disk_;    // LevelDB's view of it
  kv::MemoryHomeDisk memory_disk_;  // of the engine in memory
  std::unique_ptr<Process> process_;
  bool ever_damaged_ = false;    // its engine was
  bool engine_damaged_ = false;  // and no other one has come in its place yet
  bool broken_ = false;
  bool retired_ = false;
  uint64_t runs_ = 0;
  int64_t started_ns_ = 0;
};

}  // namespace conclave::sim
