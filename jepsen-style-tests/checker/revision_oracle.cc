#include "jepsen-style-tests/checker/revision_oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "jepsen-style-tests/checker/key_versions.h"
#include "jepsen-style-tests/checker/report_draft.h"
#include "jepsen-style-tests/checker/request_replay.h"
#include "jepsen-style-tests/checker/revision_matching.h"

namespace conclave::checker {
namespace {

using etcdserverpb::CompactionRequest;
using etcdserverpb::RangeRequest;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;

// What the table of errors says, without its prefix.
constexpr std::string_view kCompacted = "required revision has been compacted";
constexpr std::string_view kFuture = "required revision is a future revision";

// The past revisions that a request wants to read.
void AddPast(const RangeRequest& request, std::vector<int64_t>& past) {
  if (request.revision() > 0) past.push_back(request.revision());
}
void AddPast(const TxnRequest& request, std::vector<int64_t>& past) {
  for (const auto* branch : {&request.success(), &request.failure()}) {
    for (const RequestOp& op : *branch) {
      if (op.has_request_range() && op.request_range().revision() != 0) {
        past.push_back(op.request_range().revision());
      }
      if (op.has_request_txn()) AddPast(op.request_txn(), past);
    }
  }
}

class RevisionOracle {
 public:
  RevisionOracle(const std::vector<KvOperation>& history, const EventLog& log,
                 const RevisionOracleOptions& options)
      : history_(history), log_(log), options_(options), versions_(log) {}

  Report Check() && {
    const Report log_report = log_.Check(0);
    if (log_report.passed()) {
      CheckHistory();
    } else {
      report_.Fail(log_report.anomaly, log_report.explanation);
    }
    return std::move(*this).Finish();
  }

 private:
  // What is known of history_[i] besides itself.
  struct Known {
    int64_t floor = 0;  // newest revision seen by operations that returned before its call
    int64_t compacted_floor = 0;  // newest acknowledged compaction of those
    bool wrote = false;           // acknowledged, and made the revision of its header
    Replayed expected;            // if acknowledged
  };

  void CheckHistory() {
    FindFloors();
    ReplayAcknowledged();
    CheckClaims();
    CheckEvents();
    CheckHeaders();
    CheckRealTime();
    CheckResponses();
    CheckCompactedReads();
    CheckErrors();
    if (!report_.failed()) CheckUnexplained();
  }

  std::string EventsText(int64_t revision) const {
    std::string text = fmt::format("revision {}:", revision);
    for (const KvEvent& event : log_.At(revision)) text += "\n  " + ToString(event);
    return text;
  }

  // Sweeps over calls and returns in the order of time.
  void FindFloors() {
    known_.resize(history_.size());
    std::vector<size_t> calls;
    std::vector<size_t> returns;
    for (size_t i = 0; i < history_.size(); ++i) {
      calls.push_back(i);
      if (history_[i].outcome == Outcome::kOk) returns.push_back(i);
    }
    std::stable_sort(calls.begin(), calls.end(), [this](size_t a, size_t b) {
      return history_[a].called_ns < history_[b].called_ns;
    });
    std::stable_sort(returns.begin(), returns.end(), [this](size_t a, size_t b) {
      return history_[a].returned_ns < history_[b].returned_ns;
    });
    int64_t floor = 1;
    int64_t compacted = 0;
    auto returned = returns.begin();
    for (const size_t call : calls) {
      for (;
           returned != returns.end() && history_[*returned].returned_ns < history_[call].called_ns;
           ++returned) {
        const KvOperation& earlier = history_[*returned];
        floor = std::max(floor, earlier.header_revision());
        if (const auto* compaction = std::get_if<CompactionRequest>(&earlier.request)) {
          compacted = std::max(compacted, compaction->revision());
        }
      }
      known_[call].floor = floor;
      known_[call].compacted_floor = compacted;
    }
  }

  void ReplayAcknowledged() {
    for (size_t i = 0; i < history_.size(); ++i) {
      const KvOperation& operation = history_[i];
      if (operation.outcome != Outcome::kOk) continue;
      Known& known = known_[i];
      known.wrote = MadeRevision(operation.response);
      ++(known.wrote ? writes_ : reads_);
      const int64_t base = operation.header_revision() - (known.wrote ? 1 : 0);
      known.expected = Replay(operation.request, versions_, base);
    }
  }

  // Gives each revision to the acknowledged write that says it made it.
  void CheckClaims() {
    for (size_t i = 0; i < history_.size(); ++i) {
      if (!known_[i].wrote) continue;
      const auto [claim, first] = claims_.emplace(history_[i].header_revision(), i);
      if (first) continue;
      report_.Fail("revision-reused",
                   fmt::format("{}\n{}", ToString(history_[claim->second]), ToString(history_[i])));
    }
  }

  void CheckEvents() {
    for (const auto& [revision, i] : claims_) {
      const std::vector<KvEvent>& expected = known_[i].expected.events;
      const std::vector<KvEvent>& events = log_.At(revision);
      if (!known_[i].expected.refused && expected == events) continue;
      report_.Fail(NameOfWrongEvents(history_[i], known_[i].expected, events),
                   ToString(history_[i]) + "\nbut " + EventsText(revision));
    }
    for (const int64_t revision : options_.internal_revisions) CheckNumbers(revision);
  }

  std::string_view NameOfWrongEvents(const KvOperation& operation, const Replayed& expected,
                                     const std::vector<KvEvent>& events) const {
    if (DifferenceOf(operation.request, expected.response, operation.response) == "wrong-branch") {
      return "wrong-branch";
    }
    const auto same_key = [&](const KvEvent& event) {
      return std::any_of(events.begin(), events.end(), [&](const KvEvent& other) {
        return other.key == event.key && other.is_delete == event.is_delete &&
               other.value == event.value;
      });
    };
    const bool applied = std::any_of(expected.events.begin(), expected.events.end(), same_key);
    return applied ? "wrong-event" : "lost-write";
  }

  // Nothing says what such a revision should do, but it must number its pairs rightly.
  void CheckNumbers(int64_t revision) {
    for (const KvEvent& event : log_.At(revision)) {
      const mvccpb::KeyValue* before = versions_.Get(event.key, revision - 1);
      const bool right = event.is_delete
                             ? before != nullptr
                             : event.version == (before == nullptr ? 1 : before->version() + 1) &&
                                   event.create_revision ==
                                       (before == nullptr ? revision : before->create_revision());
      if (!right) report_.Fail("wrong-event", EventsText(revision));
    }
  }

  void CheckHeaders() {
    for (const KvOperation& operation : history_) {
      const int64_t revision = operation.header_revision();
      if (operation.outcome != Outcome::kOk) continue;
      if (revision >= 1 && revision <= log_.last_revision()) continue;
      report_.Fail("revision-ahead", fmt::format("{}\nbut the newest revision is {}",
                                                 ToString(operation), log_.last_revision()));
    }
  }

  void CheckRealTime() {
    for (size_t i = 0; i < history_.size(); ++i) {
      const KvOperation& operation = history_[i];
      if (operation.outcome != Outcome::kOk) continue;
      const int64_t revision = operation.header_revision();
      const int64_t floor = known_[i].floor;
      const auto seen = [&] {
        return fmt::format("{}\nbut revision {} was seen before its call", ToString(operation),
                           floor);
      };
      if (known_[i].wrote && revision <= floor) report_.Fail("revision-went-back", seen());
      if (!operation.serializable() && revision < floor) report_.Fail("stale-read", seen());
    }
  }

  void CheckResponses() {
    for (size_t i = 0; i < history_.size(); ++i) {
      const KvOperation& operation = history_[i];
      if (operation.outcome != Outcome::kOk) continue;
      const Replayed& expected = known_[i].expected;
      const std::string difference =
          expected.refused || (!known_[i].wrote && !expected.events.empty())
              ? "wrong-response"
              : DifferenceOf(operation.request, expected.response, operation.response);
      if (difference.empty()) continue;
      KvOperation right = operation;
      right.response = expected.response;
      report_.Fail(difference, fmt::format("{}\nthe right answer is {}", ToString(operation),
                                           expected.refused ? "a refusal" : ToString(right)));
    }
  }

  void CheckCompactedReads() {
    for (size_t i = 0; i < history_.size(); ++i) {
      const auto* range = std::get_if<RangeRequest>(&history_[i].request);
      if (range == nullptr || history_[i].outcome != Outcome::kOk) continue;
      if (range->serializable() || range->revision() <= 0) continue;
      if (range->revision() >= known_[i].compacted_floor) continue;
      report_.Fail("read-of-compacted",
                   fmt::format("{}\nbut a compaction at {} had been acknowledged",
                               ToString(history_[i]), known_[i].compacted_floor));
    }
  }

  void CheckErrors() {
    for (size_t i = 0; i < history_.size(); ++i) {
      const KvOperation& operation = history_[i];
      if (operation.outcome != Outcome::kFail) continue;
      const bool compacted = operation.error.find(kCompacted) != std::string::npos;
      const bool future = operation.error.find(kFuture) != std::string::npos;
      if ((compacted && !MayBeCompacted(operation)) ||
          (future && !MayBeFuture(operation, known_[i].floor))) {
        report_.Fail("wrong-error", ToString(operation));
      }
    }
  }

  bool MayBeCompacted(const KvOperation& operation) const {
    if (options_.auto_compaction) return true;
    std::vector<int64_t> needed;
    if (const auto* range = std::get_if<RangeRequest>(&operation.request)) AddPast(*range, needed);
    if (const auto* txn = std::get_if<TxnRequest>(&operation.request)) AddPast(*txn, needed);
    if (const auto* compaction = std::get_if<CompactionRequest>(&operation.request)) {
      if (compaction->revision() < 0) return true;   // nothing is below "never compacted"
      needed.push_back(compaction->revision() - 1);  // equal is too low already
    }
    const int64_t newest = NewestCompaction(operation);
    return std::any_of(needed.begin(), needed.end(), [&](int64_t past) { return past < newest; });
  }

  // The highest compaction but itself that may have happened by its return; below any revision if
  // there is none.
  int64_t NewestCompaction(const KvOperation& operation) const {
    int64_t newest = std::numeric_limits<int64_t>::min();
    for (const KvOperation& other : history_) {
      const auto* compaction = std::get_if<CompactionRequest>(&other.request);
      if (compaction == nullptr || &other == &operation) continue;
      if (other.outcome == Outcome::kFail || other.called_ns > operation.returned_ns) continue;
      newest = std::max(newest, compaction->revision());
    }
    return newest;
  }

  static bool MayBeFuture(const KvOperation& operation, int64_t floor) {
    std::vector<int64_t> wanted;
    if (const auto* range = std::get_if<RangeRequest>(&operation.request)) AddPast(*range, wanted);
    if (const auto* txn = std::get_if<TxnRequest>(&operation.request)) AddPast(*txn, wanted);
    if (const auto* compaction = std::get_if<CompactionRequest>(&operation.request)) {
      wanted.push_back(compaction->revision());
    }
    const int64_t at_least = operation.serializable() ? 1 : floor;
    return std::any_of(wanted.begin(), wanted.end(),
                       [&](int64_t revision) { return revision > at_least; });
  }

  bool IsLeaseDelete(int64_t revision) const {
    if (options_.lease_deletes.has_value() && !options_.lease_deletes->contains(revision)) {
      return false;
    }
    const int64_t lease = LeaseOfDeletes(log_, versions_, revision);
    return lease != 0 && EndsLease(log_, versions_, revision, lease);
  }

  void CheckUnexplained() {
    std::vector<int64_t> open;
    for (int64_t revision = 2; revision <= log_.last_revision(); ++revision) {
      if (claims_.contains(revision) || options_.internal_revisions.contains(revision)) continue;
      const bool known_lease_delete = options_.lease_deletes.has_value() && IsLeaseDelete(revision);
      if (!known_lease_delete) open.push_back(revision);
    }
    std::vector<const KvOperation*> unanswered;
    for (const KvOperation& operation : history_) {
      if (operation.outcome == Outcome::kInfo) unanswered.push_back(&operation);
    }
    const auto matched = MatchRevisions(open, unanswered, log_, versions_);
    for (const int64_t revision : open) {
      if (!matched.contains(revision) && !IsLeaseDelete(revision)) Unexplained(revision);
    }
  }

  void Unexplained(int64_t revision) {
    const KvOperation* refused = nullptr;
    for (const KvOperation& operation : history_) {
      if (!Explains(operation, log_, versions_, revision)) continue;
      if (operation.outcome != Outcome::kFail) {
        report_.Fail("write-applied-twice", EventsText(revision) + "\n" + ToString(operation));
      } else if (refused == nullptr) {
        refused = &operation;
      }
    }
    if (refused != nullptr) {
      report_.Fail("failed-write-applied", EventsText(revision) + "\n" + ToString(*refused));
    }
    report_.Fail("unexplained-event", EventsText(revision));
  }

  Report Finish() && {
    if (writes_ < options_.ok_writes_min || reads_ < options_.ok_reads_min) {
      report_.Invalidate(fmt::format("only {} acknowledged writes and {} reads", writes_, reads_));
    }
    return std::move(report_).Finish(history_.size());
  }

  const std::vector<KvOperation>& history_;
  const EventLog& log_;
  const RevisionOracleOptions& options_;
  const KeyVersions versions_;
  std::vector<Known> known_;          // as history_
  std::map<int64_t, size_t> claims_;  // by revision, indexes of history_
  uint64_t writes_ = 0;
  uint64_t reads_ = 0;
  ReportDraft report_{"revision-oracle", "operations"};
};

}  // namespace

Report CheckRevisions(const std::vector<KvOperation>& history, const EventLog& log,
                      const RevisionOracleOptions& options) {
  return RevisionOracle(history, log, options).Check();
}

}  // namespace conclave::checker
