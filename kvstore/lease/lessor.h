// Leases: which exist, which keys hang on them, and on the leader when they run out (reference:
// behaviour section 7). The existence of leases and attachments is replicated state, changed by
// Apply through a WriteBatch and read back at start-up; expiry times are the leader's own and are
// never replicated. What is, now and then, is a checkpoint: how much of its TTL a lease that nobody
// renews has left, rounded up, which is all that a later leader gives it. Owned by Store, on the
// apply lane. Has no clock: time comes in.
//
// No lease ends early, because a checkpoint that a renewal has overtaken never counts: whoever
// renews a lease for which Checkpointed() is true answers only once a Checkpoint with its full TTL
// is applied, which the log has after every checkpoint taken before the renewal.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kvstore/engine/engine.h"
#include "raft/base/time.h"

namespace conclave::kv {

// The smallest TTL in seconds: one and a half election timeouts, rounded up (2 for 1000 ms).
// Integer steps as etcd's: (3 x election ticks) / 2 heartbeats, in seconds, rounded up.
int64_t MinLeaseTtlSeconds(Duration election_timeout, Duration heartbeat_interval);

inline constexpr int64_t kMaxLeaseTtlSeconds = 9'000'000'000;

// What is left of a lease's TTL, as it travels with the log.
struct LeaseCheckpoint {
  int64_t id = 0;
  int64_t remaining_seconds = 0;  // 0: all of it, again

  bool operator==(const LeaseCheckpoint&) const = default;
};

struct LeaseCheckpoints {
  std::vector<LeaseCheckpoint> leases;
  // The log index of the newest grant that its maker knew. A lease of the same id that was granted
  // later is another one.
  uint64_t newest_grant = 0;
};

class Lessor {
 public:
  // Loads the leases that the engine holds.
  explicit Lessor(const Engine* engine);
  // Starts anew with those that another engine holds, as the constructor does: not promoted.
  void Reload(const Engine* engine);

  // ---- Replicated, from Apply; changes go into `batch`. ----

  // Errors: lease exists, TTL too large (of the errors table). The TTL is the proposer's final
  // choice, at least 1; `index` is the entry's.
  absl::Status Grant(int64_t id, int64_t ttl_seconds, uint64_t index, WriteBatch& batch);
  // Forgets the lease and its attachments; the caller deletes the keys first. Error: lease not
  // found. Sees attachments as Keys does.
  absl::Status Revoke(int64_t id, WriteBatch& batch);
  void Attach(int64_t id, std::string_view key, WriteBatch& batch);  // the lease must exist
  void Detach(int64_t id, std::string_view key, WriteBatch& batch);
  // What the next Promote gives these leases. Skips those that are gone, also if granted anew.
  void Checkpoint(const LeaseCheckpoints& checkpoints, WriteBatch& batch);

  // ---- Reads. ----

  bool Exists(int64_t id) const;
  // Keys attached to the lease, ascending. Sees only what the engine holds: commit pending batches
  // first.
  std::vector<std::string> Keys(int64_t id) const;
  std::optional<int64_t> GrantedTtl(int64_t id) const;
  // All ids; on the leader sorted by remaining time, elsewhere by id.
  std::vector<int64_t> List() const;
  size_t size() const { return leases_.size(); }

  // ---- Expiry, the leader's own. ----

  // This member became leader and has applied an entry of its own term: every lease gets its full
  // TTL again, or what its last checkpoint says, plus `extend`; when many would run out together
  // they are spread so that at most 750 a second do. From now on a lease is due for a checkpoint
  // once half its TTL is gone, so that none is that somebody keeps alive, and then after every
  // sixteenth of it; but never before `checkpoint_step_min` more is gone.
  void Promote(Instant now, Duration extend, Duration checkpoint_step_min = Duration::max());
  void Demote();
  bool promoted() const { return promoted_; }
  // Gives the lease its full TTL from `now` and returns the TTL. Errors: not primary lessor; not
  // found, also for a lease that has run out: its revoke may be on the way, so it cannot be saved.
  absl::StatusOr<int64_t> Renew(int64_t id, Instant now);
  // Whole seconds left (truncated toward zero; may be negative while being revoked). nullopt if
  // unknown or not promoted.
  std::optional<int64_t> Remaining(int64_t id, Instant now) const;
  // Up to `limit` leases whose time has run out, the longest due first. One that was handed out
  // comes again only through RetryAt, or when it runs out after another Promote: its revoke may
  // still be in the log, and a second one could end a new lease of the same id.
  std::vector<int64_t> TakeExpired(Instant now, size_t limit);
  // The revoke of a lease that was handed out certainly came to nothing: it comes again at `at`.
  // Nothing if it was not handed out, or is gone.
  void RetryAt(int64_t id, Instant at);
  // True if the lease has run out and waits for its revoke to be applied.
  bool Expiring(int64_t id, Instant now) const;
  // Newly granted leases start to run at the first call of this after they were applied (apply
  // itself has no clock).
  void StartClocks(Instant now);
  // When TakeExpired should next be asked; kNever if nothing runs.
  Instant NextExpiry() const;

  // ---- Checkpoints, the leader's own. ----

  // Up to `limit` of those that are due, to be proposed. There are none as long as the last ones
  // are under way: until they are applied here, or DropCheckpoints.
  LeaseCheckpoints TakeCheckpoints(Instant now, size_t limit);
  // What was taken last certainly came to nothing.
  void DropCheckpoints();
  // When TakeCheckpoints should next be asked; kNever if there is nothing to take.
  Instant NextCheckpoint() const;
  // A later leader may give the lease less than its full TTL.
  bool Checkpointed(int64_t id) const;
  // A checkpoint that gives the lease its full TTL again.
  LeaseCheckpoints FullAgain(int64_t id) const { return {{{id, 0}}, newest_grant_}; }

 private:
  struct Lease {
    int64_t ttl_seconds = 0;
    int64_t checkpoint_seconds = 0;  // what a Promote gives it; 0: the TTL
    uint64_t granted_at = 0;         // log index
    Instant expiry = kNever;         // kNever while not promoted or not yet started
    // When TakeExpired has to look at it next, its place in by_due_: the expiry; once handed out
    // kNever, or the time to do it again.
    Instant due = kNever;
    // Its place in by_checkpoint_, if it has one: not after its next checkpoint is due. A renewal
    // does not move it.
    Instant look = kNever;
  };
  void Load(std::string_view key, std::string_view value);
  static void Write(int64_t id, const Lease& lease, WriteBatch& batch);
  // kNever stops the lease's clock.
  void SetExpiry(int64_t id, Lease& lease, Instant expiry);
  void SetDue(int64_t id, Lease& lease, Instant due);
  void SetLook(int64_t id, Lease& lease, Instant look);
  // When its next checkpoint is due; kNever if it is to run out without.
  Instant CheckpointDue(const Lease& lease) const;
  // All clocks stand still until the next Promote.
  void StopClocks();

  const Engine* engine_ = nullptr;
  absl::flat_hash_map<int64_t, Lease> leases_;
  std::set<std::pair<Instant, int64_t>> by_due_;  // those that are due some time
  std::set<std::pair<Instant, int64_t>> by_checkpoint_;
  std::vector<int64_t> not_started_;        // granted since the last StartClocks
  absl::flat_hash_set<int64_t> under_way_;  // their checkpoints, taken together
  Duration checkpoint_step_min_ = Duration::max();
  uint64_t newest_grant_ = 0;
  bool promoted_ = false;
};

}  // namespace conclave::kv
