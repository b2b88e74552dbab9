// Members whose every move a test makes, and the rules that watch them. Tests of RaftInvariants
// only, on their one thread.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "jepsen-style-tests/sim/raft_invariants.h"

namespace conclave::sim {

inline raft::Entry Command(uint64_t index, uint64_t term, const std::string& payload) {
  return {raft::Term(term), raft::LogIndex(index), raft::EntryKind::kCommand, Bytes::Copy(payload)};
}

inline raft::Entry Noop(uint64_t index, uint64_t term) {
  return {raft::Term(term), raft::LogIndex(index), raft::EntryKind::kNoop, {}};
}

// One member that does as it is told.
class Puppet {
 public:
  Puppet(RaftInvariants* rules, uint64_t id) : rules_(*rules), id_(id) {
    disk_.configuration = {.voters = {raft::NodeId(1), raft::NodeId(2), raft::NodeId(3)},
                           .outgoing = {},
                           .learners = {raft::NodeId(4)}};
    Start();
  }

  // ---- Its process. ----

  void Start(uint64_t applied = 0) { Start({.applied = applied, .installed = 0, .revision = 1}); }
  void Start(const StoreView& store) {
    rules_.OnStart(id_, disk_, store);
    const uint64_t applied = store.applied;
    view_ = {.term = disk_.hard_state.term,
             .leading = false,
             .log_starts_anew = false,
             .last_index = raft::LogIndex(disk_.entries.size()),
             .durable = raft::LogIndex(disk_.entries.size()),
             .commit = raft::LogIndex(applied),
             .applied = raft::LogIndex(applied)};
  }
  void Restart() {
    rules_.OnCrash(id_);
    Start();
  }
  // Its disk is damaged at rest. The log had `before` when what was touched came to it; what was
  // written last is whole.
  void Damage(std::vector<raft::Entry> before) {
    DamagedLog damage{.start_told = true};
    damage.before.push_back(DiskOf(disk_));
    damage.before.back().entries = std::move(before);
    rules_.OnDamaged(id_, damage);
  }
  // What the next start finds.
  raft::WalContents& disk() { return disk_; }

  // ---- Its log. ----

  void Write(std::optional<raft::HardState> hard_state, std::vector<raft::Entry> entries) {
    rules_.OnAppend(id_, {.write = ++last_write_,
                          .hard_state = hard_state,
                          .reset = {},
                          .entries = entries,
                          .must_sync = true,
                          .after_durable = {}});
    if (!entries.empty()) view_.last_index = entries.back().index;
    if (!entries.empty() && view_.durable >= entries.front().index) {
      view_.durable = entries.front().index.Prev();
    }
    last_written_ = std::move(entries);
    last_hard_state_ = hard_state;
  }
  // The last write.
  void Sync() {
    rules_.OnDurable(id_, last_write_);
    if (last_hard_state_) disk_.hard_state = *last_hard_state_;
    if (last_written_.empty()) return;
    disk_.entries.resize(last_written_.front().index.value() - 1);
    disk_.entries.insert(disk_.entries.end(), last_written_.begin(), last_written_.end());
    view_.durable = last_written_.back().index;
  }
  void Write(std::vector<raft::Entry> entries) { Write(std::nullopt, std::move(entries)); }
  void WriteAndSync(std::vector<raft::Entry> entries) {
    Write(std::move(entries));
    Sync();
  }
  void EnterTerm(uint64_t term, uint64_t vote) {
    Write(raft::HardState{raft::Term(term), raft::NodeId(vote)}, {});
    Sync();
    view_.term = raft::Term(term);
    view_.leading = false;
    Look();
  }

  // A snapshot as of an entry of `term` takes the place of its state, and then of its log.
  void Install(uint64_t index, uint64_t term, int64_t revision) {
    rules_.OnInstall(id_, {.index = index, .term = term, .configuration = ""}, revision);
    view_.applied = view_.commit = view_.durable = view_.last_index = raft::LogIndex(index);
    view_.log_starts_anew = true;
    Look();
  }
  void ResetLog(uint64_t index, uint64_t term) {
    raft::AppendTask task;
    task.write = ++last_write_;
    task.reset = {raft::LogIndex(index), raft::Term(term), disk_.configuration};
    rules_.OnAppend(id_, task);
    disk_.snapshot_index = raft::LogIndex(index);
    disk_.snapshot_term = raft::Term(term);
    disk_.entries.clear();
    view_.log_starts_anew = false;
    Look();
    rules_.OnDurable(id_, last_write_);
  }

  // ---- What it says and believes. ----

  void Send(uint64_t to, uint64_t term, raft::MessageBody body) {
    rules_.OnSent({id_, raft::NodeId(to), raft::Term(term), std::move(body)});
  }
  void VoteFor(uint64_t candidate, uint64_t term) {
    EnterTerm(term, candidate);
    Send(candidate, term, raft::VoteResponse{.pre_vote = false, .granted = true});
  }
  void Acknowledge(uint64_t to, uint64_t term, uint64_t index) {
    raft::AppendResponse response;
    response.accepted = true;
    response.index = raft::LogIndex(index);
    Send(to, term, response);
  }
  void Lead() {
    view_.leading = true;
    Look();
  }
  void Commit(uint64_t commit) {
    view_.commit = raft::LogIndex(commit);
    Look();
  }
  CoreView& view() { return view_; }
  void Look() { rules_.OnView(id_, view_); }

  void Apply(uint64_t index, std::string_view command, int64_t revision) {
    rules_.OnApply(id_, index, command, revision);
    view_.applied = raft::LogIndex(index);
  }
  void Release(uint64_t index, uint64_t term) {
    rules_.OnRelease(id_, {raft::LogIndex(index), raft::Term(term), disk_.configuration});
  }

 private:
  RaftInvariants& rules_;
  const raft::NodeId id_;
  CoreView view_;
  raft::WalContents disk_;
  raft::WriteId last_write_;
  std::vector<raft::Entry> last_written_;
  std::optional<raft::HardState> last_hard_state_;
};

// Three voters and a learner.
class RaftInvariantsTest : public testing::Test {
 protected:
  // Member 1 leads term 1 by the vote of 2, and has written the first entry of its term.
  void Elect1() {
    a_.EnterTerm(1, 1);
    b_.VoteFor(1, 1);
    a_.Lead();
    a_.WriteAndSync({Noop(1, 1)});
  }

  // raft::Entry 2 is committed by 1 and 2, and applied by 1; member 3 knows nothing of it.
  void Commit2() {
    Elect1();
    a_.WriteAndSync({Command(2, 1, "x")});
    b_.WriteAndSync({Noop(1, 1), Command(2, 1, "x")});
    b_.Acknowledge(1, 1, 2);
    a_.Apply(1, "", 1);
    a_.Apply(2, "x", 2);
    a_.Commit(2);
  }

  void ExpectProblem(const std::string& rule, const std::string& words) {
    EXPECT_THAT(rules_.problems(),
                testing::Contains(
                    testing::AllOf(testing::StartsWith(rule + ": "), testing::HasSubstr(words))));
  }

  RaftInvariants rules_;
  Puppet a_{&rules_, 1};
  Puppet b_{&rules_, 2};
  Puppet c_{&rules_, 3};
  Puppet learner_{&rules_, 4};
};

}  // namespace conclave::sim
