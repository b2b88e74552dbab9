#include "jepsen-style-tests/checker/watch_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "jepsen-style-tests/checker/key_versions.h"
#include "jepsen-style-tests/checker/report_draft.h"

namespace conclave::checker {
namespace {

using etcdserverpb::WatchCreateRequest;
using etcdserverpb::WatchResponse;
using mvccpb::Event;
using mvccpb::KeyValue;

// Where an event stands in the log.
using Position = std::pair<int64_t, int64_t>;  // revision, sub

// A response with its fragments joined.
struct Batch {
  const WatchResponse* response = nullptr;  // the last of them
  std::vector<const Event*> events;

  bool progress() const {
    return events.empty() && !response->created() && !response->canceled() &&
           response->compact_revision() == 0;
  }
};

// What an attempt received. Leaves out fragments whose end never came, which a client must not act
// upon, and notifications to the stream from before the watcher was created.
std::vector<Batch> BatchesOf(const WatchAttempt& attempt) {
  std::vector<Batch> batches;
  std::vector<const Event*> joined;
  for (const ReceivedWatchResponse& received : attempt.responses) {
    const WatchResponse& response = received.response;
    if (batches.empty() && !response.created() && response.watch_id() == -1) continue;
    for (const Event& event : response.events()) joined.push_back(&event);
    if (!response.fragment()) batches.push_back({&response, std::exchange(joined, {})});
  }
  return batches;
}

int64_t NextRevisionOf(const WatchCreateRequest& request, const std::vector<Batch>& batches) {
  int64_t next = request.start_revision();
  for (const Batch& batch : batches) {
    const WatchResponse& response = *batch.response;
    if (response.canceled()) return std::max(next, response.compact_revision());
    if (response.created() && next == 0) next = response.header().revision() + 1;
    if (batch.progress()) next = std::max(next, response.header().revision() + 1);
    if (!batch.events.empty()) next = std::max(next, batch.events.back()->kv().mod_revision() + 1);
  }
  return next;
}

std::string ToText(const Event& event) {
  std::string text = ToString(EventOf(event));
  if (event.has_prev_kv()) text += " prev_kv {" + event.prev_kv().ShortDebugString() + "}";
  return text;
}

struct Finding {
  std::string anomaly;
  std::string explanation;
};

class AttemptRules {
 public:
  AttemptRules(const WatchAttempt& attempt, std::optional<int64_t> synced_revision,
               const EventLog& log, const KeyVersions& versions, const WatchRulesOptions& options)
      : request_(attempt.request),
        synced_revision_(synced_revision),
        log_(log),
        versions_(versions),
        options_(options),
        batches_(BatchesOf(attempt)) {}

  // The first rule that is broken.
  std::optional<Finding> Check() {
    CheckLife();
    if (finding_.has_value() || batches_.empty()) return finding_;
    first_ = request_.start_revision();
    if (first_ == 0) first_ = batches_.front().response->header().revision() + 1;
    for (const Batch& batch : batches_) {
      for (const Event* event : batch.events) CheckContent(*event);
    }
    CheckOrder();
    CheckAtomicity();
    CheckLateEvents();
    CheckCompleteness();
    CheckCompaction();
    CheckHeaders();
    return finding_;
  }

  uint64_t events() const { return delivered_.size(); }

 private:
  // Keeps the first.
  void Find(std::string_view anomaly, std::string explanation) {
    if (!finding_.has_value()) finding_ = Finding{std::string(anomaly), std::move(explanation)};
  }

  void CheckLife() {
    bool canceled = false;
    for (size_t i = 0; i < batches_.size(); ++i) {
      const WatchResponse& response = *batches_[i].response;
      if (canceled) Find("watch-after-cancel", response.ShortDebugString());
      if (response.created() != (i == 0)) Find("watch-created", response.ShortDebugString());
      canceled = canceled || response.canceled();
    }
  }

  bool InRange(const std::string& key) const {
    const std::string& begin = request_.key();
    return kv::InRange(key, begin.empty() ? std::string_view("\0", 1) : begin,
                       request_.range_end());
  }
  bool Filtered(bool is_delete) const {
    const auto& filters = request_.filters();
    const int unwanted = is_delete ? WatchCreateRequest::NODELETE : WatchCreateRequest::NOPUT;
    return std::find(filters.begin(), filters.end(), unwanted) != filters.end();
  }

  const KvEvent* InLog(const Event& delivered) const {
    KvEvent event = EventOf(delivered);
    for (const KvEvent& logged : log_.At(event.revision)) {
      event.sub = logged.sub;
      if (event == logged) return &logged;
    }
    return nullptr;
  }

  void CheckContent(const Event& event) {
    const KvEvent* logged = InLog(event);
    if (logged == nullptr || !InRange(event.kv().key())) {
      return Find("watch-wrong-event", ToText(event));
    }
    if (Filtered(logged->is_delete)) Find("watch-filter", ToText(event));
    if (logged->revision < first_) {
      Find("watch-before-start",
           fmt::format("{} though it watches from {} on", ToText(event), first_));
    }
    CheckPrevious(event, *logged);
    delivered_.emplace_back(logged->revision, logged->sub);
  }

  void CheckPrevious(const Event& event, const KvEvent& logged) {
    const auto& events = log_.At(logged.revision);
    // A revision that touches a key twice has no one pair before.
    const bool once = std::count_if(events.begin(), events.end(), [&](const KvEvent& other) {
                        return other.key == logged.key;
                      }) == 1;
    if (!once) return;
    const KeyValue* before = versions_.Get(logged.key, logged.revision - 1);
    const bool wanted = request_.prev_kv() && before != nullptr;
    const bool right = event.has_prev_kv() ? wanted && SamePair(event.prev_kv(), *before)
                                           : !wanted || MayBeCompacted(logged.revision);
    if (right) return;
    Find("watch-wrong-prev-kv",
         fmt::format("{}\nthe pair before: {}", ToText(event),
                     wanted ? before->ShortDebugString() : "none, or not wanted"));
  }

  // Whether the version that `revision` replaced may be gone.
  bool MayBeCompacted(int64_t revision) const {
    return !options_.compact_revisions.has_value() ||
           options_.compact_revisions->lower_bound(revision) != options_.compact_revisions->end();
  }

  void CheckOrder() {
    std::set<Position> seen;
    for (const Position& position : delivered_) {
      if (!seen.insert(position).second) {
        Find("watch-duplicate", fmt::format("{}.{} came twice", position.first, position.second));
      } else if (position != *seen.rbegin()) {
        Find("watch-disorder",
             fmt::format("{}.{} came after {}.{}", position.first, position.second,
                         seen.rbegin()->first, seen.rbegin()->second));
      }
    }
  }

  void CheckAtomicity() {
    std::set<int64_t> complete;  // revisions of earlier batches
    for (const Batch& batch : batches_) {
      std::set<int64_t> revisions;
      for (const Event* event : batch.events) revisions.insert(event->kv().mod_revision());
      for (const int64_t revision : revisions) {
        if (complete.insert(revision).second) continue;
        Find("watch-split-revision", fmt::format("revision {}", revision));
      }
    }
  }

  void CheckLateEvents() {
    for (const Batch& batch : batches_) {
      if (batch.progress()) progress_ = std::max(progress_, batch.response->header().revision());
      for (const Event* event : batch.events) {
        if (event->kv().mod_revision() > progress_) continue;
        Find("watch-progress-ahead",
             fmt::format("progress {}, and then {}", progress_, ToText(*event)));
      }
    }
  }

  // All that should have come up to the last event, progress notification or the end.
  void CheckCompleteness() {
    const int64_t last = delivered_.empty() ? 0 : delivered_.back().first;
    const bool canceled = batches_.back().response->canceled();
    const int64_t synced = canceled ? 0 : synced_revision_.value_or(0);
    const int64_t horizon = std::min(std::max({last, progress_, synced}), log_.last_revision());
    const std::set<Position> delivered(delivered_.begin(), delivered_.end());
    for (int64_t revision = std::max<int64_t>(first_, 2); revision <= horizon; ++revision) {
      for (const KvEvent& event : log_.At(revision)) {
        if (!InRange(event.key) || Filtered(event.is_delete)) continue;
        if (delivered.contains({event.revision, event.sub})) continue;
        const bool ahead = revision > last && revision <= progress_;
        Find(ahead ? "watch-progress-ahead" : "watch-gap",
             fmt::format("{} did not come; last event at {}, progress {}, synced at {}",
                         ToString(event), last, progress_, synced));
      }
    }
  }

  void CheckCompaction() {
    const WatchResponse& last = *batches_.back().response;
    if (!last.canceled() || last.compact_revision() == 0) return;
    const std::vector<Batch> before(batches_.begin(), batches_.end() - 1);
    const int64_t next = NextRevisionOf(request_, before);
    const bool known = !options_.compact_revisions.has_value() ||
                       options_.compact_revisions->contains(last.compact_revision());
    if (known && next < last.compact_revision()) return;
    Find("watch-compaction",
         fmt::format("canceled for a compaction at {}{}, needing {} next", last.compact_revision(),
                     known ? "" : ", which nobody asked for", next));
  }

  void CheckHeaders() {
    int64_t last_event = 0;
    for (const Batch& batch : batches_) {
      const int64_t revision = batch.response->header().revision();
      if (!batch.events.empty()) last_event = batch.events.back()->kv().mod_revision();
      if (batch.response->canceled()) continue;
      if (revision < last_event || revision > log_.last_revision()) {
        Find("watch-header",
             fmt::format("header.revision {} after an event of {}, the newest is {}", revision,
                         last_event, log_.last_revision()));
      }
      if (batch.progress() && revision < request_.start_revision()) {
        Find("watch-before-start",
             fmt::format("progress {} though it watches from {} on", revision, first_));
      }
    }
  }

  const WatchCreateRequest& request_;
  const std::optional<int64_t> synced_revision_;
  const EventLog& log_;
  const KeyVersions& versions_;
  const WatchRulesOptions& options_;
  const std::vector<Batch> batches_;
  int64_t first_ = 0;                // the first revision it may get
  std::vector<Position> delivered_;  // in order of receipt
  int64_t progress_ = 0;
  std::optional<Finding> finding_;
};

class WatchRules {
 public:
  WatchRules(const EventLog& log, const WatchRulesOptions& options)
      : log_(log), versions_(log), options_(options) {}

  std::optional<Finding> Check(const WatcherHistory& watcher) {
    for (size_t i = 0; i < watcher.attempts.size(); ++i) {
      const WatchAttempt& attempt = watcher.attempts[i];
      const bool last = i + 1 == watcher.attempts.size();
      AttemptRules rules(attempt, last ? watcher.synced_revision : std::nullopt, log_, versions_,
                         options_);
      std::optional<Finding> finding = rules.Check();
      events_ += rules.events();
      if (!finding.has_value() && !last) {
        finding = CheckResume(attempt, watcher.attempts[i + 1]);
      }
      if (!finding.has_value()) continue;
      finding->explanation = fmt::format("watcher {}, attempt {}, {{{}}}:\n{}", watcher.id, i + 1,
                                         attempt.request.ShortDebugString(), finding->explanation);
      return finding;
    }
    return std::nullopt;
  }

  uint64_t events() const { return events_; }

 private:
  static std::optional<Finding> CheckResume(const WatchAttempt& ended,
                                            const WatchAttempt& resumed) {
    const int64_t next = NextRevision(ended);
    if (resumed.request.start_revision() == next) return std::nullopt;
    return Finding{"watch-resume", fmt::format("ended before {}, resumed at {}", next,
                                               resumed.request.start_revision())};
  }

  const EventLog& log_;
  const KeyVersions versions_;
  const WatchRulesOptions& options_;
  uint64_t events_ = 0;
};

}  // namespace

int64_t NextRevision(const WatchAttempt& attempt) {
  return NextRevisionOf(attempt.request, BatchesOf(attempt));
}

Report CheckWatches(const std::vector<WatcherHistory>& history, const EventLog& log,
                    const WatchRulesOptions& options) {
  ReportDraft report("watch-rules", "events");
  WatchRules rules(log, options);
  for (const WatcherHistory& watcher : history) {
    const std::optional<Finding> finding = rules.Check(watcher);
    if (finding.has_value()) report.Fail(finding->anomaly, finding->explanation);
  }
  if (rules.events() < options.events_min) {
    report.Invalidate(fmt::format("only {} events were received", rules.events()));
  }
  return std::move(report).Finish(rules.events());
}

}  // namespace conclave::checker
