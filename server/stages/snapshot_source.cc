#include "server/stages/snapshot_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "kvstore/engine/snapshot.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/base/text.h"

namespace conclave::server {

namespace {

constexpr Duration kBetweenTicks = Seconds(1);
constexpr uint64_t kNanoseconds = 1'000'000'000;  // of a second
constexpr size_t kMarksMax = 256;                 // in held_back_bytes_max, evenly

absl::Status SessionIsOver() {
  return absl::NotFoundError("this member does not know the snapshot session");
}

// What a peer is known to hold of what is committed, which no leader can take back; nothing if this
// member does not lead.
raft::LogIndex MatchOf(const raft::CoreStatus& status, raft::NodeId member) {
  for (const raft::PeerStatus& peer : status.peers) {
    if (peer.id == member) return std::min(peer.match, status.commit);
  }
  return {};
}

}  // namespace

// Only the background lane touches the reader. Whoever lets go last must not be the raft lane once
// the engine was replaced: closing one may block.
struct SnapshotSource::View {
  explicit View(std::shared_ptr<kv::Engine> from)
      : engine(std::move(from)), reader(engine->NewView()) {}

  const std::shared_ptr<kv::Engine> engine;  // outlives the view
  kv::SnapshotReader reader;
};

SnapshotSource::SnapshotSource(const SnapshotSourceOptions& options, Executor* lane,
                               Executor* background, const std::shared_ptr<kv::Engine>* engine,
                               const kv::Store* store, const raft::Core* core, Observer observer)
    : options_(options),
      lane_(lane),
      background_(background),
      engine_(engine),
      store_(store),
      core_(core),
      observer_(std::move(observer)) {}

SnapshotSource::~SnapshotSource() {
  *alive_ = false;
  if (timer_ != 0) lane_->CancelTimer(timer_);
}

// ---- Questions. ----

void SnapshotSource::Answer(std::string_view request, PeerCalls::Answer answer) {
  const absl::StatusOr<SnapshotChunkRequest> asked = DecodeSnapshotChunkRequest(request);
  if (!asked.ok()) return answer(asked.status());
  const absl::StatusOr<Session*> found = FindOrBegin(*asked);
  if (!found.ok()) return answer(found.status());
  Session& session = **found;
  session.used = lane_->Now();
  if (session.question) {
    // Its member has given it up. What is being read for it may do for this one.
    SIM_REACHED("snapshot.source.asked_again");
    session.question->answer(absl::UnavailableError("asked again"));
  }
  session.question = Question{asked->after_key, std::move(answer)};
  if (!session.reading) ReadSoon(asked->member, session);
}

absl::StatusOr<SnapshotSource::Session*> SnapshotSource::FindOrBegin(
    const SnapshotChunkRequest& request) {
  const auto before = sessions_.find(request.member);
  if (before != sessions_.end() && before->second.number == request.session) {
    if (before->second.view == nullptr) return SessionIsOver();
    return &before->second;
  }
  if (!request.after_key.empty()) {
    SIM_REACHED("snapshot.source.session_is_over");
    return SessionIsOver();
  }
  absl::StatusOr<raft::LogStart> start = Position();
  if (!start.ok()) return start.status();
  if (start->index < request.at_least) {
    return absl::UnavailableError("this member has not applied that far");
  }
  if (before != sessions_.end()) End(before, "its member starts anew");
  const auto reads = [](const auto& session) { return session.second.view != nullptr; };
  if (std::cmp_greater_equal(std::count_if(sessions_.begin(), sessions_.end(), reads),
                             options_.sessions_max)) {
    return absl::ResourceExhaustedError("too many members fetch a snapshot here");
  }
  Session& session = sessions_[request.member];
  session.id = ++stats_.begun;
  session.number = request.session;
  session.start = *std::move(start);
  session.held_from = session.start.index;
  session.log_is_there = request.at_least > raft::LogIndex(0) &&
                         MatchOf(core_->Status(), request.member) >= request.at_least;
  session.total_bytes = (*engine_)->SizeBytes();
  session.begun = lane_->Now();
  session.bytes_held_from = applied_bytes_;
  session.view = std::make_shared<View>(*engine_);
  observer_.log(fmt::format("member {} fetches a snapshot as of entry {}, about {} bytes",
                            HexId(request.member), session.start.index.value(),
                            session.total_bytes));
  TellHeld();
  ArmTimer();
  return &session;
}

// The core forgets what it knows of an entry when its log begins later, as after a snapshot was
// installed here, and may then for a moment have another one in its place: the store never errs.
absl::StatusOr<raft::LogStart> SnapshotSource::Position() const {
  const kv::LogPosition position = store_->position();
  const raft::LogIndex index(position.index);
  const raft::Term term(position.term);
  std::optional<raft::LogStart> start = core_->LogStartAt(index);
  if (start && start->term == term) return *std::move(start);
  SIM_REACHED("snapshot.source.position_from_store");
  if (position.configuration.empty()) {
    return absl::UnavailableError("this member does not know the configuration of its state");
  }
  absl::StatusOr<raft::Configuration> configuration =
      raft::DecodeConfiguration(position.configuration);
  if (!configuration.ok()) return configuration.status();
  return raft::LogStart{index, term, *std::move(configuration)};
}

// ---- Reading, in the background. ----

Instant SnapshotSource::ReserveRate() {
  const Instant at = std::max(rate_free_at_, lane_->Now());
  const uint64_t nanoseconds = options_.chunk_bytes * kNanoseconds / options_.bytes_per_second;
  rate_free_at_ = at + Duration(static_cast<int64_t>(nanoseconds));
  return at;
}

void SnapshotSource::ReadSoon(raft::NodeId member, Session& session) {
  session.reading = true;
  const bool hurries = HeldBackBytes(session) > options_.held_back_bytes_max / 2;
  const Instant at = hurries ? lane_->Now() : ReserveRate();
  if (at <= lane_->Now()) return StartRead(member, session.id);
  SIM_REACHED("snapshot.source.rate_limited");
  lane_->RunAt(at, [this, alive = alive_, member, id = session.id] {
    if (*alive) StartRead(member, id);
  });
}

void SnapshotSource::StartRead(raft::NodeId member, uint64_t id) {
  Session* const session = Find(member, id);
  if (session == nullptr || session->view == nullptr) return;
  background_->Post([this, alive = alive_, lane = lane_, view = session->view, member, id,
                     after_key = session->question->after_key,
                     bytes = options_.chunk_bytes]() mutable {
    std::string chunk = view->reader.Next(after_key, bytes);
    view = nullptr;  // here, not with the answer on the raft lane
    lane->Post([this, alive, member, id, after_key, chunk = std::move(chunk)]() mutable {
      if (*alive) OnRead(member, id, after_key, std::move(chunk));
    });
  });
}

void SnapshotSource::OnRead(raft::NodeId member, uint64_t id, const std::string& after_key,
                            std::string chunk) {
  Session* const session = Find(member, id);
  if (session == nullptr) return;
  session->reading = false;
  session->used = lane_->Now();
  if (!session->question) return;
  if (session->question->after_key != after_key) return ReadSoon(member, *session);
  if (SEEDED_BUG(kSnapshotPositionLate)) session->start = Position().value_or(session->start);
  stats_.bytes += chunk.size();
  PeerCalls::Answer answer = std::move(session->question->answer);
  session->question.reset();
  answer(EncodeSnapshotChunkAnswer(
      {.start = session->start, .total_bytes = session->total_bytes, .chunk = std::move(chunk)}));
}

// ---- The life of a session. ----

SnapshotSource::Session* SnapshotSource::Find(raft::NodeId member, uint64_t id) {
  const auto found = sessions_.find(member);
  return found == sessions_.end() || found->second.id != id ? nullptr : &found->second;
}

void SnapshotSource::OnApplied(raft::LogIndex last, size_t bytes) {
  applied_bytes_ += bytes;
  const uint64_t marked = marks_.empty() ? 0 : marks_.back().bytes;
  if (!sessions_.empty() && applied_bytes_ - marked >= options_.held_back_bytes_max / kMarksMax) {
    marks_.push_back({last, applied_bytes_});
  }
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    const bool holds_back_too_much = HeldBackBytes(it->second) > options_.held_back_bytes_max;
    if (holds_back_too_much) SIM_REACHED("snapshot.source.held_back_too_much");
    it = holds_back_too_much ? End(it, "it holds back too much of the log") : std::next(it);
  }
  TellHeld();
}

void SnapshotSource::EndAll(std::string_view why) {
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    SIM_REACHED("snapshot.source.ended_by_install");
    it = End(it, why);
  }
  TellHeld();
}

SnapshotSource::Sessions::iterator SnapshotSource::End(Sessions::iterator session,
                                                       std::string_view why) {
  Session& ended = session->second;
  const bool sent = ended.view == nullptr || ended.log_is_there;
  ++(sent ? stats_.sent : stats_.failed);
  observer_.log(fmt::format("the snapshot for member {} as of entry {} {}: {}",
                            HexId(session->first), ended.start.index.value(),
                            sent ? "is done" : "is given up", why));
  if (ended.question) ended.question->answer(SessionIsOver());
  return sessions_.erase(session);
}

void SnapshotSource::Tick() {
  const raft::CoreStatus status = core_->Status();
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    Session& session = it->second;
    const raft::LogIndex match = MatchOf(status, it->first);
    if (match >= session.start.index && !session.log_is_there) session.view = nullptr;
    if (match > session.held_from) MoveHeld(session, match);
    // Or it would be beyond the log again at once, and fetch for ever.
    const bool caught_up = session.view == nullptr &&
                           (core_->WellWithinTail(match) || SEEDED_BUG(kSnapshotLogLetGoEarly));
    const std::string_view why = caught_up ? "its member has caught up" : ReasonToEnd(session);
    it = why.empty() ? std::next(it) : End(it, why);
  }
  ForgetMarks();
  TellHeld();
}

void SnapshotSource::MoveHeld(Session& session, raft::LogIndex to) {
  session.held_from = to;
  // Of one whose log is there already, progress of the log is no sign that it still fetches.
  if (!session.log_is_there) session.used = lane_->Now();
  const auto after =
      std::upper_bound(marks_.begin(), marks_.end(), to,
                       [](raft::LogIndex index, const Mark& mark) { return index < mark.index; });
  if (after == marks_.begin()) return;
  session.bytes_held_from = std::max(session.bytes_held_from, std::prev(after)->bytes);
}

void SnapshotSource::ForgetMarks() {
  uint64_t needed_from = applied_bytes_;
  for (const auto& [member, session] : sessions_) {
    needed_from = std::min(needed_from, session.bytes_held_from);
  }
  while (!marks_.empty() && marks_.front().bytes <= needed_from) marks_.pop_front();
}

std::string_view SnapshotSource::ReasonToEnd(const Session& session) const {
  const Instant now = lane_->Now();
  if (now - session.used >= options_.idle_max) {
    SIM_REACHED("snapshot.source.idle");
    return "its member asks no more";
  }
  if (now - session.begun >= options_.age_max) return "it has grown too old";
  return {};
}

void SnapshotSource::ArmTimer() {
  if (timer_ != 0) return;
  timer_ = lane_->RunAt(lane_->Now() + kBetweenTicks, [this] {
    timer_ = 0;
    Tick();
    if (!sessions_.empty()) ArmTimer();
  });
}

std::optional<raft::LogIndex> SnapshotSource::held() const {
  std::optional<raft::LogIndex> oldest;
  for (const auto& [member, session] : sessions_) {
    oldest = std::min(oldest.value_or(session.held_from), session.held_from);
  }
  return oldest;
}

void SnapshotSource::TellHeld() {
  const std::optional<raft::LogIndex> oldest =
      SEEDED_BUG(kSnapshotLogNotHeld) ? std::nullopt : held();
  stats_.sessions = sessions_.size();
  if (oldest == told_held_) return;
  told_held_ = oldest;
  observer_.hold_log(oldest);
}

}  // namespace conclave::server
