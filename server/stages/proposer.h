// The table of requests that wait for their log entry to be applied here, and the queue of those
// still to be proposed. A request is carried out once or not at all while its client waits: it is
// proposed again only when the last attempt is certain to have come to nothing (refused, or an
// entry of a later term was applied without it; docs/decisions/0003). On the raft lane.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "kvstore/command.h"
#include "kvstore/store.h"
#include "raft/base/executor.h"
#include "raft/core/core.h"

namespace conclave::server {

struct ProposerOptions {
  raft::NodeId member;
  // First request id and proposal id of this run. Those of all runs of a member must differ, so
  // that an old entry or a late refusal is not taken for one of this run: random numbers.
  uint64_t first_request_id = 1;
  uint64_t first_proposal_id = 0;
  // Handed to raft at once; the rest follows in the next drain.
  size_t take_bytes_max = 4 << 20;
  Duration timeout = Seconds(7);  // 5 s + 2 election timeouts (reference: behaviour section 11)
  size_t requests_max = 65536;    // beyond either bound: too many requests
  size_t bytes_max = 256 << 20;
};

class Proposer {
 public:
  using Done = absl::AnyInvocable<void(kv::ApplyResult)>;
  using WakeRaft = absl::AnyInvocable<void()>;

  Proposer(const ProposerOptions& options, Executor* lane, WakeRaft wake_raft);
  ~Proposer();
  Proposer(const Proposer&) = delete;
  Proposer& operator=(const Proposer&) = delete;

  // `done` runs once, on the lane: with the result of applying, or with an error of the errors
  // table. `identity` goes with the command, wherever it is passed on to.
  void Propose(kv::CommandKind kind, std::string_view request, Done done,
               const kv::RequestIdentity& identity = {});
  // Likewise, but only as the leader of `term`: fails with ErrNotLeader rather than being passed on
  // or tried again. For decisions that are the leader's own, such as the end of a lease.
  void ProposeAsLeader(kv::CommandKind kind, std::string_view request, raft::Term term, Done done);
  // Likewise, with a change of the configuration that the command belongs to. Waits until the
  // timeout while raft has another change under way.
  void ProposeChange(kv::CommandKind kind, std::string_view request,
                     std::vector<raft::MemberChange> changes, raft::Term term, Done done);

  // The raft stage's side (RaftStageOwner).
  std::vector<raft::Proposal> TakeProposals(raft::Term term, bool leading);
  void OnFailed(const std::vector<raft::ProposalFailed>& failed);
  void OnRoleChange(const raft::RoleChange& change);

  // The apply stage's side: is anybody waiting for this command, and what came of it.
  bool Waits(const kv::CommandHeader& header) const;
  void Complete(const kv::CommandHeader& header, kv::ApplyResult result);
  // An entry of `term` was applied and every result up to it handed over: attempts of earlier terms
  // are void.
  void OnAppliedTerm(raft::Term term);
  // A snapshot took the place of the state, as of an entry of `term`: the entries it has skipped
  // are applied, and nobody was told which they were. An attempt of this term or an earlier one may
  // be among them, so it is not made again; a request whose outcome will never be known times out
  // (docs/snapshots.md).
  void OnInstalled(raft::Term term);

  size_t pending() const { return requests_.size(); }
  uint64_t failed_total() const { return failed_total_; }

 private:
  struct Request {
    Bytes payload;
    Done done;
    uint16_t attempt = 0;
    bool in_flight = false;
    bool leader_lost = false;    // its leader went away while it was in flight
    bool maybe_skipped = false;  // its entry may be one that a snapshot has skipped
    raft::Term attempt_term;     // while in flight
    std::optional<raft::Term> only_in_term;
    std::vector<raft::MemberChange> changes;
  };

  void Add(kv::CommandKind kind, std::string_view request, Request entry,
           const kv::RequestIdentity& identity = {});
  raft::ProposalId AttemptId(uint64_t request_id, uint16_t attempt) const;
  uint64_t RequestIdOf(raft::ProposalId attempt) const;
  // Makes the request part of an attempt in `term`; nullopt if it is not to be proposed now.
  std::optional<raft::Proposal> StartAttempt(uint64_t request_id, raft::Term term, bool leading);
  // Its attempt was refused for a reason given by raft.
  void OnRefused(uint64_t request_id, Request& request, raft::RejectReason reason);
  // Its attempt is void; it rests before the next one.
  void Requeue(uint64_t request_id, Request& request);
  void Rest(uint64_t request_id, Request& request);
  void EndRest();
  // All attempts of earlier terms than `term` are void, but for those that a snapshot may have
  // skipped.
  void RequeueBefore(raft::Term term);
  void Fail(uint64_t request_id, const absl::Status& status);
  void ExpireOld();
  void ArmTimer();
  absl::Status TimeoutStatus(const Request& request) const;

  const ProposerOptions options_;
  Executor* const lane_;
  WakeRaft wake_raft_;
  uint64_t next_request_id_;
  absl::flat_hash_map<uint64_t, Request> requests_;
  std::vector<uint64_t> waiting_;  // to be proposed, in order
  // Refused: tried again when the leader changes or the timer runs, not with whatever happens next,
  // for a refusal by a connection that is not there comes back at once.
  std::vector<uint64_t> resting_;
  std::deque<std::pair<Instant, uint64_t>> deadlines_;  // in order: the timeout is one and the same
  size_t bytes_ = 0;
  bool leader_known_ = false;
  raft::Term applied_term_;
  TimerId timer_ = 0;
  uint64_t failed_total_ = 0;
};

}  // namespace conclave::server
