#include "server/api/member_keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kvstore/errors.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "server/bootstrap/identity.h"
#include "server/config/url.h"

namespace conclave::server {

using etcdserverpb::Member;
using peerpb::MemberChangeRequest;

namespace {

// How long to wait before asking again when there is no leader or it has just changed: doubles.
constexpr Duration kRetryAfterMin = Milliseconds(50);
constexpr Duration kRetryAfterMax = Milliseconds(500);
// How often to look whether an earlier change is applied.
constexpr Duration kLookAgainAfter = Milliseconds(10);
constexpr Duration kLookAroundEvery = Milliseconds(200);

// The share of the leader's log that a learner must hold to be promoted, in percent.
constexpr uint64_t kReadyPercent = 90;

bool IsStarted(const Member& member) { return !member.name().empty(); }

std::string BytesOf(const kv::Response& response) {
  std::string bytes;
  std::visit(
      [&bytes]<typename R>(const R& message) {
        if constexpr (!std::is_same_v<R, std::monostate>) bytes = message.SerializeAsString();
      },
      response);
  return bytes;
}

template <typename R>
absl::StatusOr<kv::Response> ParseAs(const std::string& bytes) {
  R response;
  if (!response.ParseFromString(bytes)) {
    return absl::InternalError("malformed answer from the leader");
  }
  return kv::Response(std::move(response));
}

absl::StatusOr<kv::Response> ParseAnswer(const MemberChangeRequest& change,
                                         const std::string& bytes) {
  switch (change.change_case()) {
    case MemberChangeRequest::kAdd:
      return ParseAs<etcdserverpb::MemberAddResponse>(bytes);
    case MemberChangeRequest::kRemove:
      return ParseAs<etcdserverpb::MemberRemoveResponse>(bytes);
    case MemberChangeRequest::kUpdate:
      return ParseAs<etcdserverpb::MemberUpdateResponse>(bytes);
    case MemberChangeRequest::kPromote:
      return ParseAs<etcdserverpb::MemberPromoteResponse>(bytes);
    case MemberChangeRequest::CHANGE_NOT_SET:
      break;
  }
  return absl::InternalError("an answer to no change");
}

// What the member that adds it may say of its URLs, sorted; ErrMemberBadUrls otherwise.
absl::StatusOr<std::vector<std::string>> CheckedUrls(
    const google::protobuf::RepeatedPtrField<std::string>& texts) {
  if (texts.empty()) return kv::ErrMemberBadUrls();
  std::vector<std::string> urls;
  for (const std::string& text : texts) {
    const absl::StatusOr<Url> url = ParseUrl(text);
    if (!url.ok()) return kv::ErrMemberBadUrls();
    urls.push_back(url->ToString());
  }
  std::sort(urls.begin(), urls.end());
  return urls;
}

}  // namespace

MemberKeeper::MemberKeeper(const MemberKeeperOptions& options, Node* node, PeerCalls* peers)
    : options_(options), node_(node), peers_(peers) {
  peers_->SetHandler(PeerMethod::kMembers, [this](std::string_view, PeerCalls::Answer answer) {
    AnswerGuest(std::move(answer));
  });
  peers_->SetHandler(PeerMethod::kMemberChange,
                     [this](std::string_view request, PeerCalls::Answer answer) {
                       AnswerPeer(request, std::move(answer));
                     });
  LookAround();
}

MemberKeeper::~MemberKeeper() {
  *alive_ = false;
  peers_->SetHandler(PeerMethod::kMembers, nullptr);
  peers_->SetHandler(PeerMethod::kMemberChange, nullptr);
  if (advance_timer_ != 0) node_->lane()->CancelTimer(advance_timer_);
  node_->lane()->CancelTimer(look_timer_);
  for (const auto& [number, guest] : guests_) node_->lane()->CancelTimer(guest.timer);
}

// ---- Asking. ----

void MemberKeeper::Change(const MemberChangeRequest& change, Done done) {
  if (open_ >= options_.waiting_max) return done(kv::ErrTooManyRequests());
  ++open_;
  const Instant deadline = node_->lane()->Now() + Seconds(5) + 2 * node_->election_timeout();
  Ask({.change = change, .deadline = deadline, .done = std::move(done)});
}

void MemberKeeper::Ask(Question question) {
  if (node_->leading()) {
    MemberChangeRequest change = question.change;
    const Instant deadline = question.deadline;
    AnswerAsLeader({.change = std::move(change),
                    .deadline = deadline,
                    .done = [this, alive = alive_, question = std::move(question)](
                                absl::StatusOr<kv::Response> response) mutable {
                      if (*alive) Finish(std::move(question), std::move(response));
                    }});
  } else if (!peers_->ConnectedSince(node_->leader())) {
    Finish(std::move(question), kv::ErrNotLeader());
  } else {
    AskLeader(std::move(question));
  }
}

void MemberKeeper::AskLeader(Question question) {
  SIM_REACHED("members.change_forwarded");
  std::string bytes = question.change.SerializeAsString();
  const Duration timeout = question.deadline - node_->lane()->Now();
  peers_->CallPeer(node_->leader(), PeerMethod::kMemberChange, std::move(bytes), timeout,
                   [this, alive = alive_,
                    question = std::move(question)](absl::StatusOr<std::string> answer) mutable {
                     if (!*alive) return;
                     if (answer.ok()) {
                       const MemberChangeRequest change = question.change;
                       return Finish(std::move(question), ParseAnswer(change, *answer));
                     }
                     Finish(std::move(question), answer.status());
                   });
}

// Only ErrNotLeader means that the change was certainly not made. A connection that broke
// (ErrNoLeader) may have broken after it.
void MemberKeeper::Finish(Question question, absl::StatusOr<kv::Response> response) {
  const bool unknown = response.status() == kv::ErrNoLeader();
  const bool again =
      response.status() == kv::ErrNotLeader() || (unknown && SEEDED_BUG(kMemberChangeAskedAgain));
  question.pause = std::clamp(2 * question.pause, kRetryAfterMin, kRetryAfterMax);
  const Instant when = node_->lane()->Now() + question.pause;
  if (again && when < question.deadline) {
    SIM_REACHED("members.change_asked_again");
    node_->lane()->RunAt(when, [this, alive = alive_, question = std::move(question)]() mutable {
      if (*alive) Ask(std::move(question));
    });
    return;
  }
  --open_;
  if (again) {
    const bool leaderless = node_->leader() == raft::kNoNode;
    return question.done(leaderless ? kv::ErrNoLeader() : kv::ErrTimeout());
  }
  if (unknown) SIM_REACHED("members.change_outcome_unknown");
  question.done(unknown ? kv::ErrTimeoutDueToConnectionLost() : std::move(response));
}

// ---- Answering, as the leader. ----

void MemberKeeper::AnswerPeer(std::string_view bytes, PeerCalls::Answer answer) {
  MemberChangeRequest change;
  if (!change.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      change.change_case() == MemberChangeRequest::CHANGE_NOT_SET) {
    return answer(absl::InvalidArgumentError("malformed question from a peer"));
  }
  const Instant deadline = node_->lane()->Now() + Seconds(5) + 2 * node_->election_timeout();
  AnswerAsLeader(
      {.change = std::move(change),
       .deadline = deadline,
       .done = [answer = std::move(answer)](absl::StatusOr<kv::Response> response) mutable {
         if (!response.ok()) return answer(response.status());
         answer(BytesOf(*response));
       }});
}

// Whether a guest may join rests on what was decided last, and this member may be far behind: one
// that lost its data would get in again under its old id. So a linearizable read comes first.
void MemberKeeper::AnswerGuest(PeerCalls::Answer answer) {
  const bool can_read = node_->leader() != raft::kNoNode && guest_reads_ < options_.guest_reads_max;
  if (!can_read) return answer(MembersForGuest(/*up_to_date=*/false));
  const uint64_t number = ++last_guest_;
  const TimerId timer =
      node_->lane()->RunAt(node_->lane()->Now() + options_.guest_patience,
                           [this, number] { FinishGuest(number, /*up_to_date=*/false); });
  guests_.emplace(number, Guest{std::move(answer), timer});
  ++guest_reads_;
  node_->Read([this, alive = alive_, number](const absl::Status& status) {
    if (!*alive) return;
    --guest_reads_;
    FinishGuest(number, status.ok());
  });
}

// Nothing if it has its answer already.
void MemberKeeper::FinishGuest(uint64_t guest, bool up_to_date) {
  auto waiting = guests_.extract(guest);
  if (waiting.empty()) return;
  node_->lane()->CancelTimer(waiting.mapped().timer);
  waiting.mapped().answer(MembersForGuest(up_to_date));
}

std::string MemberKeeper::MembersForGuest(bool up_to_date) const {
  peerpb::MembersResponse response;
  response.set_cluster_id(node_->cluster_id());
  for (const Member& member : node_->store().Members()) *response.add_members() = member;
  for (const Member& member : options_.initial_members) *response.add_initial_members() = member;
  response.set_up_to_date(up_to_date);
  response.set_has_log(node_->Status().last_index > raft::LogIndex(0));
  return response.SerializeAsString();
}

void MemberKeeper::AnswerAsLeader(Question question) {
  if (waiting_.size() >= options_.waiting_max) return question.done(kv::ErrTooManyRequests());
  waiting_.push_back(std::move(question));
  Advance();
}

// The state machine's list is what a change is judged by, and it must still be so when the change
// enters the log: so one at a time, after everything in the log is applied.
void MemberKeeper::Advance() {
  while (!proposing_ && !waiting_.empty()) {
    const bool leads = node_->leading();
    const bool late = waiting_.front().deadline <= node_->lane()->Now();
    const bool settled = node_->MembersSettled() || SEEDED_BUG(kMemberChangeJudgedEarly);
    if (leads && !late && !settled) {
      SIM_REACHED("members.change_waits_for_earlier");
      return AdvanceLater();
    }
    Question question = std::move(waiting_.front());
    waiting_.pop_front();
    if (!leads) {
      question.done(kv::ErrNotLeader());
    } else if (late) {
      question.done(kv::ErrTimeout());
    } else if (absl::StatusOr<Plan> plan = Judge(question.change); !plan.ok()) {
      question.done(plan.status());
    } else if (question.change.remove().id() == node_->id().value() && !question.stepped_aside) {
      StepAside(std::move(question));
    } else {
      Propose(*std::move(plan), std::move(question.done));
    }
  }
}

// A leader that has applied its own removal can hand over only to who holds all of its log by then,
// and under load nobody may. So it goes while it may still wait for that. If it cannot, it is
// removed as it is.
void MemberKeeper::StepAside(Question question) {
  SIM_REACHED("members.leader_steps_aside");
  proposing_ = true;
  node_->StepAside([this, alive = alive_, question = std::move(question)]() mutable {
    if (!*alive) return;
    proposing_ = false;
    question.stepped_aside = true;
    waiting_.push_front(std::move(question));
    Advance();
  });
}

void MemberKeeper::AdvanceLater() {
  if (advance_timer_ != 0) return;
  advance_timer_ = node_->lane()->RunAt(node_->lane()->Now() + kLookAgainAfter, [this] {
    advance_timer_ = 0;
    Advance();
  });
}

void MemberKeeper::Propose(Plan plan, Done done) {
  proposing_ = true;
  node_->ChangeMembers(
      plan.kind, plan.request, std::move(plan.changes),
      [this, alive = alive_, done = std::move(done)](kv::ApplyResult result) mutable {
        if (!*alive) return;
        proposing_ = false;
        if (result.status.ok()) {
          done(std::move(result.response));
        } else {
          done(result.status);
        }
        Advance();
      });
}

// ---- Judging. ----

absl::StatusOr<MemberKeeper::Plan> MemberKeeper::Judge(const MemberChangeRequest& change) const {
  switch (change.change_case()) {
    case MemberChangeRequest::kAdd:
      return JudgeAdd(change.add());
    case MemberChangeRequest::kRemove:
      return JudgeRemove(change.remove());
    case MemberChangeRequest::kUpdate:
      return JudgeUpdate(change.update());
    case MemberChangeRequest::kPromote:
      return JudgePromote(change.promote());
    case MemberChangeRequest::CHANGE_NOT_SET:
      break;
  }
  return absl::InternalError("a change of nothing");
}

absl::StatusOr<MemberKeeper::Plan> MemberKeeper::JudgeAdd(
    const etcdserverpb::MemberAddRequest& request) const {
  const absl::StatusOr<std::vector<std::string>> urls = CheckedUrls(request.peerurls());
  if (!urls.ok()) return urls.status();
  const bool learner = request.islearner();
  if (options_.strict_reconfig_check) {
    const absl::Status may = learner ? MayAddLearner(Voters()) : MayAddVoter(Voters());
    if (!may.ok()) return may;
  }
  Member member;
  const raft::NodeId id = NewId(*urls);
  member.set_id(id.value());
  member.set_islearner(learner);
  for (const std::string& url : *urls) member.add_peerurls(url);
  Plan plan{.kind = kv::CommandKind::kMemberAdd,
            .request = member.SerializeAsString(),
            .changes = {{.kind = raft::MemberChangeKind::kAddLearner, .node = id}}};
  absl::Status fits = node_->store().CheckMemberChange(plan.kind, plan.request);
  if (!fits.ok()) return fits;
  const auto members = node_->store().Members();
  const auto learners = std::count_if(members.begin(), members.end(),
                                      [](const Member& other) { return other.islearner(); });
  if (learner && static_cast<size_t>(learners) >= options_.learners_max) {
    return kv::ErrTooManyLearners();
  }
  return plan;
}

absl::StatusOr<MemberKeeper::Plan> MemberKeeper::JudgeRemove(
    const etcdserverpb::MemberRemoveRequest& request) const {
  const raft::NodeId id(request.id());
  Plan plan{.kind = kv::CommandKind::kMemberRemove,
            .request = request.SerializeAsString(),
            .changes = {{.kind = raft::MemberChangeKind::kRemove, .node = id}}};
  absl::Status fits = node_->store().CheckMemberChange(plan.kind, plan.request);
  if (!fits.ok()) return fits;
  if (absl::Status may = MayRemove(id); !may.ok()) return may;
  return plan;
}

absl::Status MemberKeeper::MayRemove(raft::NodeId id) const {
  const std::vector<VoterHealth> voters = Voters();
  const auto is_removed = [id](const VoterHealth& voter) { return voter.id == id; };
  if (std::none_of(voters.begin(), voters.end(), is_removed)) return absl::OkStatus();
  // One that has started is about to get its vote, and counts already in what is judged here.
  const bool awaited = std::any_of(voters.begin(), voters.end(), [&](const VoterHealth& voter) {
    return voter.id != id && voter.started && !VotesInRaft(voter.id);
  });
  if (VotesInRaft(id) && awaited) return kv::ErrUnhealthy();
  // Nobody could ever decide anything again.
  const bool last = VotesInRaft(id) && node_->core().configuration().voters.size() == 1;
  if (last) return kv::ErrMemberNotEnoughStarted();
  return options_.strict_reconfig_check ? MayRemoveVoter(voters, id) : absl::OkStatus();
}

absl::StatusOr<MemberKeeper::Plan> MemberKeeper::JudgePromote(
    const etcdserverpb::MemberPromoteRequest& request) const {
  const raft::NodeId id(request.id());
  Plan plan = PlanOfVote(request);
  absl::Status fits = node_->store().CheckMemberChange(plan.kind, plan.request);
  if (!fits.ok()) return fits;
  const raft::CoreStatus status = node_->Status();
  const auto learner = std::find_if(status.peers.begin(), status.peers.end(),
                                    [id](const raft::PeerStatus& peer) { return peer.id == id; });
  const bool ready = learner != status.peers.end() && learner->recently_active &&
                     learner->match.value() * 100 >= status.durable.value() * kReadyPercent;
  if (!ready) return kv::ErrLearnerNotReady();
  const absl::Status may =
      options_.strict_reconfig_check ? MayPromoteLearner(Voters()) : absl::OkStatus();
  if (!may.ok()) return may;
  return plan;
}

MemberKeeper::Plan MemberKeeper::PlanOfVote(const etcdserverpb::MemberPromoteRequest& request) {
  return {
      .kind = kv::CommandKind::kMemberPromote,
      .request = request.SerializeAsString(),
      .changes = {{.kind = raft::MemberChangeKind::kAddVoter, .node = raft::NodeId(request.id())}}};
}

// Concerns where a member is dialled, not who decides: a command like any other.
absl::StatusOr<MemberKeeper::Plan> MemberKeeper::JudgeUpdate(
    const etcdserverpb::MemberUpdateRequest& request) const {
  Plan plan{.kind = kv::CommandKind::kMemberUpdate,
            .request = request.SerializeAsString(),
            .changes = {}};
  absl::Status fits = node_->store().CheckMemberChange(plan.kind, plan.request);
  if (!fits.ok()) return fits;
  return plan;
}

std::vector<VoterHealth> MemberKeeper::Voters() const {
  const Instant now = node_->lane()->Now();
  std::vector<VoterHealth> voters;
  for (const Member& member : node_->store().Members()) {
    if (member.islearner()) continue;
    VoterHealth voter{.id = raft::NodeId(member.id()), .started = IsStarted(member)};
    const bool self = voter.id == node_->id();
    const std::optional<Instant> since = peers_->ConnectedSince(voter.id);
    voter.connected = self || since.has_value();
    voter.steady = self || (since && now - *since >= options_.health_interval);
    voters.push_back(voter);
  }
  return voters;
}

// As etcd does it, but for a second URL list of the same second, which gets another id rather than
// an error.
raft::NodeId MemberKeeper::NewId(const std::vector<std::string>& peer_urls) const {
  const std::vector<Member> members = node_->store().Members();
  for (int64_t seconds = node_->clock().WallMilliseconds() / 1000;; ++seconds) {
    const raft::NodeId id = InitialMemberId(peer_urls, fmt::format("{}", seconds));
    const bool taken = std::any_of(members.begin(), members.end(), [id](const Member& member) {
      return member.id() == id.value();
    });
    if (!taken && !node_->store().IsRemoved(id.value()) && id != raft::kNoNode) return id;
  }
}

// ---- Votes. ----

void MemberKeeper::LookAround() {
  look_timer_ =
      node_->lane()->RunAt(node_->lane()->Now() + kLookAroundEvery, [this] { LookAround(); });
  const bool settled = node_->leading() && node_->MembersSettled() && !giving_vote_;
  if (settled && !proposing_ && committed_at_last_look_ != raft::LogIndex(0)) {
    for (const Member& member : node_->store().Members()) {
      const bool wanted = !member.islearner() || (options_.promote_learners && IsStarted(member));
      if (!wanted || VotesInRaft(raft::NodeId(member.id())) || !HasCaughtUp(member)) continue;
      GiveVote(member);
      break;
    }
  }
  committed_at_last_look_ = node_->leading() ? node_->core().commit() : raft::LogIndex(0);
}

// It holds what was committed when the last look was taken, and answers: the quorum that counts it
// can decide at once.
bool MemberKeeper::HasCaughtUp(const Member& member) const {
  const raft::CoreStatus status = node_->Status();
  return std::any_of(status.peers.begin(), status.peers.end(), [&](const raft::PeerStatus& peer) {
    return peer.id.value() == member.id() && peer.recently_active &&
           peer.match >= committed_at_last_look_;
  });
}

// For a learner it is a promotion. To the state machine any other is a voter already, and the
// command changes nothing there. If it fails, the next look tries again.
void MemberKeeper::GiveVote(const Member& member) {
  etcdserverpb::MemberPromoteRequest promotion;
  promotion.set_id(member.id());
  if (member.islearner()) {
    SIM_REACHED("members.learner_promoted_by_itself");
    MemberChangeRequest change;
    *change.mutable_promote() = promotion;
    giving_vote_ = true;
    return Change(change, [this](const absl::StatusOr<kv::Response>&) { giving_vote_ = false; });
  }
  SIM_REACHED("members.vote_given");
  Propose(PlanOfVote(promotion), [](const absl::StatusOr<kv::Response>&) {});
}

}  // namespace conclave::server
