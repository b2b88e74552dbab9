#include "server/stages/integrity_stage.h"

#include <algorithm>
#include <utility>

#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::server {

using etcdserverpb::AlarmMember;
using etcdserverpb::AlarmRequest;

IntegrityStage::IntegrityStage(const IntegrityOptions& options, Executor* lane, PeerCalls* peers,
                               kv::Store* store, const raft::Core* core, Proposer* proposer,
                               Observer observer)
    : options_(options),
      lane_(lane),
      peers_(peers),
      store_(store),
      core_(core),
      proposer_(proposer),
      observer_(std::move(observer)),
      chains_(Newest()),
      diverged_(options.state_lost),
      alarmed_(store->IsDivergenceAlarmOn(options.member.value())) {}

IntegrityStage::~IntegrityStage() {
  *alive_ = false;
  if (timer_ != 0) lane_->CancelTimer(timer_);
}

// ---- This member's own state. ----

void IntegrityStage::OnApplied() {
  if (told_ && chains_.newest().index >= told_->index) Learn(*std::exchange(told_, std::nullopt));
  Change(diverged_, store_->IsDivergenceAlarmOn(options_.member.value()));
}

void IntegrityStage::OnInstalled() {
  chains_.Reset(Newest());
  told_.reset();
  Change(/*diverged=*/false, store_->IsDivergenceAlarmOn(options_.member.value()));
}

void IntegrityStage::Change(bool diverged, bool alarmed) {
  if (diverged == diverged_ && alarmed == alarmed_) return;
  const bool was_fenced = fenced();
  diverged_ = diverged;
  alarmed_ = alarmed;
  if (fenced() != was_fenced) {
    observer_.news(fenced() ? IntegrityNews::kFenced : IntegrityNews::kSound, options_.member);
  }
  observer_.changed();
}

void IntegrityStage::Learn(const ChainAt& right) {
  if (right.index > chains_.newest().index) {
    // The first one that can be judged is enough, and a later one may for ever be too early.
    if (!told_) told_ = right;
    return;
  }
  const std::optional<uint64_t> own = chains_.At(right.index);
  if (own && *own != right.chain) Change(/*diverged=*/true, alarmed_);
}

void IntegrityStage::Answer(std::string_view request, PeerCalls::Answer answer) {
  const absl::StatusOr<ChainQuestion> question = DecodeChainQuestion(request);
  if (!question.ok()) return answer(question.status());
  answer(EncodeChainAnswer({.newest = chains_.newest(), .there = chains_.At(question->index)}));
  if (question->right.index > raft::LogIndex(0)) Learn(question->right);
}

// ---- The leader's rounds. ----

void IntegrityStage::OnRoleChange(const raft::RoleChange& change) {
  const bool leads = change.role == raft::RoleName::kLeader;
  if (leads && leading_ && change.term == term_) return;
  leading_ = leads;
  term_ = change.term;
  round_.reset();
  right_ = {};
  all_equal_.reset();
  if (leading_ && timer_ == 0) ArmTimer();
}

void IntegrityStage::ArmTimer() {
  timer_ = lane_->RunAt(lane_->Now() + options_.look_every, [this] {
    timer_ = 0;
    if (!leading_) return;
    Tick();
    ArmTimer();
  });
}

void IntegrityStage::Tick() {
  if (SEEDED_BUG(kChainsNotCompared)) return;
  if (fenced()) HandOver();
  if (round_ && !RoundIsOver()) return AskAll();
  if (round_) EndRound();
  StartRound();
}

// Nothing that is applied meanwhile is compared before the next round: it must not wait for long.
bool IntegrityStage::RoundIsOver() const {
  if (round_->complete()) return true;
  const Duration elapsed = lane_->Now() - round_begun_;
  if (round_->Disputed()) return elapsed >= options_.dispute_max;
  const std::vector<raft::NodeId> members = round_->configuration().Members();
  const bool heard = std::all_of(members.begin(), members.end(), [this](raft::NodeId member) {
    return round_->Knows(member) || !peers_->ConnectedSince(member);
  });
  return heard || elapsed >= options_.round_max;
}

void IntegrityStage::EndRound() {
  if (round_->Disputed() && !store_->IsDivergenceAlarmOn(raft::kNoNode.value())) {
    SIM_REACHED("integrity.disputed");
    if (!proposing_.contains(raft::kNoNode)) {
      observer_.news(IntegrityNews::kDisputed, raft::kNoNode);
    }
    ProposeAlarm(AlarmRequest::ACTIVATE, raft::kNoNode);
  }
  const bool equal = round_->complete() && round_->Right() && round_->Wrong().empty();
  all_equal_.reset();
  if (equal) all_equal_ = ChainAt{round_->index(), *round_->Right()};
  next_idle_ = round_begun_ + options_.idle_every;
}

void IntegrityStage::StartRound() {
  const ChainAt newest = chains_.newest();
  const raft::Configuration& configuration = core_->configuration();
  const bool idle =
      all_equal_ && *all_equal_ == newest && round_ && round_->configuration() == configuration;
  if (idle && lane_->Now() < next_idle_) return;
  round_.emplace(newest.index, configuration);
  ++round_number_;
  round_begun_ = lane_->Now();
  alarmed_before_ = Alarmed();
  round_->Add(options_.member, newest.chain);
  AskAll();
  Judge();
}

void IntegrityStage::AskAll() {
  for (const raft::NodeId member : round_->configuration().Members()) {
    if (!round_->Knows(member) && !asked_.contains(member)) Ask(member);
  }
}

void IntegrityStage::Ask(raft::NodeId member) {
  if (!peers_->ConnectedSince(member)) return;
  asked_.insert(member);
  const ChainQuestion question{.index = round_->index(), .right = right_};
  peers_->CallPeer(member, PeerMethod::kCompareChain, EncodeChainQuestion(question),
                   options_.call_timeout,
                   [this, alive = alive_, member,
                    round = round_number_](const absl::StatusOr<std::string>& said) {
                     if (!*alive) return;
                     asked_.erase(member);
                     if (!said.ok() || !leading_) return;
                     const absl::StatusOr<ChainAnswer> answer = DecodeChainAnswer(*said);
                     if (answer.ok()) OnAnswer(member, round, *answer);
                   });
}

void IntegrityStage::OnAnswer(raft::NodeId member, uint64_t round, const ChainAnswer& answer) {
  if (answer.there) {
    if (!round_ || round != round_number_) return;
    round_->Add(member, *answer.there);
    return Judge();
  }
  JudgeLaggard(member, answer.newest);
}

// ---- The verdict. ----

void IntegrityStage::Judge() {
  const std::optional<uint64_t> right = round_->Right();
  if (!right) return;
  right_ = {round_->index(), *right};
  Learn(right_);
  for (const raft::NodeId member : round_->Wrong()) Name(member);
  LiftAlarms();
}

// One that has not come as far as the round is compared where it is: there this member is known to
// be right, for its sums would never have become right again.
void IntegrityStage::JudgeLaggard(raft::NodeId member, const ChainAt& newest) {
  if (diverged_ || newest.index > right_.index) return;
  const std::optional<uint64_t> own = chains_.At(newest.index);
  if (!own || *own == newest.chain) return;
  SIM_REACHED("integrity.laggard_diverged");
  Name(member);
}

std::vector<raft::NodeId> IntegrityStage::Alarmed() const {
  std::vector<raft::NodeId> alarmed;
  for (const AlarmMember& alarm : store_->Alarms()) {
    if (alarm.alarm() != etcdserverpb::CORRUPT) continue;
    if (store_->IsDivergenceAlarmOn(alarm.memberid())) {
      alarmed.push_back(raft::NodeId(alarm.memberid()));
    }
  }
  return alarmed;
}

// Only alarms that were on when the round began: it compares at an entry after whatever they were
// raised for. That somebody is right settles a dispute.
void IntegrityStage::LiftAlarms() {
  const std::vector<raft::NodeId> sound = round_->Sound();
  for (const raft::NodeId member : alarmed_before_) {
    const bool is_sound = std::find(sound.begin(), sound.end(), member) != sound.end();
    const bool over = is_sound || !round_->configuration().Contains(member);
    if (!over || !store_->IsDivergenceAlarmOn(member.value())) continue;
    SIM_REACHED("integrity.alarm_lifted");
    ProposeAlarm(AlarmRequest::DEACTIVATE, member);
  }
}

void IntegrityStage::Name(raft::NodeId member) {
  if (proposing_.contains(member) || store_->IsDivergenceAlarmOn(member.value())) return;
  SIM_REACHED("integrity.named");
  observer_.news(IntegrityNews::kDiverged, member);
  ProposeAlarm(AlarmRequest::ACTIVATE, member);
}

// Whatever becomes of it, the next round sees how it is.
void IntegrityStage::ProposeAlarm(AlarmRequest::AlarmAction action, raft::NodeId member) {
  if (!proposing_.insert(member).second) return;
  AlarmRequest request;
  request.set_action(action);
  request.set_memberid(member.value());
  request.set_alarm(etcdserverpb::CORRUPT);
  proposer_->ProposeAsLeader(kv::CommandKind::kDivergenceAlarm, request.SerializeAsString(), term_,
                             [this, alive = alive_, member](const kv::ApplyResult&) {
                               if (*alive) proposing_.erase(member);
                             });
}

// To the voter that is known to be right and has most of the log.
void IntegrityStage::HandOver() {
  if (!round_ || lane_->Now() < next_hand_over_) return;
  const std::vector<raft::NodeId> sound = round_->Sound();
  raft::NodeId best = raft::kNoNode;
  raft::LogIndex best_match;
  for (const raft::PeerStatus& peer : core_->Status().peers) {
    const bool suits = !peer.learner && peer.recently_active &&
                       std::find(sound.begin(), sound.end(), peer.id) != sound.end();
    if (!suits || (best != raft::kNoNode && peer.match <= best_match)) continue;
    best = peer.id;
    best_match = peer.match;
  }
  if (best == raft::kNoNode) return;
  next_hand_over_ = lane_->Now() + options_.hand_over_every;
  SIM_REACHED("integrity.fenced_leader_hands_over");
  observer_.hand_over(best);
}

}  // namespace conclave::server
