// What a leader knows of one peer's log, and when it may send to it (thesis 3.5, 10.2.1).
//
//        +-- rejected, connection lost, or a new leader: one request at a time --+
//        v                                                                       |
//     kProbe ---- accepted: match is known ----> kReplicate: many in flight, `next` runs ahead
//        ^                                                                       |
//        +-- accepted at or after -- kSnapshot: nothing is sent but offers  <----+
//            the log's start             what it needs next is no longer in the log
//
// Part of Leader, so it dies with leadership. Raft lane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>

#include "raft/base/check.h"
#include "raft/base/types.h"

namespace conclave::raft {

// The bound of one peer's window: either is enough to close it.
struct WindowLimits {
  size_t appends_max = 64;
  size_t bytes_max = 8 << 20;
};

// The AppendRequests with entries that one peer has not answered, oldest first.
class InflightWindow {
 public:
  // A request ending with `last` was sent. Requires last to be above all others.
  void Add(LogIndex last, size_t bytes);
  // The peer holds everything up to `index`.
  void FreeThrough(LogIndex index);
  void Clear();

  bool Full(const WindowLimits& limits) const;
  size_t appends() const { return requests_.size(); }
  size_t bytes() const { return bytes_; }
  // Without the newest request's; only while appends() > 0.
  size_t bytes_before_last() const {
    CHECK(!requests_.empty());
    return bytes_ - requests_.back().bytes;
  }
  // The last index sent; only while appends() > 0.
  LogIndex last() const {
    CHECK(!requests_.empty());
    return requests_.back().last;
  }

 private:
  struct Request {
    LogIndex last;
    size_t bytes = 0;
  };
  std::deque<Request> requests_;
  size_t bytes_ = 0;
};

class Progress {
 public:
  enum class State : uint8_t { kProbe, kReplicate, kSnapshot };

  // Probes first at the end of the leader's own log, where most peers are (thesis 3.5).
  explicit Progress(LogIndex next);

  State state() const { return state_; }
  // Everything up to here is durable at the peer and matches.
  LogIndex match() const { return match_; }
  // The first entry of the next request; always above match.
  LogIndex next() const { return next_; }
  const InflightWindow& window() const { return window_; }
  // How far the peer was told that entries are committed, as far as it could use it.
  LogIndex commit_sent() const { return commit_sent_; }

  // True if a request with entries may be sent now.
  bool MaySend(const WindowLimits& limits) const;
  // True if a request is due even if it has no entries: a probe, news of a commit index, or a peer
  // that has stalled.
  bool OwesEmpty(const WindowLimits& limits, LogIndex commit) const;

  // A request was sent: everything up to `last` (next - 1 if it was empty), `bytes` of entries,
  // with this commit index.
  void Sent(LogIndex last, size_t bytes, LogIndex commit);
  // A heartbeat was sent by the clock. A peer that is behind `leader_last` and has not moved since
  // the one before may have lost requests.
  void HeartbeatSent(LogIndex leader_last);
  void HeartbeatAnswered();

  // The peer holds everything up to `index`. True if that is news.
  bool Accepted(LogIndex index);
  // The peer refused a request that followed `prev`; nothing after `retry_after` can match. False
  // if it is an old answer.
  bool Rejected(LogIndex prev, LogIndex retry_after);
  // The leader's log starts after `start`: a peer that needs what is before it needs a snapshot.
  void LogStartsAfter(LogIndex start);
  // In kSnapshot, true once per heartbeat: an offer is due.
  bool TakeOffer();
  // The peer has lost entries that it had acknowledged: nothing is known to match any more, and no
  // entry after `agree_at_most` can.
  void Forget(LogIndex agree_at_most);
  // What was in flight is presumed lost. Sends nothing until the peer answers a heartbeat.
  void Lost();

 private:
  void Probe(LogIndex next);
  bool WindowFull(const WindowLimits& limits) const;

  State state_ = State::kProbe;
  bool probe_sent_ = false;   // probing: one request is under way
  bool offer_due_ = false;    // needing a snapshot
  bool stalled_ = false;      // behind, and no news for a whole heartbeat interval
  bool stall_probe_ = false;  // it is alive all the same: ask where it is
  LogIndex match_;
  LogIndex next_;
  LogIndex commit_sent_;
  LogIndex match_at_heartbeat_;
  InflightWindow window_;
  // So many requests may be in flight, whatever the limits allow: one after a peer has refused what
  // ran ahead, one more for each that it accepts (as TCP's slow start, RFC 5681 3.1). Where
  // requests overtake each other most of a full window is refused, each refusal turns into a probe
  // and each answer to a probe into another window: without this every request would bring about
  // more.
  size_t appends_allowed_ = std::numeric_limits<size_t>::max();
};

}  // namespace conclave::raft
