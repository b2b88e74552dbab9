#include "server/stages/snapshot_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kvstore/engine/snapshot.h"
#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/base/text.h"

namespace conclave::server {

namespace {

constexpr Duration kBetweenTicks = Seconds(1);
// Of one session at a time: its member asks again when it has given a question up.
constexpr size_t kReadsMax = 2;
constexpr uint64_t kNanoseconds = 1'000'000'000;  // of a second

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

// Only the background lane touches the reader. Whoever lets go last must not be the raft lane while
// the engine is being replaced: closing one may block.
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
      observer_(std::move(observer)),
      next_session_(std::max<uint64_t>(options.first_session, 1)) {}

SnapshotSource::~SnapshotSource() {
  *alive_ = false;
  if (timer_ != 0) lane_->CancelTimer(timer_);
}

// ---- Questions. ----

void SnapshotSource::Answer(std::string_view request, PeerCalls::Answer answer) {
  const absl::StatusOr<SnapshotChunkRequest> asked = DecodeSnapshotChunkRequest(request);
  if (!asked.ok()) return answer(asked.status());
  absl::StatusOr<uint64_t> number = asked->session;
  if (asked->session == 0) number = Begin(*asked);
  if (!number.ok()) return answer(number.status());
  const auto found = sessions_.find(*number);
  if (found == sessions_.end() || found->second.view == nullptr) {
    SIM_REACHED("snapshot.source.session_is_over");
    return answer(SessionIsOver());
  }
  Session& session = found->second;
  if (session.reads >= kReadsMax) {
    SIM_REACHED("snapshot.source.asked_too_often");
    return answer(absl::UnavailableError("the last questions are not answered yet"));
  }
  session.used = lane_->Now();
  ++session.reads;
  const Instant at = ReserveRate(options_.chunk_bytes);
  if (at <= lane_->Now()) return StartRead(*number, asked->after_key, std::move(answer));
  SIM_REACHED("snapshot.source.rate_limited");
  lane_->RunAt(at, [this, alive = alive_, number = *number, after_key = asked->after_key,
                    answer = std::move(answer)]() mutable {
    if (*alive) StartRead(number, std::move(after_key), std::move(answer));
  });
}

// When `bytes` more may leave.
Instant SnapshotSource::ReserveRate(size_t bytes) {
  const Instant at = std::max(rate_free_at_, lane_->Now());
  rate_free_at_ =
      at + Duration(static_cast<int64_t>(bytes * kNanoseconds / options_.bytes_per_second));
  return at;
}

absl::StatusOr<uint64_t> SnapshotSource::Begin(const SnapshotChunkRequest& request) {
  absl::StatusOr<raft::LogStart> start = Position();
  if (!start.ok()) return start.status();
  if (start->index < request.at_least) {
    SIM_REACHED("snapshot.source.not_that_far");
    return absl::UnavailableError("this member has not applied that far");
  }
  // A member that starts anew has no use for what it began before.
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    it = it->second.member == request.member ? End(it, "its member starts anew") : std::next(it);
  }
  if (sessions_.size() >= options_.sessions_max) {
    return absl::ResourceExhaustedError("too many members fetch a snapshot here");
  }
  const uint64_t number = next_session_++;
  Session& session = sessions_[number];
  session.member = request.member;
  session.start = *std::move(start);
  session.held_from = session.start.index;
  session.total_bytes = (*engine_)->SizeBytes();
  session.begun = lane_->Now();
  session.applied_bytes_before = applied_bytes_;
  session.view = std::make_shared<View>(*engine_);
  ++stats_.begun;
  observer_.log(fmt::format("member {} fetches a snapshot as of entry {}, about {} bytes",
                            HexId(request.member.value()), session.start.index.value(),
                            session.total_bytes));
  TellHeld();
  ArmTimer();
  return number;
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

void SnapshotSource::StartRead(uint64_t session, std::string after_key, PeerCalls::Answer answer) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end() || found->second.view == nullptr) return answer(SessionIsOver());
  const uint64_t read = ++last_read_;
  reads_.emplace(read, Read{session, std::move(answer)});
  background_->Post([this, alive = alive_, lane = lane_, view = found->second.view, read,
                     after_key = std::move(after_key), bytes = options_.chunk_bytes]() mutable {
    std::string chunk = view->reader.Next(after_key, bytes);
    view = nullptr;  // here, not with the answer on the raft lane
    lane->Post([this, alive, read, chunk = std::move(chunk)]() mutable {
      if (*alive) OnRead(read, std::move(chunk));
    });
  });
}

void SnapshotSource::OnRead(uint64_t read, std::string chunk) {
  auto node = reads_.extract(read);
  CHECK(!node.empty());
  const auto found = sessions_.find(node.mapped().session);
  if (found == sessions_.end()) return node.mapped().answer(SessionIsOver());
  Session& session = found->second;
  if (SEEDED_BUG(kSnapshotPositionLate)) session.start = Position().value_or(session.start);
  --session.reads;
  session.used = lane_->Now();
  stats_.bytes += chunk.size();
  node.mapped().answer(EncodeSnapshotChunkAnswer({.session = node.mapped().session,
                                                  .start = session.start,
                                                  .total_bytes = session.total_bytes,
                                                  .chunk = std::move(chunk)}));
}

// ---- The life of a session. ----

void SnapshotSource::OnApplied(size_t bytes) {
  applied_bytes_ += bytes;
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    const bool held_back_too_much =
        applied_bytes_ - it->second.applied_bytes_before > options_.held_back_bytes_max;
    if (!held_back_too_much) {
      ++it;
      continue;
    }
    SIM_REACHED("snapshot.source.held_back_too_much");
    it = End(it, "it holds back too much of the log");
  }
  TellHeld();
}

void SnapshotSource::EndAll() {
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    SIM_REACHED("snapshot.source.ended_by_install");
    it = End(it, "this member installs a snapshot itself");
  }
  TellHeld();
}

SnapshotSource::Sessions::iterator SnapshotSource::End(Sessions::iterator session,
                                                       std::string_view why) {
  const Session& ended = session->second;
  const bool sent = ended.view == nullptr;
  ++(sent ? stats_.sent : stats_.failed);
  observer_.log(fmt::format("the snapshot for member {} as of entry {} {}: {}",
                            HexId(ended.member.value()), ended.start.index.value(),
                            sent ? "is done" : "is given up", why));
  return sessions_.erase(session);
}

void SnapshotSource::Tick() {
  const raft::CoreStatus status = core_->Status();
  const Instant now = lane_->Now();
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    Session& session = it->second;
    const raft::LogIndex match = MatchOf(status, session.member);
    if (match >= session.start.index) session.view = nullptr;
    if (match > session.held_from) {
      session.held_from = match;
      session.used = now;
    }
    const bool caught_up =
        session.view == nullptr && match + options_.caught_up_entries >= status.commit;
    const std::string_view why = caught_up ? "its member has caught up" : ReasonToEnd(session);
    it = why.empty() ? std::next(it) : End(it, why);
  }
  TellHeld();
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
  for (const auto& [number, session] : sessions_) {
    oldest = std::min(oldest.value_or(session.held_from), session.held_from);
  }
  return oldest;
}

void SnapshotSource::TellHeld() {
  const std::optional<raft::LogIndex> held =
      SEEDED_BUG(kSnapshotLogNotHeld) ? std::nullopt : this->held();
  stats_.sessions = sessions_.size();
  if (held == told_held_) return;
  told_held_ = held;
  observer_.hold_log(held);
}

}  // namespace conclave::server
