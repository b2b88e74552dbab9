// Watches of every kind: of one key, a range or everything, from now, the past or the future, with
// filters and previous pairs, several on one stream. Their streams break and are opened elsewhere,
// they are cancelled and resumed, their readers are slow, and compactions overtake them. Each must
// get every event once and in order. In the end each must catch up with the present.
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "jepsen-style-tests/checker/watch_rules.h"
#include "jepsen-style-tests/workload/all_workloads.h"
#include "jepsen-style-tests/workload/requests.h"
#include "jepsen-style-tests/workload/watch_stream.h"

namespace conclave::sim {

namespace {

using checker::WatchAttempt;
using checker::WatcherHistory;
using etcdserverpb::WatchCreateRequest;

constexpr std::string_view kPrefix = "watch/";
constexpr uint64_t kKeys = 6;
constexpr uint64_t kEventsMin = 5;
constexpr size_t kWatchersMax = 3;  // of one client
constexpr Duration kStepMax = Milliseconds(400);
// A stream that does not confirm a watcher for so long is given up.
constexpr Duration kCreationMax = Seconds(10);
// In a healthy cluster every watcher catches up within this time.
constexpr Duration kCatchUpMax = Seconds(30);

std::string Key(uint64_t number) { return fmt::format("{}{}", kPrefix, number); }

// What a user sees as one watch, and what has come of it so far.
struct Watcher {
  WatcherHistory history;
  int64_t created_ns = 0;  // when the present attempt was asked for

  const WatchAttempt& attempt() const { return history.attempts.back(); }
  bool confirmed() const { return !attempt().responses.empty(); }
  bool canceled() const { return confirmed() && attempt().responses.back().response.canceled(); }
  int64_t id() const { return attempt().responses.front().response.watch_id(); }
  int64_t start_revision() const { return attempt().request.start_revision(); }
  // A notification told that everything up to `revision` has come.
  bool CaughtUpWith(int64_t revision) const;
  uint64_t EventCount() const;
};

bool Watcher::CaughtUpWith(int64_t revision) const {
  for (const auto& [received_ns, response] : attempt().responses) {
    const bool progress =
        !response.created() && !response.canceled() && response.events_size() == 0;
    if (progress && response.header().revision() >= revision) return true;
  }
  return false;
}

uint64_t Watcher::EventCount() const {
  uint64_t count = 0;
  for (const WatchAttempt& attempt : history.attempts) {
    for (const auto& received : attempt.responses) count += received.response.events().size();
  }
  return count;
}

// A client with one stream and some watchers on it.
struct WatchClient {
  Session* session = nullptr;
  std::unique_ptr<WatchStream> stream;
  std::deque<Watcher> watchers;  // the stream's callbacks point into it
};

class Watch : public Workload {
 public:
  Watch(World* world, History* history, Random drawn) : Workload("watch", world, history, drawn) {}

  void Start() override;
  bool Enough() const override;
  Co<void> FinalReads(Session& session) override;
  std::vector<checker::Report> Check() override;

 private:
  Co<void> Write(Session& session);
  Co<void> WriteOne(Session& session);

  Co<void> Read(WatchClient& client);
  void Step(WatchClient& client);
  void CancelOne(WatchClient& client);
  bool IsBroken(const WatchClient& client) const;
  // Opens a stream to any member, and resumes all watchers on it.
  void Reopen(WatchClient& client);
  void AddWatcher(WatchClient& client);
  void Resume(WatchClient& client, Watcher& watcher);
  void Attempt(WatchClient& client, Watcher& watcher, WatchCreateRequest request);
  WatchCreateRequest DrawRequest(Random& random);
  int64_t DrawStart(Random& random);

  Co<void> CatchUp(WatchClient& client, int64_t revision);
  static bool MarkSynced(WatchClient& client, int64_t revision);

  std::deque<WatchClient> watch_clients_;
  uint64_t watchers_ = 0;
  std::string never_caught_up_;  // which, in words
};

void Watch::Start() {
  SpawnClients(&Watch::Write);
  for (uint64_t n = random().Between(1, 3); n > 0; --n) {
    WatchClient& client = watch_clients_.emplace_back();
    client.session = &NewSession();
    Spawn(Read(client));
  }
}

bool Watch::Enough() const {
  uint64_t events = 0;
  for (const WatchClient& client : watch_clients_) {
    for (const Watcher& watcher : client.watchers) events += watcher.EventCount();
  }
  return events >= kEventsMin;
}

// ---- What there is to watch. ----

Co<void> Watch::Write(Session& session) {
  while (loading()) {
    co_await WriteOne(session);
    co_await Think(session);
  }
}

Co<void> Watch::WriteOne(Session& session) {
  Random& random = session.random();
  const uint64_t first = random.Below(kKeys);
  etcdserverpb::TxnRequest txn;
  switch (random.Below(6)) {
    case 0:
      *txn.add_success() = OpDelete(Key(first));
      break;
    case 1:
      for (uint64_t i = 0; i < 3; ++i) {
        *txn.add_success() = OpPut(Key((first + i) % kKeys), session.UniqueValue());
      }
      *txn.add_success() = OpDelete(Key((first + 3) % kKeys));
      break;
    case 2:
      *txn.add_success()->mutable_request_delete_range() =
          DeleteOfPrefix(random.OneIn(4) ? std::string(kPrefix) : Key(first));
      break;
    default:
      *txn.add_success() = OpPut(Key(first), session.UniqueValue());
  }
  co_await session.Txn(txn);
}

// ---- Watching. ----

Co<void> Watch::Read(WatchClient& client) {
  Session& session = *client.session;
  while (loading()) {
    if (IsBroken(client)) Reopen(client);
    if (client.watchers.empty()) AddWatcher(client);
    co_await session.SleepUpTo(kStepMax);
    Step(client);
  }
}

// There is no stream, or it leads nowhere.
bool Watch::IsBroken(const WatchClient& client) const {
  if (client.stream == nullptr || client.stream->over()) return true;
  const int64_t long_ago_ns = world().NowNs() - kCreationMax.count();
  for (const Watcher& watcher : client.watchers) {
    if (!watcher.confirmed() && watcher.created_ns < long_ago_ns) return true;
  }
  return false;
}

// Something a user might do with a stream, if it is there.
void Watch::Step(WatchClient& client) {
  if (client.stream->over()) return;
  switch (client.session->random().Below(16)) {
    case 0:
      client.stream.reset();
      break;
    case 1:
      CancelOne(client);
      break;
    case 2:
      if (client.watchers.size() < kWatchersMax) AddWatcher(client);
      break;
    case 3:
    case 4:
      client.stream->RequestProgress();
      break;
    case 5:
      client.stream->SetReading(false);
      break;
    case 6:
    case 7:
    case 8:
      client.stream->SetReading(true);
      break;
    default:
      for (Watcher& watcher : client.watchers) {
        if (watcher.canceled()) Resume(client, watcher);
      }
  }
}

void Watch::CancelOne(WatchClient& client) {
  const Watcher& watcher = client.watchers[client.session->random().Below(client.watchers.size())];
  if (watcher.confirmed() && !watcher.canceled()) client.stream->Cancel(watcher.id());
}

void Watch::Reopen(WatchClient& client) {
  Session& session = *client.session;
  session.GoToAny();
  client.stream = std::make_unique<WatchStream>(&world(), session.client(), session.member(),
                                                session.random().OneIn(4));
  for (Watcher& watcher : client.watchers) Resume(client, watcher);
}

void Watch::Resume(WatchClient& client, Watcher& watcher) {
  WatchCreateRequest request = watcher.attempt().request;
  request.set_start_revision(checker::NextRevision(watcher.attempt()));
  Attempt(client, watcher, request);
}

void Watch::AddWatcher(WatchClient& client) {
  Watcher& watcher = client.watchers.emplace_back();
  watcher.history.id = ++watchers_;
  Attempt(client, watcher, DrawRequest(client.session->random()));
}

void Watch::Attempt(WatchClient& client, Watcher& watcher, WatchCreateRequest request) {
  watcher.created_ns = world().NowNs();
  watcher.history.attempts.push_back({.request = std::move(request), .responses = {}});
  client.stream->Create(watcher.attempt().request,
                        [&watcher](const checker::ReceivedWatchResponse& received) {
                          watcher.history.attempts.back().responses.push_back(received);
                        });
}

WatchCreateRequest Watch::DrawRequest(Random& random) {
  WatchCreateRequest request;
  request.set_key(Key(random.Below(kKeys)));
  switch (random.Below(5)) {
    case 0:
      break;  // one key
    case 1:
      request.set_range_end(PrefixEnd(kPrefix));  // a part of them
      break;
    case 2:
      request.set_range_end(std::string(1, '\0'));  // and all that follows
      break;
    case 3:
      request.set_key(std::string(1, '\0'));  // everything
      request.set_range_end(std::string(1, '\0'));
      break;
    default:
      request.set_key(std::string(kPrefix));
      request.set_range_end(PrefixEnd(kPrefix));
  }
  request.set_start_revision(DrawStart(random));
  request.set_prev_kv(random.OneIn(2));
  request.set_progress_notify(random.OneIn(2));
  request.set_fragment(random.OneIn(4));
  if (random.OneIn(6)) request.add_filters(WatchCreateRequest::NOPUT);
  if (random.OneIn(6)) request.add_filters(WatchCreateRequest::NODELETE);
  return request;
}

int64_t Watch::DrawStart(Random& random) {
  const int64_t present = history().revision_seen();
  switch (random.Below(5)) {
    case 0:
      return 0;  // from now
    case 1:
      return history().compact_revision();  // the oldest that is left, or from now
    case 2:
      return present + static_cast<int64_t>(random.Between(1, 20));
    case 3:
      return static_cast<int64_t>(random.Between(1, static_cast<uint64_t>(present)));
    default:
      return std::max<int64_t>(1, present - static_cast<int64_t>(random.Below(30)));
  }
}

// ---- The end. ----

Co<void> Watch::FinalReads(Session& session) {
  const auto present = co_await session.Range(RangeOfPrefix(kPrefix));
  if (!present.ok()) co_return;
  for (WatchClient& client : watch_clients_) {
    co_await CatchUp(client, present.response.header().revision());
  }
}

// Whether all that began are synced at `revision`; the others have been told to go.
bool Watch::MarkSynced(WatchClient& client, int64_t revision) {
  bool all = true;
  for (Watcher& watcher : client.watchers) {
    const bool begins_later = watcher.start_revision() > revision;
    if (begins_later && watcher.confirmed() && !watcher.canceled()) {
      client.stream->Cancel(watcher.id());
    }
    if (begins_later) continue;
    const bool synced = !watcher.canceled() && watcher.CaughtUpWith(revision);
    if (synced) watcher.history.synced_revision = revision;
    all = all && synced;
  }
  return all;
}

Co<void> Watch::CatchUp(WatchClient& client, int64_t revision) {
  const int64_t give_up_ns = world().NowNs() + kCatchUpMax.count();
  while (world().NowNs() < give_up_ns) {
    if (IsBroken(client)) Reopen(client);
    client.stream->SetReading(true);
    if (MarkSynced(client, revision)) co_return;
    for (Watcher& watcher : client.watchers) {
      if (watcher.canceled() && watcher.start_revision() <= revision) Resume(client, watcher);
    }
    client.stream->RequestProgress();
    co_await client.session->Sleep(Milliseconds(150));
  }
  never_caught_up_ =
      fmt::format("client {} at m{}, with {} watchers, with revision {}", client.session->client(),
                  client.stream->member() + 1, client.watchers.size(), revision);
}

std::vector<checker::Report> Watch::Check() {
  std::vector<WatcherHistory> watchers;
  for (const WatchClient& client : watch_clients_) {
    for (const Watcher& watcher : client.watchers) watchers.push_back(watcher.history);
  }
  std::set<int64_t> compactions;
  for (const checker::KvOperation& operation : history().kv()) {
    const auto* compaction = std::get_if<etcdserverpb::CompactionRequest>(&operation.request);
    if (compaction != nullptr) compactions.insert(compaction->revision());
  }
  const bool caught_up = never_caught_up_.empty();
  const checker::Report liveness{
      .checker = "watch-liveness",
      .verdict = caught_up ? checker::Verdict::kPass : checker::Verdict::kFail,
      .anomaly = caught_up ? "" : "watch-never-caught-up",
      .explanation = never_caught_up_,
      .checked = watchers.size(),
      .unit = "watchers"};
  return {checker::CheckWatches(watchers, world().events(),
                                {.compact_revisions = compactions, .events_min = kEventsMin}),
          liveness};
}

}  // namespace

std::unique_ptr<Workload> MakeWatch(World* world, History* history, Random random) {
  return std::make_unique<Watch>(world, history, random);
}

}  // namespace conclave::sim
