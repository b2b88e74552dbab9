// Finds out that a member's state is not what the log says, and fences it (docs/integrity.md). The
// leader asks the others, with every heartbeat interval, for their sum over what they have applied
// (Store::chain) at one entry; who differs from a quorum is named by a CORRUPT alarm in the log. A
// member that is told what is right and has something else, or is named, is fenced: it serves
// nothing from its state and does not lead. Owned by Node, on the raft lane.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "kvstore/store.h"
#include "raft/base/executor.h"
#include "raft/core/core.h"
#include "server/peer/peer_calls.h"
#include "server/stages/chain_ring.h"
#include "server/stages/chain_round.h"
#include "server/stages/chain_wire.h"
#include "server/stages/proposer.h"

namespace conclave::server {

struct IntegrityOptions {
  raft::NodeId member;                      // this one
  bool state_lost = false;                  // it starts without a state that could be served
  Duration look_every = Milliseconds(100);  // the heartbeat interval
  Duration idle_every = Seconds(1);        // while nothing is applied and all are known to be equal
  Duration round_max = Milliseconds(300);  // then the members that lag are left out,
  Duration dispute_max = Seconds(1);       // but not while they may settle a dispute
  Duration call_timeout = Milliseconds(500);
  Duration hand_over_every = Seconds(1);  // tries of a leader that may not lead
};

enum class IntegrityNews : uint8_t {
  kDiverged,  // of a member, that its state differs from a quorum's: this one leads and says so
  kDisputed,  // voters differ, and no quorum agrees
  kFenced,    // this member is,
  kSound,     // and is no more
};

class IntegrityStage {
 public:
  // What the stage tells its owner, on the lane.
  struct Observer {
    // fenced() or diverged() has changed.
    absl::AnyInvocable<void()> changed;
    // This member leads and must not: that one can.
    absl::AnyInvocable<void(raft::NodeId to)> hand_over;
    // `member` is kNoNode for kDisputed.
    absl::AnyInvocable<void(IntegrityNews news, raft::NodeId member)> news;
  };

  // Nothing is owned; all must outlive it.
  IntegrityStage(const IntegrityOptions& options, Executor* lane, PeerCalls* peers,
                 kv::Store* store, const raft::Core* core, Proposer* proposer, Observer observer);
  ~IntegrityStage();
  IntegrityStage(const IntegrityStage&) = delete;
  IntegrityStage& operator=(const IntegrityStage&) = delete;

  // An entry was applied; then OnApplied once the drain is committed.
  void OnEntry() { chains_.Add(Newest()); }
  void OnApplied();
  // A snapshot took the place of the store's state.
  void OnInstalled();
  void OnRoleChange(const raft::RoleChange& change);
  // A question of kind kCompareChain.
  void Answer(std::string_view request, PeerCalls::Answer answer);

  // Nothing may be served from the state.
  bool fenced() const { return diverged_ || alarmed_; }
  // The state was seen to be wrong, and is still there: it must be replaced.
  bool diverged() const { return diverged_; }

 private:
  ChainAt Newest() const { return {raft::LogIndex(store_->applied_index()), store_->chain()}; }
  void ArmTimer();
  void Tick();
  bool RoundIsOver() const;
  void EndRound();
  void StartRound();
  void AskAll();
  void Ask(raft::NodeId member);
  void OnAnswer(raft::NodeId member, uint64_t round, const ChainAnswer& answer);
  // What is known of the round under way, as soon as it is.
  void Judge();
  void JudgeLaggard(raft::NodeId member, const ChainAt& newest);
  void LiftAlarms();
  void Name(raft::NodeId member);
  void ProposeAlarm(etcdserverpb::AlarmRequest::AlarmAction action, raft::NodeId member);
  void HandOver();
  // Compares this member's state with what is right.
  void Learn(const ChainAt& right);
  void Change(bool diverged, bool alarmed);
  std::vector<raft::NodeId> Alarmed() const;

  const IntegrityOptions options_;
  Executor* const lane_;
  PeerCalls* const peers_;
  kv::Store* const store_;
  const raft::Core* const core_;
  Proposer* const proposer_;
  Observer observer_;

  ChainRing chains_;
  bool diverged_ = false;
  bool alarmed_ = false;
  std::optional<ChainAt> told_;  // right at an entry that is not applied here yet

  // While leading.
  bool leading_ = false;
  raft::Term term_;
  std::optional<ChainRound> round_;
  uint64_t round_number_ = 0;
  Instant round_begun_{};
  std::vector<raft::NodeId> alarmed_before_;  // the round
  ChainAt right_;  // as of the newest entry that a quorum agreed on; index 0: none yet
  std::optional<ChainAt> all_equal_;  // the last complete round's
  Instant next_idle_{};
  std::set<raft::NodeId> asked_;  // and not answered
  std::set<raft::NodeId> proposing_;
  Instant next_hand_over_{};
  TimerId timer_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace conclave::server
