// Hands this member's state to members that lack the log, a chunk per question (docs/snapshots.md).
// The first question of a member begins a session: a frozen view of the engine, taken between two
// apply drains, so that its position is the store's. While the session lives the log after that
// position is kept, or the member could not go on from there; it ends when what the member lacks is
// in the log's tail, a while after its last use, or when it holds back too much. Chunks are read on
// the background lane, at a bounded rate; apply never waits. Owned by Node, on the raft lane.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "kvstore/store.h"
#include "raft/base/executor.h"
#include "raft/core/core.h"
#include "server/peer/peer_calls.h"
#include "server/stages/snapshot_wire.h"

namespace conclave::server {

struct SnapshotSourceOptions {
  size_t chunk_bytes = 512 << 10;
  // To all members together, but for a session that holds back more than half of what it may: it
  // would rather be over in time than be no burden.
  uint64_t bytes_per_second = 64 << 20;
  size_t sessions_max = 4;           // that read; one for each member, beyond it a member waits
  Duration idle_max = Seconds(60);   // since the last question, or progress after the last one
  Duration age_max = Seconds(3600);  // an old view keeps the engine from giving back space
  // Log that a session holds back, which is in memory: what was applied after the entry that its
  // member has got to. Beyond it the session is given up.
  size_t held_back_bytes_max = 512 << 20;
};

struct SnapshotSourceStats {
  uint64_t sessions = 0;  // now
  uint64_t begun = 0;
  uint64_t sent = 0;    // states that their members came to hold
  uint64_t failed = 0;  // sessions given up before that
  uint64_t bytes = 0;
};

class SnapshotSource {
 public:
  // What a source tells its owner, on the lane.
  struct Observer {
    // The log after this index is to be kept; nothing while no session needs any.
    absl::AnyInvocable<void(std::optional<raft::LogIndex>)> hold_log;
    absl::AnyInvocable<void(std::string_view line)> log;
  };

  // `engine` is the store's, and may come to be another one (EndAll). Nothing is owned.
  SnapshotSource(const SnapshotSourceOptions& options, Executor* lane, Executor* background,
                 const std::shared_ptr<kv::Engine>* engine, const kv::Store* store,
                 const raft::Core* core, Observer observer);
  ~SnapshotSource();
  SnapshotSource(const SnapshotSource&) = delete;
  SnapshotSource& operator=(const SnapshotSource&) = delete;

  // A question of kind kSnapshotChunk. A session answers one at a time, the latest. Errors:
  // NotFound if the session is over, so that the asker has to start anew; ResourceExhausted and
  // Unavailable pass: ask again.
  void Answer(std::string_view request, PeerCalls::Answer answer);

  // After each apply drain: its last entry and the bytes of all.
  void OnApplied(raft::LogIndex last, size_t bytes);

  // The engine is about to go, or its state is not to be had any more: no session outlives it.
  void EndAll(std::string_view why);

  // The log after it is needed by those that fetch here; nothing if there are none.
  std::optional<raft::LogIndex> held() const;

  const SnapshotSourceStats& stats() const { return stats_; }

 private:
  struct View;
  struct Question {
    std::string after_key;
    PeerCalls::Answer answer;
  };
  struct Session {
    uint64_t id = 0;      // this one and no other, though its member may begin another as `number`
    uint64_t number = 0;  // the member's, of its attempt
    raft::LogStart start;
    raft::LogIndex held_from;      // the log after it is kept for the member
    uint64_t bytes_held_from = 0;  // applied_bytes_ there, or a little before
    uint64_t total_bytes = 0;
    Instant begun;
    Instant used;
    std::shared_ptr<View> view;  // null once the member holds the state, and needs but the log
    // The member's log has been further from the start: it replaces a state that is wrong
    // (docs/integrity.md), and how far its log is says nothing of what it has fetched.
    bool log_is_there = false;
    bool reading = false;              // a chunk, or about to
    std::optional<Question> question;  // not answered yet
  };
  // How much had been applied once the entry was.
  struct Mark {
    raft::LogIndex index;
    uint64_t bytes;
  };
  using Sessions = std::map<raft::NodeId, Session>;

  // The member's session of that number, which may begin with this question.
  absl::StatusOr<Session*> FindOrBegin(const SnapshotChunkRequest& request);
  absl::StatusOr<raft::LogStart> Position() const;
  // Of the log, for its member alone.
  uint64_t HeldBackBytes(const Session& session) const {
    return applied_bytes_ - session.bytes_held_from;
  }
  // When a chunk more may leave.
  Instant ReserveRate();
  void ReadSoon(raft::NodeId member, Session& session);
  void StartRead(raft::NodeId member, uint64_t id);
  void OnRead(raft::NodeId member, uint64_t id, const std::string& after_key, std::string chunk);
  // Null if that session is over.
  Session* Find(raft::NodeId member, uint64_t id);
  Sessions::iterator End(Sessions::iterator session, std::string_view why);
  void Tick();
  // The member has got further.
  void MoveHeld(Session& session, raft::LogIndex to);
  void ForgetMarks();
  // Empty if it goes on.
  std::string_view ReasonToEnd(const Session& session) const;
  void ArmTimer();
  void TellHeld();

  const SnapshotSourceOptions options_;
  Executor* const lane_;
  Executor* const background_;
  const std::shared_ptr<kv::Engine>* const engine_;
  const kv::Store* const store_;
  const raft::Core* const core_;
  Observer observer_;

  Sessions sessions_;
  Instant rate_free_at_;  // what has left until now is paid for then
  uint64_t applied_bytes_ = 0;
  std::deque<Mark> marks_;  // ascending, kMarksMax and a few; none without a session
  std::optional<raft::LogIndex> told_held_;
  TimerId timer_ = 0;
  SnapshotSourceStats stats_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace conclave::server
