#include "jepsen-style-tests/checker/revision_matching.h"

#include <algorithm>
#include <set>
#include <utility>

#include "jepsen-style-tests/checker/request_replay.h"

namespace conclave::checker {
namespace {

using etcdserverpb::CompactionRequest;
using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::PutRequest;
using etcdserverpb::RangeRequest;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;

// Whether some part of the request may have made the event: a cheap look before the replay.
bool MayMake(const RangeRequest&, const KvEvent&) { return false; }
bool MayMake(const CompactionRequest&, const KvEvent&) { return false; }
bool MayMake(const PutRequest& request, const KvEvent& event) {
  return !event.is_delete && request.key() == event.key &&
         (request.ignore_value() || request.value() == event.value);
}
bool MayMake(const DeleteRangeRequest& request, const KvEvent& event) {
  return event.is_delete && kv::InRange(event.key, request.key(), request.range_end());
}
bool MayMake(const TxnRequest& request, const KvEvent& event) {
  for (const auto* branch : {&request.success(), &request.failure()}) {
    for (const RequestOp& op : *branch) {
      if (op.has_request_put() && MayMake(op.request_put(), event)) return true;
      if (op.has_request_delete_range() && MayMake(op.request_delete_range(), event)) return true;
      if (op.has_request_txn() && MayMake(op.request_txn(), event)) return true;
    }
  }
  return false;
}

// A maximum bipartite matching by augmenting paths.
class Matching {
 public:
  explicit Matching(std::vector<std::vector<size_t>> edges) : edges_(std::move(edges)) {}

  // Gives `revision` a candidate if that is possible, moving others to another of theirs.
  bool Augment(size_t revision) {
    visited_.clear();
    return Try(revision);
  }
  const std::map<size_t, size_t>& revision_of() const { return revision_of_; }

 private:
  bool Try(size_t revision) {
    for (const size_t candidate : edges_[revision]) {
      if (!visited_.insert(candidate).second) continue;
      const auto owner = revision_of_.find(candidate);
      if (owner == revision_of_.end() || Try(owner->second)) {
        revision_of_[candidate] = revision;
        return true;
      }
    }
    return false;
  }

  const std::vector<std::vector<size_t>> edges_;  // by revision: its candidates
  std::map<size_t, size_t> revision_of_;          // by candidate
  std::set<size_t> visited_;
};

}  // namespace

bool Explains(const KvOperation& operation, const EventLog& log, const KeyVersions& versions,
              int64_t revision) {
  const std::vector<KvEvent>& events = log.At(revision);
  if (operation.called_ns > log.applied_ns(revision)) return false;
  const bool may = std::visit(
      [&](const auto& request) {
        return std::all_of(events.begin(), events.end(),
                           [&](const KvEvent& event) { return MayMake(request, event); });
      },
      operation.request);
  return may && Replay(operation.request, versions, revision - 1).events == events;
}

std::map<int64_t, const KvOperation*> MatchRevisions(
    const std::vector<int64_t>& revisions, const std::vector<const KvOperation*>& candidates,
    const EventLog& log, const KeyVersions& versions) {
  std::vector<std::vector<size_t>> edges(revisions.size());
  for (size_t i = 0; i < revisions.size(); ++i) {
    for (size_t k = 0; k < candidates.size(); ++k) {
      if (Explains(*candidates[k], log, versions, revisions[i])) edges[i].push_back(k);
    }
  }
  Matching matching(std::move(edges));
  for (size_t i = 0; i < revisions.size(); ++i) matching.Augment(i);
  std::map<int64_t, const KvOperation*> matched;
  for (const auto& [candidate, revision] : matching.revision_of()) {
    matched[revisions[revision]] = candidates[candidate];
  }
  return matched;
}

}  // namespace conclave::checker
