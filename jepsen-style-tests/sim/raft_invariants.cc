#include "jepsen-style-tests/sim/raft_invariants.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "fmt/format.h"
#include "raft/base/check.h"

namespace conclave::sim {

using raft::Disk;
using raft::HardState;
using raft::LogIndex;
using raft::NodeId;
using raft::Term;

namespace {

// How many vote in one of them only.
size_t Differ(const raft::Configuration& a, const raft::Configuration& b) {
  std::vector<NodeId> in_one;
  std::set_symmetric_difference(a.voters.begin(), a.voters.end(), b.voters.begin(), b.voters.end(),
                                std::back_inserter(in_one));
  return in_one.size();
}

}  // namespace

RaftInvariants::Member& RaftInvariants::At(NodeId member) {
  const auto found = members_.find(member);
  CHECK(found != members_.end());
  return found->second;
}

void RaftInvariants::OnStart(NodeId member, const raft::WalContents& recovered,
                             const StoreView& store) {
  const auto [found, is_new] = members_.try_emplace(member, recovered);
  Member& of = found->second;
  if (!configurations_) configurations_.emplace(LogIndex(0), recovered.configuration);
  const std::string wrong =
      is_new ? "" : of.mirror.Restart(recovered, of.damage ? &*of.damage : nullptr);
  of.damage.reset();
  findings_.Expect(wrong.empty(), "durability: {} {}", member.value(), wrong);
  if (is_new || !wrong.empty()) checker_.OnWritten(member, of.mirror.log(), recovered.entries);
  checker_.OnHardState(member, recovered.hard_state);
  // One that came in place of a lost one just before the last run ended was not told of.
  if (!is_new && !of.lost && !store.lost && !store.remade)
    CheckInstalled(member, of, store.installed);
  of.applied = store.applied;
  of.installed = of.without_log = store.installed;
  of.installing = 0;
  of.lost = store.lost;
  of.revision = store.revision;
  const Disk& log = of.mirror.log();
  if (!store.lost) {
    CheckStore(member, of);
    CheckConfiguration(member, store.applied, store.configuration);
  }
  // Damage that took the end of the log, or what had replaced it, left what the store has of it.
  const LogIndex applied(of.applied);
  const bool in_log = applied <= log.last_index() && IsCommitted(applied, log.TermAt(applied));
  if (applied > log.start.index && !in_log) of.without_log = of.applied;
  // As a core begins (raft/core/state.cc).
  const LogIndex commit = std::max(log.start.index, LogIndex(of.applied));
  of.view = {.term = recovered.hard_state.term,
             .leading = false,
             .log_starts_anew = false,
             .last_index = log.last_index(),
             .durable = log.last_index(),
             .commit = commit,
             .applied = commit};
  of.configuration_index = of.mirror.configurations().current_index();
}

void RaftInvariants::CheckStore(NodeId member, const Member& of) {
  const Disk& log = of.mirror.log();
  const LogIndex applied(of.applied);
  findings_.Expect(applied <= committed(),
                   "durability: the store of {} holds entry {}, which was never committed",
                   member.value(), of.applied);
  // A snapshot that has just come may be followed by the log from before it, and damage may have
  // taken the end of the log.
  const bool reaches = applied <= log.last_index() || of.applied == of.installed ||
                       applied <= of.mirror.lost_through();
  findings_.Expect(applied >= log.start.index && reaches,
                   "durability: the store of {} ends at {}, its log has {} to {}", member.value(),
                   of.applied, log.start.index.Next().value(), log.last_index().value());
  CheckRevision(member, of.applied, of.revision);
}

// What a state says of how it came to be: a snapshot took its place, and which, is known here.
void RaftInvariants::CheckInstalled(NodeId member, const Member& of, uint64_t told) {
  const bool right = told == of.installed || (of.installing != 0 && told == of.installing);
  findings_.Expect(right,
                   "durability: the store of {} says that it came as a snapshot of entry {}, its "
                   "last was of {}{}",
                   member.value(), told, of.installed,
                   of.installing == 0 ? "" : fmt::format(" or {}", of.installing));
}

// The members that a state is kept with are those of the last change up to there. Before the first
// one it need not tell any, as a snapshot does.
void RaftInvariants::CheckConfiguration(NodeId member, uint64_t applied,
                                        const std::string& encoded) {
  if (LogIndex(applied) > committed()) return;  // told elsewhere
  const bool unchanged = !first_change_ || LogIndex(applied) < *first_change_;
  const bool right = encoded == raft::EncodeConfiguration(Committed().At(LogIndex(applied)));
  findings_.Expect(right || (unchanged && encoded.empty()),
                   "durability: the store of {} stands at entry {} with {} members", member.value(),
                   applied, encoded.empty() ? "no" : "other");
}

void RaftInvariants::OnCrash(NodeId member) {
  // It may not have come so far as to start.
  const auto found = members_.find(member);
  if (found != members_.end()) found->second.view = {};
}

void RaftInvariants::OnDamaged(NodeId member, const DamagedLog& damage) {
  const auto found = members_.find(member);
  if (found != members_.end()) found->second.damage = damage;
}

void RaftInvariants::OnCrashImage(NodeId member, const raft::WalContents& recovered) {
  const std::string wrong = At(member).mirror.WhatIfFound(recovered);
  findings_.Expect(wrong.empty(), "durability: if the power went now, {} {}", member.value(),
                   wrong);
}

void RaftInvariants::OnWiped(NodeId member) { members_.erase(member); }

void RaftInvariants::OnAppend(NodeId member, const raft::AppendTask& task) {
  Member& of = At(member);
  if (task.hard_state) CheckHardState(member, *task.hard_state, of.mirror.log().hard_state);
  if (task.reset) CheckReset(member, of, *task.reset);
  of.mirror.Append(task);
  checker_.OnWritten(member, of.mirror.log(), task.entries);
}

// The state machine holds, durably, what the new log does not (docs/snapshots.md).
void RaftInvariants::CheckReset(NodeId member, const Member& of, const raft::LogStart& to) {
  const Disk& log = of.mirror.log();
  findings_.Expect(log.TermAt(to.index) != to.term || log.last_index() <= to.index,
                   "durability: {} drops its log up to {}, which goes on from the snapshot of {}",
                   member.value(), log.last_index().value(), to.index.value());
  findings_.Expect(to.index == LogIndex(of.applied),
                   "durability: {} starts its log anew after {}, its store is at {}",
                   member.value(), to.index.value(), of.applied);
  const bool is_committed = IsCommitted(to.index, to.term);
  findings_.Expect(is_committed,
                   "state machine safety: {} starts its log anew after entry {} of term {}, which "
                   "is not committed",
                   member.value(), to.index.value(), to.term.value());
  findings_.Expect(!is_committed || Committed().At(to.index) == to.configuration,
                   "state machine safety: {} starts its log anew after entry {} with other members",
                   member.value(), to.index.value());
}

bool RaftInvariants::IsCommitted(LogIndex index, Term term) const {
  return index > LogIndex(0) && index <= committed() && checker_.Committed(index).term == term;
}

void RaftInvariants::CheckHardState(NodeId member, const HardState& now, const HardState& before) {
  findings_.Expect(now.term >= before.term, "monotone: {} writes term {} after term {}",
                   member.value(), now.term.value(), before.term.value());
  const bool bound = now.term == before.term && before.vote != raft::kNoNode;
  findings_.Expect(!bound || now.vote == before.vote,
                   "one vote per term: {} writes a vote for {} after one for {} in term {}",
                   member.value(), now.vote.value(), before.vote.value(), now.term.value());
}

void RaftInvariants::OnDurable(NodeId member, raft::WriteId write) {
  Member& of = At(member);
  findings_.Expect(of.mirror.Done(write), "durability: {} is told of write {}, not under way",
                   member.value(), write.value());
  checker_.OnHardState(member, of.mirror.disk().hard_state);
}

void RaftInvariants::OnRelease(NodeId member, const raft::LogStart& to) {
  Member& of = At(member);
  const Disk& log = of.mirror.log();
  const bool may = to.index >= log.start.index && to.index <= LogIndex(of.applied) &&
                   to.index <= log.last_index();
  if (!findings_.Expect(may, "durability: {} lets go of its log up to {}, applied is {}",
                        member.value(), to.index.value(), of.applied)) {
    return;
  }
  CheckReleased(member, of, to);
  of.mirror.Release(to);
}

void RaftInvariants::CheckReleased(NodeId member, const Member& of, const raft::LogStart& to) {
  const raft::Configuration& configuration = of.mirror.ConfigurationAt(to.index);
  const bool right =
      of.mirror.log().TermAt(to.index) == to.term && configuration == to.configuration;
  findings_.Expect(right, "durability: {} begins its log after {} with another term or members",
                   member.value(), to.index.value());
}

void RaftInvariants::OnSent(const raft::Message& message) {
  checker_.OnSent(message, At(message.from).mirror.disk());
  if (const auto* response = std::get_if<raft::AppendResponse>(&message.body)) {
    if (response->accepted) CheckAccepted(message, *response);
  }
  if (std::holds_alternative<raft::TimeoutNow>(message.body)) CheckHandOver(message);
}

// Thesis 3.10: the target holds all that the leader holds, or the election may be lost. It may have
// lost that since it said so; then it does not campaign. Nor does it for a leader that was deposed
// and does not know, whose entries it may have replaced by now.
void RaftInvariants::CheckHandOver(const raft::Message& message) {
  const raft::Disk& log = At(message.from).mirror.log();
  const auto target = members_.find(message.to);
  if (target != members_.end() && target->second.view.term > message.term) return;
  const bool holds =
      target != members_.end() &&
      target->second.mirror.promised().Covers(log.last_index(), log.TermAt(log.last_index()));
  findings_.Expect(holds, "transfer: {} hands leadership to {}, which does not hold entry {}",
                   message.from.value(), message.to.value(), log.last_index().value());
}

// What is acknowledged to a leader is what that leader has.
void RaftInvariants::CheckAccepted(const raft::Message& message,
                                   const raft::AppendResponse& response) {
  const auto found = members_.find(message.to);
  if (found == members_.end()) return;
  const Member& leader = found->second;
  const Disk& disk = At(message.from).mirror.disk();
  const bool current = leader.view.leading && leader.view.term == message.term &&
                       disk.hard_state.term == message.term;
  const Disk& log = leader.mirror.log();
  if (!current || response.index < log.start.index) return;
  findings_.Expect(disk.Covers(response.index, log.TermAt(response.index)),
                   "log matching: {} acknowledges {} to {} and has another entry there",
                   message.from.value(), response.index.value(), message.to.value());
}

void RaftInvariants::OnApply(NodeId member, uint64_t index, std::string_view command,
                             int64_t revision) {
  Member& of = At(member);
  findings_.Expect(index == of.applied + 1, "state machine safety: {} applies {} after {}",
                   member.value(), index, of.applied);
  findings_.Expect(revision >= of.revision, "monotone: {} goes from revision {} to {}",
                   member.value(), of.revision, revision);
  // A core hands entries to apply before anybody can ask it what it believes to be committed.
  if (LogIndex(index) > committed()) OnCommit(member, LogIndex(index), of.view.last_index);
  checker_.OnApply(member, LogIndex(index), command, of.mirror.disk());
  CheckRevision(member, index, revision);
  of.applied = index;
  of.revision = revision;
}

void RaftInvariants::OnInstall(NodeId member, const kv::LogPosition& position, int64_t revision) {
  Member& of = At(member);
  findings_.Expect(position.index >= of.applied,  // equal: in place of one that was wrong
                   "monotone: {} goes from entry {} to a snapshot of {}", member.value(),
                   of.applied, position.index);
  findings_.Expect(IsCommitted(LogIndex(position.index), Term(position.term)),
                   "state machine safety: {} installs a snapshot of entry {} of term {}, which is "
                   "not committed",
                   member.value(), position.index, position.term);
  CheckRevision(member, position.index, revision);
  CheckConfiguration(member, position.index, position.configuration);
  of.applied = of.installed = of.without_log = position.index;
  of.installing = 0;
  of.lost = false;
  of.revision = revision;
}

void RaftInvariants::CheckRevision(NodeId member, uint64_t index, int64_t revision) {
  if (revisions_.size() <= index) revisions_.resize(index + 1);
  int64_t& known = revisions_[index];
  if (known == 0) known = revision;
  findings_.Expect(known == revision,
                   "state machine safety: {} has revision {} after entry {}, {} was seen there",
                   member.value(), revision, index, known);
}

void RaftInvariants::AfterEvent(NodeId member, const raft::Core& core) {
  const std::optional<std::string> broken = core.CheckInvariants();
  findings_.Expect(!broken.has_value(), "core: {}: {}", member.value(), broken.value_or(""));
  OnView(member, {.term = core.term(),
                  .leading = core.leading(),
                  .log_starts_anew = core.log_starts_anew(),
                  .last_index = core.last_index(),
                  .durable = core.durable(),
                  .commit = core.commit(),
                  .applied = core.applied()});
}

void RaftInvariants::OnView(NodeId member, const CoreView& view) {
  Member& of = At(member);
  if (view == of.view) return;
  const CoreView before = std::exchange(of.view, view);
  CheckMonotone(member, before, view);
  if (view.log_starts_anew) {  // what passed the seams is the old one
    const bool comes = !before.log_starts_anew && view.last_index > LogIndex(of.applied);
    if (comes) of.installing = view.last_index.value();
    return;
  }
  CheckLog(member, of);
  const MirroredMember& mirror = of.mirror;
  if (view.leading && (!before.leading || before.term != view.term)) {
    checker_.OnLeader(member, view.term, mirror.configuration(), mirror.log(), mirror.disk());
  }
  const LogIndex newest = mirror.configurations().current_index();
  const bool changed = std::exchange(of.configuration_index, newest) < newest;
  if (changed && view.leading && before.leading) CheckChange(member, of);
  if (view.commit == before.commit) return;
  // Thesis 3.6.2.
  const Term term = mirror.log().TermAt(view.commit);
  findings_.Expect(!view.leading || term == view.term,
                   "commit without quorum: {} commits {} of term {} by counting in term {}",
                   member.value(), view.commit.value(), term.value(), view.term.value());
  OnCommit(member, view.commit, before.last_index);
}

// A leader has changed the configuration (thesis 4.1, 4.3): by one voter or through a joint one,
// after it has committed in its own term, and after the change before.
void RaftInvariants::CheckChange(NodeId member, const Member& of) {
  const Disk& log = of.mirror.log();
  const LogIndex index = of.configuration_index;
  const raft::Configuration& now = of.mirror.configuration();
  const raft::Configuration& before = of.mirror.ConfigurationAt(index.Prev());
  LogIndex last = index.Prev();  // of the change before; or the log's start
  for (; last > log.start.index; last = last.Prev()) {
    if (log.Find(last)->kind == raft::EntryKind::kConfiguration) break;
  }
  findings_.Expect(last <= of.view.commit,
                   "membership: {} changes the members with entry {}, before entry {} is committed",
                   member.value(), index.value(), last.value());
  findings_.Expect(log.TermAt(of.view.commit) == of.view.term,
                   "membership: {} changes the members before it has committed in term {}",
                   member.value(), of.view.term.value());
  const bool by_one_step =
      before.joint() ? now.voters == before.voters
                     : (now.joint() ? now.outgoing == before.voters : Differ(now, before) <= 1);
  findings_.Expect(by_one_step && !(before.joint() && now.joint()),
                   "membership: {} changes several voters at once with entry {}", member.value(),
                   index.value());
}

void RaftInvariants::OnCommit(NodeId member, LogIndex commit, LogIndex last_before) {
  const MirroredMember& mirror = At(member).mirror;
  const Disk& log = mirror.log();
  const auto holds = [this](NodeId id, LogIndex index, Term term) {
    const auto found = members_.find(id);
    return found != members_.end() && found->second.mirror.promised().TermAt(index) == term;
  };
  // Of the same event may be a change of who counts, after the commit.
  const raft::Configuration& before =
      mirror.ConfigurationAt(std::max(last_before, log.start.index));
  const bool by_before =
      raft::IsQuorum(before, [&](NodeId id) { return holds(id, commit, log.TermAt(commit)); });
  checker_.OnCommit(member, commit, by_before ? before : mirror.configuration(), log, holds);
}

const raft::Configurations& RaftInvariants::Committed() {
  while (looked_at_ < committed()) {
    const raft::Entry& entry = checker_.Committed(++looked_at_);
    configurations_->OnAppend(entry);
    if (entry.kind == raft::EntryKind::kConfiguration && !first_change_) {
      first_change_ = entry.index;
    }
  }
  return *configurations_;
}

std::vector<raft::Configuration> RaftInvariants::ConfigurationsAhead() {
  if (!configurations_.has_value()) return {};
  const LogIndex newest = Committed().current_index();
  std::vector<raft::Configuration> ahead{Committed().current()};
  const auto add = [&ahead](const raft::Configuration& configuration) {
    const bool known = std::find(ahead.begin(), ahead.end(), configuration) != ahead.end();
    if (!known) ahead.push_back(configuration);
    return false;
  };
  for (const auto& [id, of] : members_) {
    const raft::Configurations& known = of.mirror.configurations();
    if (known.current_index() <= newest) continue;
    known.AnySince(std::max(newest, of.mirror.log().start.index), add);
  }
  return ahead;
}

void RaftInvariants::CheckMonotone(NodeId member, const CoreView& before, const CoreView& now) {
  findings_.Expect(now.term >= before.term, "monotone: {} goes from term {} to {}", member.value(),
                   before.term.value(), now.term.value());
  findings_.Expect(now.commit >= before.commit, "monotone: {} goes from commit {} to {}",
                   member.value(), before.commit.value(), now.commit.value());
  findings_.Expect(now.applied >= before.applied, "monotone: {} goes from applied {} to {}",
                   member.value(), before.applied.value(), now.applied.value());
}

// The core's log is what it handed over, and it takes nothing for durable that is not.
void RaftInvariants::CheckLog(NodeId member, const Member& of) {
  const Disk& log = of.mirror.log();
  findings_.Expect(of.view.last_index == log.last_index(),
                   "durability: the log of {} ends at {}, what it wrote at {}", member.value(),
                   of.view.last_index.value(), log.last_index().value());
  const LogIndex durable = of.view.durable;
  findings_.Expect(
      durable <= LogIndex(of.without_log) || of.mirror.disk().Covers(durable, log.TermAt(durable)),
      "durability: {} counts on entry {} of term {}, which is not on its disk", member.value(),
      durable.value(), log.TermAt(durable).value());
}

}  // namespace conclave::sim
