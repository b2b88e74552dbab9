// The life of leases (reference: behaviour section 7): no lease ends early, a lease that is left
// alone ends, and its keys vanish in one revision. An early end is also how a deposed leader that
// goes on expiring leases shows itself. Called by whoever holds a finished history; any lane.
// Deterministic.
//
// Rule of the recorder: every lease id is granted at most once with outcome kOk.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "jepsen-style-tests/checker/kv_history.h"
#include "jepsen-style-tests/checker/verdict.h"

namespace conclave::checker {

struct LeaseGrant {
  int64_t lease = 0;
  int64_t ttl_s = 0;  // the response's if kOk, else the request's
  int64_t called_ns = 0;
  int64_t returned_ns = kNeverReturned;
  Outcome outcome = Outcome::kOk;
};

struct LeaseKeepAlive {
  int64_t lease = 0;
  int64_t ttl_s = 0;  // kOk: as answered; 0 means that the lease was not found
  int64_t called_ns = 0;
  int64_t returned_ns = kNeverReturned;
  Outcome outcome = Outcome::kOk;
};

struct LeaseRevoke {
  int64_t lease = 0;
  int64_t called_ns = 0;
  int64_t returned_ns = kNeverReturned;
  Outcome outcome = Outcome::kOk;  // kFail: lease not found, among others
  int64_t revision = 0;            // kOk: header.revision; 0 if not recorded
};

// A lease was taken away, whoever asked for it.
struct LeaseEnd {
  int64_t lease = 0;
  int64_t revision = 0;    // the one that deleted its keys; 0 if it had none
  int64_t applied_ns = 0;  // when it was first applied anywhere, or seen by the recorder
};

// From before `from_ns` to `to_ns` one leader led a healthy quorum without a break.
struct HealthyInterval {
  int64_t from_ns = 0;
  int64_t to_ns = 0;
};

struct LeaseHistory {
  std::vector<LeaseGrant> grants;
  std::vector<LeaseKeepAlive> keepalives;
  std::vector<LeaseRevoke> revokes;
  std::vector<LeaseEnd> ends;
  bool keyless_ends_known = true;  // false: `ends` has only those that deleted keys
  std::vector<HealthyInterval> healthy;
};

struct LeaseRulesOptions {
  // Bounds of the members' clocks against the true one. A clock may run this much too fast or slow,
  int64_t clock_drift_ppm = 0;
  // and jump forward by this much in all while a lease lasts.
  int64_t clock_jump_ns = 0;
  // How late a lease may end in a healthy cluster: scan interval, revoke, and what a new leader
  // adds.
  int64_t expiry_slack_ns = 3'000'000'000;
  // A leader commits what a lease that nobody renews has left once half its TTL is gone, then each
  // sixteenth, but not in smaller steps than this: the next leader gives it no more, rounded up to
  // seconds. Large: leaders do no such thing.
  int64_t checkpoint_step_ns = 1'000'000'000'000'000;
  // From when that is due until it is committed, in a healthy cluster.
  int64_t checkpoint_lag_ns = 0;
  // An unanswered grant or keepalive takes effect within this time, or never.
  int64_t unanswered_ns = 60'000'000'000;
  uint64_t leases_min = 3;  // fewer acknowledged grants: kInvalid
};

// For recorders that see only events: the revisions that took the keys of one lease and nothing
// else, except those in `operations` (which operations made).
std::vector<LeaseEnd> LeaseEndsOf(const EventLog& log, const std::set<int64_t>& operations);

// Names of anomalies, in the order in which they are looked for in each lease:
//   lease-early-expiry         it ended within its TTL of the moment at which an acknowledged grant
//                              or keepalive was called, and nobody revoked it
//   lease-split-delete         its keys did not vanish in one revision, in order, all of them
//   lease-used-after-end       a key was attached to it after it had ended
//   lease-ended-twice          it ended more than once
//   lease-renewed-after-end    a keepalive called after its end was answered with a TTL
//   lease-survived-revoke      an acknowledged revoke, and it had not ended by its revision
//   lease-early-expiry         a keepalive did not find it that early
//   lease-never-expired        left alone in a healthy cluster, it outlived TTL and slack, or after
//   a
//                              change of leaders what was left of the TTL, and slack
//   lease-late-expiry          ... and ended later
Report CheckLeases(const LeaseHistory& history, const EventLog& log,
                   const LeaseRulesOptions& options = {});

}  // namespace conclave::checker
