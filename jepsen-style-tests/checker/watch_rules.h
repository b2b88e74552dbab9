// What a watch promises (reference: behaviour section 6): its events ordered, unique, complete,
// atomic per revision, resumable, with bookmarks that never run ahead. Compares what each watcher
// received with the log of events. Called by whoever holds a finished history; any lane.
// Deterministic, linear in the log times the watchers.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "jepsen-style-tests/checker/kv_history.h"
#include "jepsen-style-tests/checker/verdict.h"
#include "kvstore/proto/rpc.pb.h"

namespace conclave::checker {

struct ReceivedWatchResponse {
  int64_t received_ns = 0;
  etcdserverpb::WatchResponse response;
};

// One watcher on one stream, from its create request to the end of either.
struct WatchAttempt {
  etcdserverpb::WatchCreateRequest request;
  // In order of receipt: those with its watch_id, and the stream's progress notifications (-1).
  std::vector<ReceivedWatchResponse> responses;
};

// What a user sees as one watch: a first attempt, and one more each time the stream ended. Each
// resumes at NextRevision() of the one before.
struct WatcherHistory {
  uint64_t id = 0;  // the recorder's number, for explanations
  std::vector<WatchAttempt> attempts;
  // Set if the run ended with this watcher at rest and synced at that revision: all its events up
  // to there must have come.
  std::optional<int64_t> synced_revision;
};

// Where a client resumes after `attempt`: past its last event or progress notification; at the
// compact_revision if it was canceled for that; else where it started (0: still from "now").
int64_t NextRevision(const WatchAttempt& attempt);

struct WatchRulesOptions {
  // Every revision that a compaction may have been asked for. nullopt: not known, any will do.
  std::optional<std::set<int64_t>> compact_revisions = std::nullopt;
  uint64_t events_min = 5;  // fewer events received by all watchers: kInvalid
};

// Names of anomalies, in the order in which they are looked for in each attempt:
//   watch-created          not exactly one created response, or not first
//   watch-after-cancel     something came after the cancellation
//   watch-wrong-event      an event that the log does not have in this range, or with other content
//   watch-filter           ... that the watcher's filters exclude
//   watch-before-start     an event or progress below the start revision
//   watch-wrong-prev-kv    prev_kv is missing, not wanted, or not the pair there was
//   watch-duplicate        an event came twice
//   watch-disorder         an event came after a later one
//   watch-split-revision   a revision's events came in more than one response
//   watch-progress-ahead   a progress notification came before an event that it covers
//   watch-gap              an event did not come though a later one, or the end, did
//   watch-compaction       canceled as compacted although nothing needed was compacted
//   watch-header           a header's revision is below its events, ahead of the log, or went back
//   watch-resume           the attempt does not start where the one before ended (the workload's)
Report CheckWatches(const std::vector<WatcherHistory>& history, const EventLog& log,
                    const WatchRulesOptions& options = {});

}  // namespace conclave::checker
