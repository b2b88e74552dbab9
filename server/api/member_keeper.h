// Changes of membership: any member's services ask here, a follower passes the question on, and the
// leader judges it and proposes it, one at a time, so that what it judged by still holds when the
// change is in the log (reference: behaviour section 9.2). A member that is added as a voter gets
// its vote when it has caught up (docs/decisions/0009); learners do so by themselves only if that
// is wanted. Also tells guests who is in the cluster. On the raft lane.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "kvstore/store.h"
#include "server/api/reconfiguration_check.h"
#include "server/peer/peer_calls.h"
#include "server/proto/peer.pb.h"
#include "server/stages/node.h"

namespace conclave::server {

struct MemberKeeperOptions {
  bool strict_reconfig_check = true;
  size_t learners_max = 1;
  bool promote_learners = false;
  // Whom the cluster was started with, as guests are told: id, name, peer URLs.
  std::vector<etcdserverpb::Member> initial_members = {};
  // A voter counts as healthy once it has been connected for this long.
  Duration health_interval = Seconds(5);
  // Changes that wait for an earlier one, and changes that this member's clients have asked for;
  // beyond either: too many requests.
  size_t waiting_max = 64;
  // How long a guest waits for a linearizable read, and how many reads there may be at a time for
  // guests; beyond either it is told what this member happens to know. Less than the time that a
  // guest's connection has (PeerNetworkOptions::handshake_timeout).
  Duration guest_patience = Seconds(1);
  size_t guest_reads_max = 64;
};

class MemberKeeper {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<kv::Response>)>;

  // Registers as the handler of its questions from `peers`. Nothing is owned.
  MemberKeeper(const MemberKeeperOptions& options, Node* node, PeerCalls* peers);
  ~MemberKeeper();
  MemberKeeper(const MemberKeeper&) = delete;
  MemberKeeper& operator=(const MemberKeeper&) = delete;

  // `done` gets the response of the change once it is applied, or an error of the errors table.
  // Waits for a leader, and for earlier changes, up to the request timeout.
  void Change(const peerpb::MemberChangeRequest& change, Done done);

 private:
  struct Question {
    peerpb::MemberChangeRequest change;
    Instant deadline;
    Done done;
    bool stepped_aside = false;  // before the removal of the leader itself
    Duration pause = {};         // before it was asked last
  };
  struct Guest {
    PeerCalls::Answer answer;
    TimerId timer = 0;
  };
  // What a change comes to once it is judged.
  struct Plan {
    kv::CommandKind kind = kv::CommandKind::kMemberAdd;
    std::string request;
    std::vector<raft::MemberChange> changes;
  };

  void Ask(Question question);
  void AskLeader(Question question);
  // Asks again, later and later, if the answer says that nothing was done for lack of a leader.
  void Finish(Question question, absl::StatusOr<kv::Response> response);

  void AnswerAsLeader(Question question);
  // Answers those that wait, as far as that can be done now.
  void Advance();
  void AdvanceLater();
  void Propose(Plan plan, Done done);
  // Hands leadership over, and the question back to its asker, who asks the new leader.
  void StepAside(Question question);
  void AnswerPeer(std::string_view bytes, PeerCalls::Answer answer);
  void AnswerGuest(PeerCalls::Answer answer);
  void FinishGuest(uint64_t guest, bool up_to_date);
  std::string MembersForGuest(bool up_to_date) const;

  absl::StatusOr<Plan> Judge(const peerpb::MemberChangeRequest& change) const;
  absl::StatusOr<Plan> JudgeAdd(const etcdserverpb::MemberAddRequest& request) const;
  absl::StatusOr<Plan> JudgeRemove(const etcdserverpb::MemberRemoveRequest& request) const;
  absl::StatusOr<Plan> JudgePromote(const etcdserverpb::MemberPromoteRequest& request) const;
  static Plan PlanOfVote(const etcdserverpb::MemberPromoteRequest& request);
  absl::StatusOr<Plan> JudgeUpdate(const etcdserverpb::MemberUpdateRequest& request) const;
  absl::Status MayRemove(raft::NodeId id) const;
  // Of the member list, whether raft counts them already or not.
  std::vector<VoterHealth> Voters() const;
  // An id that no member has or had.
  raft::NodeId NewId(const std::vector<std::string>& peer_urls) const;

  // Looks, as the leader, for a member that has caught up and is to have a vote.
  void LookAround();
  void GiveVote(const etcdserverpb::Member& member);
  // Of the members that raft replicates to without counting them, whether this one may be counted.
  bool HasCaughtUp(const etcdserverpb::Member& member) const;
  bool VotesInRaft(raft::NodeId id) const { return node_->core().configuration().IsVoter(id); }

  const MemberKeeperOptions options_;
  Node* const node_;
  PeerCalls* const peers_;
  size_t open_ = 0;  // changes that clients of this member wait for
  std::deque<Question> waiting_;
  std::map<uint64_t, Guest> guests_;  // by number, oldest first
  uint64_t last_guest_ = 0;
  size_t guest_reads_ = 0;  // also for guests that have their answer by now
  bool proposing_ = false;
  bool giving_vote_ = false;
  TimerId advance_timer_ = 0;
  TimerId look_timer_ = 0;
  raft::LogIndex committed_at_last_look_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace conclave::server
