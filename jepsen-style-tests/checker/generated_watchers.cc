#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>

#include "jepsen-style-tests/checker/generated_history.h"

namespace conclave::checker {
namespace {

using etcdserverpb::WatchCreateRequest;
using etcdserverpb::WatchResponse;

// Replays a log to one watcher, as a member would that is somewhere between `seen` and the end.
class GeneratedWatcher {
 public:
  GeneratedWatcher(const EventLog& log, const std::set<int64_t>& compact_revisions, Random random)
      : log_(log), compact_revisions_(compact_revisions), random_(random) {}

  WatcherHistory Run(uint64_t id) {
    WatcherHistory watcher{id, {}, std::nullopt};
    request_ = RandomRequest();
    while (watcher.attempts.size() < 4) {
      watcher.attempts.push_back(Attempt(watcher.attempts.size() == 3));
      request_.set_start_revision(next_);
    }
    watcher.synced_revision = log_.last_revision();
    return watcher;
  }

 private:
  WatchCreateRequest RandomRequest() {
    static const std::vector<std::pair<std::string, std::string>> kRanges = {
        {"", std::string(1, '\0')},
        {"a", "b"},
        {"b", std::string(1, '\0')},
        {"guarded", ""},
        {"lock/", "lock0"}};
    WatchCreateRequest request;
    const auto& [key, range_end] = kRanges[random_.Below(kRanges.size())];
    request.set_key(key);
    request.set_range_end(range_end);
    request.set_prev_kv(random_.OneIn(2));
    request.set_fragment(random_.OneIn(3));
    if (random_.OneIn(5)) request.add_filters(WatchCreateRequest::NOPUT);
    if (random_.OneIn(5)) request.add_filters(WatchCreateRequest::NODELETE);
    seen_ =
        static_cast<int64_t>(random_.Between(1, static_cast<uint64_t>(log_.last_revision()) / 3));
    if (random_.OneIn(3)) return request;  // from now on
    request.set_start_revision(seen_ + (random_.OneIn(3) ? 7 : -5));
    if (request.start_revision() < 1) request.set_start_revision(1);
    return request;
  }

  WatchAttempt Attempt(bool last) {
    WatchAttempt attempt{request_, {}};
    WatchResponse created = Response(seen_);
    created.set_created(true);
    attempt.responses.push_back({0, created});
    next_ = request_.start_revision() != 0 ? request_.start_revision() : seen_ + 1;
    // As if compacted just before, now and then: the client starts again from there.
    const auto compacted = compact_revisions_.upper_bound(next_);
    if (!last && random_.OneIn(4) && compacted != compact_revisions_.end()) {
      WatchResponse canceled = Response(0);
      canceled.set_canceled(true);
      canceled.set_compact_revision(*compacted);
      attempt.responses.push_back({0, canceled});
      next_ = *compacted;
      return attempt;
    }
    const int64_t stop = last ? log_.last_revision() : Between(seen_, log_.last_revision());
    while (seen_ < stop) Advance(attempt, last ? stop : Between(seen_ + 1, stop));
    return attempt;
  }

  int64_t Between(int64_t low, int64_t high) {
    return static_cast<int64_t>(
        random_.Between(static_cast<uint64_t>(low), static_cast<uint64_t>(high)));
  }

  // The member's store goes on to `revision`, and the watcher with it.
  void Advance(WatchAttempt& attempt, int64_t revision) {
    const bool one_by_one = random_.OneIn(2);  // synced, or catching up
    WatchResponse batch = Response(revision);
    for (int64_t at = std::max(next_, int64_t{2}); at <= revision; ++at) {
      AddEvents(at, batch);
      if (!one_by_one) continue;
      batch.mutable_header()->set_revision(at);
      Send(attempt, std::exchange(batch, Response(revision)));
    }
    Send(attempt, std::move(batch));
    seen_ = revision;
    if (random_.OneIn(3) && seen_ >= request_.start_revision()) {
      WatchResponse progress = Response(seen_);
      progress.set_watch_id(random_.OneIn(2) ? -1 : 0);
      attempt.responses.push_back({0, progress});
    }
    // A client that saw neither event nor progress knows nothing of what it waited through.
    next_ = NextRevision(attempt);
  }

  void Send(WatchAttempt& attempt, WatchResponse batch) {
    if (batch.events().empty()) return;
    const int half = batch.events_size() / 2;
    if (request_.fragment() && half > 0 && random_.OneIn(2)) {
      WatchResponse part = batch;
      part.set_fragment(true);
      part.mutable_events()->DeleteSubrange(half, batch.events_size() - half);
      batch.mutable_events()->DeleteSubrange(0, half);
      attempt.responses.push_back({0, part});
    }
    attempt.responses.push_back({0, std::move(batch)});
  }

  static WatchResponse Response(int64_t revision) {
    WatchResponse response;
    response.mutable_header()->set_revision(revision);
    return response;
  }

  bool Wanted(const KvEvent& event) const {
    const int unwanted = event.is_delete ? WatchCreateRequest::NODELETE : WatchCreateRequest::NOPUT;
    for (const int filter : request_.filters()) {
      if (filter == unwanted) return false;
    }
    if (request_.range_end().empty()) return event.key == request_.key();
    return event.key >= request_.key() &&
           (request_.range_end() == std::string(1, '\0') || event.key < request_.range_end());
  }

  void AddEvents(int64_t revision, WatchResponse& batch) {
    StateBefore(revision);
    for (const KvEvent& event : log_.At(revision)) {
      if (!Wanted(event)) continue;
      mvccpb::Event& out = *batch.add_events();
      out.set_type(event.is_delete ? mvccpb::Event::DELETE : mvccpb::Event::PUT);
      *out.mutable_kv() = PairAfter(event);
      const auto before = state_.find(event.key);
      if (request_.prev_kv() && before != state_.end()) *out.mutable_prev_kv() = before->second;
    }
  }

  static mvccpb::KeyValue PairAfter(const KvEvent& event) {
    mvccpb::KeyValue kv;
    kv.set_key(event.key);
    kv.set_mod_revision(event.revision);
    if (event.is_delete) return kv;
    kv.set_value(event.value);
    kv.set_create_revision(event.create_revision);
    kv.set_version(event.version);
    kv.set_lease(event.lease);
    return kv;
  }

  // Brings state_ to the end of the revision before `revision`.
  void StateBefore(int64_t revision) {
    if (state_revision_ >= revision) {
      state_.clear();
      state_revision_ = 1;
    }
    while (state_revision_ + 1 < revision) {
      for (const KvEvent& event : log_.At(++state_revision_)) {
        if (event.is_delete) {
          state_.erase(event.key);
        } else {
          state_[event.key] = PairAfter(event);
        }
      }
    }
  }

  const EventLog& log_;
  const std::set<int64_t>& compact_revisions_;
  Random random_;
  WatchCreateRequest request_;
  int64_t seen_ = 1;  // what the member has applied
  int64_t next_ = 0;  // what the client has yet to see
  std::map<std::string, mvccpb::KeyValue> state_;
  int64_t state_revision_ = 1;
};

}  // namespace

std::vector<WatcherHistory> GenerateWatchers(const EventLog& log,
                                             const std::set<int64_t>& compact_revisions,
                                             Random random) {
  std::vector<WatcherHistory> watchers;
  for (uint64_t id = 1; id <= 8; ++id) {
    watchers.push_back(GeneratedWatcher(log, compact_revisions, Random(random.Next())).Run(id));
  }
  return watchers;
}

}  // namespace conclave::checker
