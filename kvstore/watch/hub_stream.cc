#include "kvstore/watch/hub_stream.h"

#include <utility>
#include <vector>

#include "kvstore/errors.h"
#include "kvstore/watch/event_encoding.h"
#include "kvstore/watch/hub.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/base/text.h"

namespace conclave::kv {
namespace {

// The reserved id of refused creations and of progress for the whole stream.
constexpr int64_t kNoWatcherId = -1;

// Texts of the reference (behaviour section 6.2).
constexpr std::string_view kEmptyRangeReason = "mvcc: watcher range is empty";
constexpr std::string_view kDuplicateIdReason =
    "mvcc: duplicate watch ID provided on the WatchStream";

// What a WatchResponse with events can take besides them: header (four numbers), watch_id and
// fragment, each at its longest.
constexpr size_t kResponseOverheadMax = 64;

}  // namespace

HubStream::HubStream(Hub* hub, WatchSink* sink, uint64_t number)
    : hub_(hub), sink_(sink), number_(number) {}

HubStream::~HubStream() {
  for (const auto& [id, watcher] : watchers_) hub_->Stop(watcher.get());
  hub_->Forget(number_);
}

int64_t HubStream::StoreRevision() const { return hub_->history().revision(); }

void HubStream::Create(const WatchCreate& create) {
  KeyRange range = WatchedRange(create.key, create.range_end);
  if (create.start_revision < 0) return Refuse(MessageOf(ErrCompacted()));
  if (range.empty()) return Refuse(kEmptyRangeReason);
  if (create.watch_id != 0 && Taken(create.watch_id)) return Refuse(kDuplicateIdReason);

  auto owned = std::make_unique<Watcher>();
  Watcher* const watcher = owned.get();
  watcher->stream = this;
  watcher->id = create.watch_id != 0 ? create.watch_id : ChooseId();
  watcher->range = std::move(range);
  watcher->start_revision = create.start_revision;
  watcher->progress_notify = create.progress_notify;
  watcher->prev_kv = create.prev_kv;
  watcher->fragment = create.fragment;
  watcher->no_put = create.no_put;
  watcher->no_delete = create.no_delete;
  watcher->next_revision = create.start_revision == 0 ? StoreRevision() + 1 : create.start_revision;
  watchers_[watcher->id] = std::move(owned);

  sink_->Send({.watch_id = watcher->id, .header_revision = StoreRevision(), .created = true});
  if (watcher->progress_notify) hub_->StartProgress(number_);
  hub_->Start(watcher);
}

void HubStream::Refuse(std::string_view reason) {
  sink_->Send({.watch_id = kNoWatcherId,
               .header_revision = StoreRevision(),
               .created = true,
               .canceled = true,
               .cancel_reason = std::string(reason)});
}

bool HubStream::Taken(int64_t watch_id) const {
  return watchers_.contains(watch_id) || compacted_ids_.contains(watch_id);
}

int64_t HubStream::ChooseId() {
  while (Taken(next_id_)) ++next_id_;
  return next_id_++;
}

void HubStream::Cancel(int64_t watch_id) {
  const auto found = watchers_.find(watch_id);
  if (found != watchers_.end()) {
    hub_->Stop(found->second.get());
    watchers_.erase(found);
  } else if (compacted_ids_.erase(watch_id) == 0) {
    return;
  }
  sink_->Send({.watch_id = watch_id, .header_revision = StoreRevision(), .canceled = true});
}

void HubStream::CancelCompacted(Watcher* watcher, int64_t compact_revision) {
  const int64_t id = watcher->id;
  hub_->Stop(watcher);
  watchers_.erase(id);
  compacted_ids_.insert(id);
  // The header's revision is 0 here and nowhere else (reference: wire section 5).
  sink_->Send({.watch_id = id, .canceled = true, .compact_revision = compact_revision});
}

bool HubStream::IsCurrent(const Watcher& watcher) const {
  if (SEEDED_BUG(kProgressAheadOfEvents)) return true;
  return watcher.state == Watcher::State::kSynced && watcher.start_revision <= StoreRevision();
}

void HubStream::RequestProgress() {
  // A stream that cannot take more gets nothing: a client that asks without reading must not fill
  // memory.
  if (watchers_.empty() || !sink_->Writable()) return;
  for (const auto& [id, watcher] : watchers_) {
    if (!IsCurrent(*watcher)) {
      SIM_REACHED("watch.progress_request_ignored");
      return;
    }
  }
  sink_->Send({.watch_id = kNoWatcherId, .header_revision = StoreRevision()});
}

bool HubStream::NotifyProgress() {
  bool wanted = false;
  for (const auto& [id, watcher] : watchers_) {
    if (!watcher->progress_notify) continue;
    wanted = true;
    const bool needless = std::exchange(watcher->sent_since_tick, false);
    if (!IsCurrent(*watcher)) SIM_REACHED("watch.progress_withheld");
    if (needless || !IsCurrent(*watcher) || !sink_->Writable()) continue;
    SIM_REACHED("watch.progress_sent");
    sink_->Send({.watch_id = id, .header_revision = StoreRevision()});
  }
  return wanted;
}

void HubStream::Resume() {
  // Collected first: a watcher that compaction has overtaken is cancelled, and leaves the map.
  std::vector<Watcher*> all;
  for (const auto& [id, watcher] : watchers_) all.push_back(watcher.get());
  for (Watcher* watcher : all) hub_->Resume(watcher);
}

void HubStream::SendEvents(Watcher* watcher, int64_t header_revision,
                           std::string_view encoded_events, size_t event_count) {
  watcher->sent_since_tick = true;
  WatchMessage message{.watch_id = watcher->id, .header_revision = header_revision};
  const size_t response_bytes_max = hub_->options().response_bytes_max;
  if (!watcher->fragment || encoded_events.size() + kResponseOverheadMax < response_bytes_max) {
    message.encoded_events = encoded_events;
    message.event_count = event_count;
    sink_->Send(std::move(message));
    return;
  }

  // Every part stays below the limit, overhead included, unless it is a single event.
  const size_t part_bytes_max =
      response_bytes_max > kResponseOverheadMax ? response_bytes_max - kResponseOverheadMax - 1 : 0;
  const std::vector<EncodedPart> parts = SplitEncodedEvents(encoded_events, part_bytes_max);
  for (const EncodedPart& part : parts) {
    message.fragment = &part != &parts.back();
    message.encoded_events = part.bytes;
    message.event_count = part.event_count;
    sink_->Send(message);
  }
}

}  // namespace conclave::kv
