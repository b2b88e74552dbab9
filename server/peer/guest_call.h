// A question to a member by one that is none (yet): who is in the cluster. Dials as a guest, asks,
// and goes on dialling and asking for as long as it lives, since a member that has just started may
// know too little. Used at start-up by server/join.cc. On the loop's lane.
#pragma once

#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "raft/base/random.h"
#include "server/peer/peer_link.h"
#include "server/peer/peer_options.h"

namespace conclave::server {

struct GuestOptions {
  uint64_t cluster_id = 0;          // only a member of this cluster will do; 0: any
  raft::NodeId id;                  // who asks, if it knows
  std::vector<std::string> urls;    // of one member, tried in turn
  uint64_t seed = 0;                // of the pauses between attempts
  Duration ask_again = Seconds(1);  // after an answer
  Duration connect_timeout = Seconds(1);
};

class GuestCall : private PeerLinkOwner {
 public:
  // Runs again and again: with an answer (the bytes of a peerpb.MembersResponse), or with why there
  // is none: Unavailable if no address answers, FailedPrecondition if the asker was removed from
  // the cluster. Not from within the constructor; must not destroy the call.
  using Answered = absl::AnyInvocable<void(absl::StatusOr<std::string>)>;

  // `background` resolves names, and must have done so before the loop goes.
  GuestCall(EventLoop* loop, Executor* background, GuestOptions options, Answered answered);
  ~GuestCall() override;
  GuestCall(const GuestCall&) = delete;
  GuestCall& operator=(const GuestCall&) = delete;

 private:
  void OnLinkOpen(raft::NodeId peer) override;
  void OnRemoved(raft::NodeId peer) override;
  void OnLinkDown(raft::NodeId peer, bool was_open) override;
  void OnLinkOverflow(raft::NodeId /*peer*/) override {}
  void OnAnswer(raft::NodeId peer, AnswerFrame answer) override;

  void Ask();
  void CancelTimer();

  const Duration ask_again_;
  PeerNetworkOptions network_;
  const PeerContext context_;
  Answered answered_;
  std::string failure_ = "no answer";  // the link's last line about why there is none
  uint64_t calls_ = 0;
  TimerId timer_ = 0;  // of the next question; 0 while an answer is awaited
  PeerLink link_;
};

}  // namespace conclave::server
