// Locks and elections on the key layout of etcd's recipes, with fencing (reference: behaviour
// section 12): keys `<name>/<lease hex>`, the one with the lowest create_revision owns, and that
// revision is the fencing token. Ownership is a fact of each revision's state, so it is checked
// there, whatever a paused or cut-off client believes. Called by whoever holds a finished history;
// any lane. Deterministic.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jepsen-style-tests/checker/kv_history.h"
#include "jepsen-style-tests/checker/verdict.h"

namespace conclave::checker {

// A client was told that it owns the lock, or won the election.
struct LockAcquisition {
  uint64_t process = 0;  // the client, for explanations
  std::string name;      // without the slash
  std::string key;       // `<name>/<lease hex>`
  int64_t token = 0;     // create_revision of `key`
  int64_t revision = 0;  // header.revision of the response that showed the ownership
  int64_t called_ns = 0;
  int64_t returned_ns = kNeverReturned;
};

// A transaction "if create_revision(lock_key) = token then put(target, value)".
struct FencedUpdate {
  uint64_t id = 0;       // the recorder's number, for explanations
  uint64_t process = 0;  // the client, for explanations
  std::string lock_key;
  int64_t token = 0;
  std::string target;
  std::string value;  // unique among all updates of `target`
  Outcome outcome = Outcome::kOk;
  bool succeeded = false;  // kOk: whether the compare held
  int64_t revision = 0;    // kOk: header.revision
};

struct LockHistory {
  std::vector<LockAcquisition> acquisitions;
  std::vector<FencedUpdate> updates;
};

struct LockRulesOptions {
  uint64_t acquisitions_min = 3;  // fewer: kInvalid
  uint64_t updates_min = 3;       // fewer acknowledged and successful updates: kInvalid
};

// Names of anomalies, in the order in which they are looked for:
//   lock-not-held       granted at a revision at which the key, with that token, was not there
//   lock-two-holders    ... at which another key of the lock had a lower create_revision
//   lock-token-order    a later grant of the same lock has a token that is not higher
//   fence-lost-update   an acknowledged, successful update is not at its revision
//   fence-violated      an update was applied when its lock key, with its token, was gone
//   fence-refused       an update was refused although the key, with its token, was there
//   fence-token-order   a target was updated under a lower token after a higher one
Report CheckLocks(const LockHistory& history, const EventLog& log,
                  const LockRulesOptions& options = {});

}  // namespace conclave::checker
