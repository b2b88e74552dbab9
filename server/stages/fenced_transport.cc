#include "server/stages/fenced_transport.h"

#include <utility>
#include <variant>

#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::server {

FencedTransport::FencedTransport(raft::Transport* transport,
                                 absl::AnyInvocable<bool() const> fenced)
    : transport_(transport), fenced_(std::move(fenced)) {}

void FencedTransport::SetReceiver(Receiver receiver) {
  if (!receiver.received) return transport_->SetReceiver(std::move(receiver));
  transport_->SetReceiver({.received =
                               [this, pass = std::move(receiver.received)](
                                   std::vector<raft::Message>& messages) mutable {
                                 if (fenced_()) {
                                   std::erase_if(messages, [](const raft::Message& message) {
                                     return std::holds_alternative<raft::TimeoutNow>(message.body);
                                   });
                                 }
                                 pass(messages);
                               },
                           .unreachable = std::move(receiver.unreachable)});
}

void FencedTransport::Send(std::vector<raft::Message> messages) {
  if (fenced_()) {
    std::erase_if(messages, [](const raft::Message& message) {
      const bool campaign = std::holds_alternative<raft::VoteRequest>(message.body);
      if (campaign) SIM_REACHED("integrity.campaign_suppressed");
      return campaign && !SEEDED_BUG(kFencedCampaigns);
    });
    for (raft::Message& message : messages) {
      if (auto* response = std::get_if<raft::HeartbeatResponse>(&message.body)) {
        response->priority = 0;
      }
    }
  }
  if (!messages.empty()) transport_->Send(std::move(messages));
}

}  // namespace conclave::server
