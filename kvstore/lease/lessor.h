// Leases: which exist, which keys hang on them, and on the leader when they run out (reference:
// behaviour section 7). The existence of leases and attachments is replicated state, changed by
// Apply through a WriteBatch and read back at start-up; expiry times are the leader's own and are
// never replicated. Owned by Store, on the apply lane. Has no clock: time comes in.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kvstore/engine/engine.h"
#include "raft/base/time.h"

namespace conclave::kv {

// The smallest TTL in seconds: one and a half election timeouts, rounded up (2 for 1000 ms).
// Integer steps as etcd's: (3 x election ticks) / 2 heartbeats, in seconds, rounded up.
int64_t MinLeaseTtlSeconds(Duration election_timeout, Duration heartbeat_interval);

inline constexpr int64_t kMaxLeaseTtlSeconds = 9'000'000'000;

class Lessor {
 public:
  // Loads the leases that the engine holds.
  explicit Lessor(const Engine* engine);
  // Starts anew with those that another engine holds, as the constructor does: not promoted.
  void Reload(const Engine* engine);

  // ---- Replicated, from Apply; changes go into `batch`. ----

  // Errors: lease exists, TTL too large (of the errors table). The TTL is the proposer's final
  // choice, at least 1.
  absl::Status Grant(int64_t id, int64_t ttl_seconds, WriteBatch& batch);
  // Forgets the lease and its attachments; the caller deletes the keys first. Error: lease not
  // found. Sees attachments as Keys does.
  absl::Status Revoke(int64_t id, WriteBatch& batch);
  void Attach(int64_t id, std::string_view key, WriteBatch& batch);  // the lease must exist
  void Detach(int64_t id, std::string_view key, WriteBatch& batch);

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
  // TTL again plus `extend`; when many would run out together they are spread so that at most 750 a
  // second do.
  void Promote(Instant now, Duration extend);
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

 private:
  struct Lease {
    int64_t ttl_seconds = 0;
    Instant expiry = kNever;  // kNever while not promoted or not yet started
    // When TakeExpired has to look at it next, its place in by_due_: the expiry; once handed out
    // kNever, or the time to do it again.
    Instant due = kNever;
  };
  // kNever stops the lease's clock.
  void SetExpiry(int64_t id, Lease& lease, Instant expiry);
  void SetDue(int64_t id, Lease& lease, Instant due);

  const Engine* engine_ = nullptr;
  absl::flat_hash_map<int64_t, Lease> leases_;
  std::set<std::pair<Instant, int64_t>> by_due_;  // those that are due some time
  std::vector<int64_t> not_started_;              // granted since the last StartClocks
  bool promoted_ = false;
};

}  // namespace conclave::kv
