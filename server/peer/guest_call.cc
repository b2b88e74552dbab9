#include "server/peer/guest_call.h"

#include <utility>

#include "raft/base/text.h"
#include "server/peer/peer_calls.h"

namespace conclave::server {

namespace {

PeerNetworkOptions NetworkOptionsOf(const GuestOptions& options, std::string* failure) {
  PeerNetworkOptions network;
  network.cluster_id = options.cluster_id;
  network.id = options.id;
  network.connect_timeout = options.connect_timeout;
  network.handshake_timeout = options.connect_timeout;
  network.log = [failure](std::string_view line) { *failure = std::string(line); };
  return network;
}

}  // namespace

GuestCall::GuestCall(EventLoop* loop, Executor* background, GuestOptions options, Answered answered)
    : ask_again_(options.ask_again),
      network_(NetworkOptionsOf(options, &failure_)),
      context_{.loop = loop, .background = background, .options = &network_},
      answered_(std::move(answered)),
      link_(&context_, this, {.id = raft::kNoNode, .urls = std::move(options.urls)},
            Random(options.seed)) {}

GuestCall::~GuestCall() { CancelTimer(); }

void GuestCall::CancelTimer() { context_.loop->CancelTimer(std::exchange(timer_, 0)); }

void GuestCall::OnLinkOpen(raft::NodeId) { Ask(); }

// One question at a time: a member takes no second one from a guest before it has answered the
// first. So whatever makes it ask now, it does not ask again before it has the answer.
void GuestCall::Ask() {
  CancelTimer();
  if (!link_.open()) return;  // asks when it is again
  link_.SendCall({.call = ++calls_, .method = PeerMethod::kMembers, .request = {}});
}

void GuestCall::OnAnswer(raft::NodeId, AnswerFrame answer) {
  if (answer.call != calls_) return;  // to no question of this connection
  CancelTimer();
  timer_ = context_.loop->RunAt(context_.loop->Now() + ask_again_, [this] { Ask(); });
  answered_(std::move(answer.answer));
}

void GuestCall::OnRemoved(raft::NodeId) {
  answered_(absl::FailedPreconditionError("this member was removed from the cluster"));
}

void GuestCall::OnLinkDown(raft::NodeId, bool was_open) {
  // An open link ends when a guest's time is over; what counts is whether it can be opened again.
  if (!was_open) answered_(absl::UnavailableError(ToAbsl(failure_)));
}

}  // namespace conclave::server
