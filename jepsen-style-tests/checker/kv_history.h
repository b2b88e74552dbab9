// The history of a key-value store, as the etcd-semantics checkers read it: what clients asked and
// were answered (KvOperation), and what the store really did, revision by revision (EventLog).
// Recorded by workloads and by the simulated world or, on real clusters, by a watch of everything.
// Plain values, any lane.
//
// Rules of the recorder: a KvOperation is one RPC that was sent at most once; the values that puts
// store should be unique, or a lost write may be explained by another.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "jepsen-style-tests/checker/verdict.h"
#include "kvstore/proto/rpc.pb.h"

namespace conclave::checker {

// What one revision did to one key.
struct KvEvent {
  int64_t revision = 0;
  int64_t sub = 0;  // position inside the revision, from 0
  std::string key;
  std::string value = {};  // empty if is_delete, as are the three below
  bool is_delete = false;
  int64_t lease = 0;
  int64_t create_revision = 0;
  int64_t version = 0;

  bool operator==(const KvEvent&) const = default;
};

std::string ToString(const KvEvent& event);  // "7.0 put a=\"x\" (create 3, version 2, lease 0)"
// The event as a watch delivers it.
KvEvent EventOf(const mvccpb::Event& delivered);

// The authoritative sequence of events. Revisions may be added in any order and by every member
// that applies them; all must agree.
class EventLog {
 public:
  // Records that `revision` made `events`, in this order; their `revision` and `sub` are filled in.
  // `applied_ns` is when it was first applied anywhere; a recorder that only watches gives the time
  // at which it saw the revision, never an earlier one.
  void Add(int64_t revision, std::vector<KvEvent> events, int64_t applied_ns);

  // The newest revision added; 1 (the empty store) if there is none.
  int64_t last_revision() const { return static_cast<int64_t>(revisions_.size()) - 1; }
  // Empty if the revision was never added.
  const std::vector<KvEvent>& At(int64_t revision) const;
  // The earliest of the times given for the revision; kNeverReturned if it was never added.
  int64_t applied_ns(int64_t revision) const;

  // Is the log itself sound? Anomalies:
  //   diverged-events    two members applied different events at one revision
  //   missing-revision   nobody applied a revision below the newest, or one without events
  // Invalid if it holds fewer than `revisions_min` revisions. Checked by CheckRevisions, too.
  Report Check(uint64_t revisions_min = 1) const;

 private:
  struct Revision {
    std::vector<KvEvent> events;
    int64_t applied_ns = kNeverReturned;
  };
  std::vector<Revision> revisions_ = std::vector<Revision>(2);  // [0] and [1] stay empty
  std::string divergence_;                                      // the first one, for people
};

using KvRequest = std::variant<etcdserverpb::PutRequest, etcdserverpb::RangeRequest,
                               etcdserverpb::DeleteRangeRequest, etcdserverpb::TxnRequest,
                               etcdserverpb::CompactionRequest>;
// monostate if there was no answer.
using KvResponse = std::variant<std::monostate, etcdserverpb::PutResponse,
                                etcdserverpb::RangeResponse, etcdserverpb::DeleteRangeResponse,
                                etcdserverpb::TxnResponse, etcdserverpb::CompactionResponse>;

struct KvOperation {
  uint64_t id = 0;       // the recorder's number, for explanations
  uint64_t process = 0;  // the client, for explanations
  int64_t called_ns = 0;
  int64_t returned_ns = kNeverReturned;  // kOk and kFail: >= called_ns; kInfo: ignored
  Outcome outcome = Outcome::kOk;
  KvRequest request;
  KvResponse response;  // kOk: of the request's kind, with header.revision
  std::string error;    // kFail: the text of the status, such as ErrCompacted's

  // May be answered from a state of the past: a serializable range, or a transaction of nothing
  // but those (reference: behaviour sections 3.2 and 3.6).
  bool serializable() const;
  int64_t header_revision() const;  // 0 if there is no response
};

std::string ToString(const KvOperation& operation);  // one line

}  // namespace conclave::checker
