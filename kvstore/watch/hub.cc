#include "kvstore/watch/hub.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "kvstore/watch/event_encoding.h"
#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::kv {
namespace {

// Streams told of progress in one Run.
constexpr int kProgressStreamsPerRun = 64;

}  // namespace

std::unique_ptr<WatchHub> WatchHub::New(const WatchOptions& options, const History* history,
                                        uint64_t seed) {
  return std::make_unique<Hub>(options, history, Random(seed));
}

Hub::Hub(const WatchOptions& options, const History* history, Random random)
    : options_(options),
      history_(history),
      recent_(options.recent_bytes_max),
      synced_(random.Stream("ranges").Next()),
      progress_(options.progress_interval, random.Stream("progress").Next()) {}

Hub::~Hub() { CHECK_MSG(streams_.empty(), "streams must be destroyed before their hub"); }

std::unique_ptr<WatchStream> Hub::NewStream(WatchSink* sink) {
  const uint64_t number = next_stream_++;
  auto stream = std::make_unique<HubStream>(this, sink, number);
  streams_[number] = stream.get();
  return stream;
}

void Hub::Forget(uint64_t stream) {
  progress_.Remove(stream);
  streams_.erase(stream);
}

// ---- Which set a watcher is in. ----

void Hub::Start(Watcher* watcher) {
  CHECK(watcher->state == Watcher::State::kUnplaced);
  const int64_t compact_revision = history_->compact_revision();
  if (SEEDED_BUG(kCompactedWatcherSkips)) {
    watcher->next_revision = std::max(watcher->next_revision, compact_revision);
  }
  const int64_t last_behind = history_->revision() - (SEEDED_BUG(kEventLostOnSync) ? 1 : 0);
  if (watcher->next_revision < compact_revision) {
    SIM_REACHED("watch.started_before_compaction");
    watcher->stream->CancelCompacted(watcher, compact_revision);
  } else if (watcher->next_revision <= last_behind) {
    unsynced_.AddReady(watcher);
  } else {
    if (watcher->next_revision > history_->revision() + 1) SIM_REACHED("watch.starts_in_future");
    synced_.Add(watcher);
    watcher->state = Watcher::State::kSynced;
  }
}

void Hub::Stop(Watcher* watcher) {
  switch (watcher->state) {
    case Watcher::State::kUnplaced:
      return;
    case Watcher::State::kSynced:
      synced_.Remove(watcher);
      watcher->state = Watcher::State::kUnplaced;
      return;
    case Watcher::State::kReady:
    case Watcher::State::kSlow:
      unsynced_.Remove(watcher);
      return;
  }
}

void Hub::Resume(Watcher* watcher) {
  if (watcher->state != Watcher::State::kSlow) return;
  SIM_REACHED("watch.slow_resumed");
  Stop(watcher);
  Start(watcher);
}

void Hub::FallBehind(Watcher* watcher, int64_t next_revision) {
  SIM_REACHED("watch.fell_behind");
  Stop(watcher);
  watcher->next_revision = next_revision;
  unsynced_.AddSlow(watcher);
}

void Hub::Compacted(int64_t compact_revision) {
  for (Watcher* watcher : unsynced_.Before(compact_revision)) {
    if (SEEDED_BUG(kCompactedWatcherSkips)) continue;
    SIM_REACHED("watch.overtaken_by_compaction");
    watcher->stream->CancelCompacted(watcher, compact_revision);
  }
}

void Hub::Reload(const History* history) {
  history_ = history;
  recent_.Clear();
  last_read_.clear();
  if (SEEDED_BUG(kAdoptSkipsEvents)) return;
  std::vector<Watcher*> all;
  for (const auto& [number, stream] : streams_) {
    for (const auto& [id, watcher] : stream->watchers()) all.push_back(watcher.get());
  }
  for (Watcher* watcher : all) {
    if (watcher->state == Watcher::State::kSynced) {
      watcher->next_revision = std::max(watcher->next_revision, published_revision_ + 1);
    }
    Stop(watcher);
    Start(watcher);
  }
}

// ---- Synced watchers: every revision as it is published. ----

void Hub::Publish(const std::vector<SharedRevisionEvents>& revisions) {
  for (const SharedRevisionEvents& revision : revisions) {
    recent_.Add(revision);
    published_revision_ = revision->revision;
    if (!synced_.empty()) Deliver(*revision);
  }
}

void Hub::PassOver(int64_t revision) {
  CHECK(streams_.empty());
  if (!SEEDED_BUG(kPassedOverEventsMissed)) recent_.Clear();
  published_revision_ = revision;
}

void Hub::Deliver(const RevisionEvents& revision) {
  RevisionEncoding encoding(revision, *history_);
  CollectDeliveries(revision, encoding);
  SendDeliveries(revision.revision);
}

void Hub::Delivery::Add(std::string_view event) {
  if (++event_count == 1) {
    shared = event;
    return;
  }
  if (own.empty()) own = shared;
  own.append(event);
}

void Hub::CollectDeliveries(const RevisionEvents& revision, RevisionEncoding& encoding) {
  // The record before an event is looked up now, while it is certainly there, not when a slow
  // client gets to it: clients take a change without prev_kv for an error even when a compaction
  // runs right behind (reference: behaviour section 6.4).
  for (size_t i = 0; i < revision.events.size(); ++i) {
    const Event& event = revision.events[i];
    found_.clear();
    synced_.Find(event.key, found_);
    for (Watcher* watcher : found_) {
      if (revision.revision < watcher->next_revision) SIM_REACHED("watch.event_before_start");
      if (revision.revision < watcher->next_revision || !watcher->Wants(event)) continue;
      DeliveryTo(watcher).Add(encoding.Encoded(i, watcher->prev_kv));
    }
  }
}

Hub::Delivery& Hub::DeliveryTo(Watcher* watcher) {
  if (watcher->delivery == Watcher::kNoDelivery) {
    watcher->delivery = deliveries_.size();
    deliveries_.push_back({.watcher = watcher});
  }
  return deliveries_[watcher->delivery];
}

void Hub::SendDeliveries(int64_t revision) {
  for (Delivery& delivery : deliveries_) {
    Watcher* const watcher = delivery.watcher;
    watcher->delivery = Watcher::kNoDelivery;
    if (!watcher->stream->Writable()) {
      FallBehind(watcher, revision);
      continue;
    }
    events_sent_ += static_cast<int64_t>(delivery.event_count);
    watcher->stream->SendEvents(watcher, revision, delivery.encoded(), delivery.event_count);
  }
  deliveries_.clear();
}

// ---- Unsynced watchers: from the ring or from history, in turn. ----

bool Hub::Run(Instant now) {
  progress_.StartClocks(now);
  CatchUpInTurn();
  NotifyProgress(now);
  return unsynced_.any_ready() || progress_.Next() <= now;
}

Instant Hub::NextRun() const { return unsynced_.any_ready() ? Instant::min() : progress_.Next(); }

void Hub::CatchUpInTurn() {
  Work work;
  while (unsynced_.any_ready() && work.revisions < options_.catch_up_revisions_max &&
         work.bytes < options_.catch_up_bytes_max) {
    Watcher* const watcher = unsynced_.NextReady();
    unsynced_.Remove(watcher);
    ++work.revisions;  // a turn that finds nothing to read is not free either
    if (watcher->stream->Writable()) {
      CatchUp(watcher, work);
    } else {
      SIM_REACHED("watch.too_slow_to_catch_up");
      unsynced_.AddSlow(watcher);
    }
  }
  if (unsynced_.any_ready()) SIM_REACHED("watch.catch_up_goes_on");
  if (!unsynced_.any_ready()) last_read_ = {};
}

// One response at most. The watcher ends up synced, at the end of the queue, or cancelled.
void Hub::CatchUp(Watcher* watcher, Work& work) {
  if (watcher->next_revision >= history_->compact_revision()) {
    Delivery delivery = ReadOn(watcher, work);
    if (delivery.event_count > 0) {
      events_sent_ += static_cast<int64_t>(delivery.event_count);
      if (SEEDED_BUG(kEventDuplicatedOnSync) && watcher->next_revision > history_->revision()) {
        watcher->stream->SendEvents(watcher, history_->revision(), delivery.encoded(),
                                    delivery.event_count);
      }
      watcher->stream->SendEvents(watcher, history_->revision(), delivery.encoded(),
                                  delivery.event_count);
    }
  }
  if (watcher->next_revision <= history_->revision()) SIM_REACHED("watch.caught_up_in_slices");
  Start(watcher);
}

// Collects from the watcher's next revision on, whole revisions only and as many as one response
// may hold, and moves the watcher behind them.
Hub::Delivery Hub::ReadOn(Watcher* watcher, Work& work) {
  return recent_.Holds(watcher->next_revision) ? ReadOnFromRecent(watcher, work)
                                               : ReadOnFromHistory(watcher, work);
}

Hub::Delivery Hub::ReadOnFromRecent(Watcher* watcher, Work& work) const {
  SIM_REACHED("watch.caught_up_from_recent");
  Delivery delivery{.watcher = watcher};
  int64_t& next = watcher->next_revision;
  for (size_t i = 0; i < options_.catch_up_revisions_max && recent_.Holds(next) &&
                     delivery.own.size() < options_.catch_up_bytes_max;
       ++i, ++next) {
    Collect(recent_.At(next), delivery);
    ++work.revisions;
  }
  work.bytes += delivery.own.size();
  return delivery;
}

Hub::Delivery Hub::ReadOnFromHistory(Watcher* watcher, Work& work) {
  SIM_REACHED("watch.caught_up_from_history");
  Delivery delivery{.watcher = watcher};
  int64_t& next = watcher->next_revision;
  if (last_read_.empty() || next < last_read_.front()->revision ||
      next > last_read_.back()->revision) {
    last_read_ =
        history_->ReadEvents(next, options_.catch_up_revisions_max, options_.catch_up_bytes_max);
    for (const SharedRevisionEvents& revision : last_read_) work.bytes += MemoryBytes(*revision);
  } else {
    SIM_REACHED("watch.history_read_shared");
  }
  if (last_read_.empty()) next = history_->revision() + 1;
  for (const SharedRevisionEvents& revision : last_read_) {
    if (revision->revision < next) continue;
    Collect(*revision, delivery);
    next = revision->revision + 1;
    ++work.revisions;
  }
  return delivery;
}

void Hub::Collect(const RevisionEvents& revision, Delivery& delivery) const {
  const Watcher& watcher = *delivery.watcher;
  for (size_t i = 0; i < revision.events.size(); ++i) {
    const Event& event = revision.events[i];
    const bool wants = watcher.Wants(event) || SEEDED_BUG(kFilterIgnoredOnCatchUp);
    if (!watcher.range.Contains(event.key) || !wants) continue;
    std::optional<Record> previous;
    if (watcher.prev_kv && !SEEDED_BUG(kPrevKvMissingOnCatchUp)) {
      previous = PreviousRecord(revision, i, *history_);
    }
    AppendEncodedEvent(event, previous ? &*previous : nullptr, delivery.own);
    ++delivery.event_count;
  }
}

// ---- Progress. ----

void Hub::NotifyProgress(Instant now) {
  for (int i = 0; i < kProgressStreamsPerRun; ++i) {
    const std::optional<uint64_t> stream = progress_.TakeDue(now);
    if (!stream) return;
    if (!streams_.at(*stream)->NotifyProgress()) progress_.Remove(*stream);
  }
}

WatchStats Hub::Stats() const {
  WatchStats stats;
  stats.streams = static_cast<int64_t>(streams_.size());
  for (const auto& [number, stream] : streams_) {
    stats.watchers += static_cast<int64_t>(stream->watcher_count());
  }
  stats.unsynced = static_cast<int64_t>(unsynced_.size());
  stats.slow = static_cast<int64_t>(unsynced_.slow());
  stats.events_sent = events_sent_;
  return stats;
}

}  // namespace conclave::kv
