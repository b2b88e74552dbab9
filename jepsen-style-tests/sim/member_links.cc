#include "jepsen-style-tests/sim/member_links.h"

#include <utility>

#include "jepsen-style-tests/sim/world.h"
#include "kvstore/errors.h"
#include "raft/base/check.h"
#include "raft/base/text.h"
#include "raft/transport/codec.h"

namespace conclave::sim {

MemberLinks::MemberLinks(World* world, raft::NodeId self, MemberLane* lane)
    : world_(world), self_(self), lane_(lane), alive_(std::make_shared<MemberLinks*>(this)) {}

MemberLinks::~MemberLinks() { *alive_ = nullptr; }

void MemberLinks::Send(std::vector<raft::Message> messages) {
  for (const raft::Message& message : messages) SendOne(message);
}

void MemberLinks::SendOne(const raft::Message& message) {
  // To a member without a machine nothing can be said.
  Member* const peer = world_->FindMember(message.to);
  if (lane_->silent() || peer == nullptr) return;
  const bool proposals = std::holds_alternative<raft::ProposeRequest>(message.body);
  if (proposals && !connected_.contains(message.to)) return RefuseProposals(message);
  const auto* const request = std::get_if<raft::AppendRequest>(&message.body);
  if (request != nullptr && !request->entries.empty() && world_->network().RepeatsOneIn(4)) {
    // What a leader says that sends less at a time is as true, and may come just as well.
    raft::Message shorter = message;
    auto& entries = std::get<raft::AppendRequest>(shorter.body).entries;
    entries.resize(world_->network().Draw(entries.size()));
    Carry(shorter, peer->end());
  }
  Carry(message, peer->end());
}

void MemberLinks::Carry(const raft::Message& message, End to) {
  world_->invariants().OnSent(message);
  std::string bytes;
  raft::EncodeMessage(message, bytes);
  const bool once = std::holds_alternative<raft::ProposeRequest>(message.body);
  world_->network().Send(world_->member(self_).end(), to,
                         once ? Carriage::kOnce : Carriage::kDatagram,
                         [world = world_, to = message.to, bytes = Bytes::Copy(bytes)] {
                           world->trace().Mix(bytes.view());
                           world->member(to).ReceiveFromPeer(bytes);
                         });
}

// As the real network does: proposals that cannot leave certainly come to nothing.
void MemberLinks::RefuseProposals(const raft::Message& message) {
  raft::ProposeResponse refusal{.reason = raft::RejectReason::kNoLeader, .rejected = {}};
  for (const raft::Proposal& proposal : std::get<raft::ProposeRequest>(message.body).proposals) {
    refusal.rejected.push_back(proposal.id);
  }
  raft::Message answer{message.to, message.from, message.term, std::move(refusal)};
  lane_->Post([alive = std::weak_ptr(alive_), answer = std::move(answer)]() mutable {
    const auto links = alive.lock();
    if (links == nullptr || !(*links)->receiver_.received) return;
    std::vector<raft::Message> answers{std::move(answer)};
    (*links)->receiver_.received(answers);
  });
}

void MemberLinks::Receive(const Bytes& bytes) {
  absl::StatusOr<raft::Message> message = raft::DecodeMessage(bytes);
  CHECK_MSG(message.ok(), MessageOf(message.status()));
  OnConnected(message->from);
  std::vector<raft::Message> messages{*std::move(message)};
  if (receiver_.received) receiver_.received(messages);
}

void MemberLinks::OnQuestion(server::PeerMethod method, const std::string& request, Answer answer) {
  const auto handler = handlers_.find(method);
  if (handler != handlers_.end() && handler->second) handler->second(request, std::move(answer));
}

std::optional<Instant> MemberLinks::ConnectedSince(raft::NodeId peer) const {
  const auto since = connected_.find(peer);
  if (since == connected_.end()) return std::nullopt;
  return since->second;
}

void MemberLinks::OnUnreachable(raft::NodeId peer) {
  connected_.erase(peer);
  std::vector<uint64_t> lost;
  for (const auto& [id, question] : questions_) {
    if (question.peer == peer) lost.push_back(id);
  }
  for (uint64_t id : lost) Answered(id, kv::ErrNoLeader());
  if (receiver_.unreachable) receiver_.unreachable(peer);
}

void MemberLinks::CallPeer(raft::NodeId peer, server::PeerMethod method, std::string request,
                           Duration timeout, Answer answer) {
  const uint64_t id = ++last_question_;
  questions_.emplace(id, Question{peer, std::move(answer)});
  const bool connected = connected_.contains(peer);
  lane_->RunAt(lane_->Now() + (connected ? timeout : Duration::zero()),
               [alive = std::weak_ptr(alive_), id, connected] {
                 const auto links = alive.lock();
                 if (links == nullptr) return;
                 (*links)->Answered(id, connected ? kv::ErrTimeout() : kv::ErrNoLeader());
               });
  if (!connected) return;
  world_->network().Send(
      world_->member(self_).end(), world_->member(peer).end(), Carriage::kStream,
      [world = world_, alive = std::weak_ptr(alive_), from = self_, to = peer, id, method,
       request = std::move(request)] { Ask(world, alive, from, to, id, method, request); });
}

// The question has arrived at `to`; the answer goes back over the network.
void MemberLinks::Ask(World* world, std::weak_ptr<MemberLinks*> asker, raft::NodeId from,
                      raft::NodeId to, uint64_t question, server::PeerMethod method,
                      const std::string& request) {
  world->member(to).AskedByPeer(
      method, request, [world, asker, from, to, question](absl::StatusOr<std::string> answer) {
        if (world->member(to).silent()) return;
        world->network().Send(world->member(to).end(), world->member(from).end(), Carriage::kStream,
                              [asker, question, answer = std::move(answer)] {
                                const auto links = asker.lock();
                                if (links == nullptr) return;
                                (*links)->lane_->Deliver([asker, question, answer] {
                                  const auto still = asker.lock();
                                  if (still != nullptr) (*still)->Answered(question, answer);
                                });
                              });
      });
}

void MemberLinks::Answered(uint64_t question, absl::StatusOr<std::string> answer) {
  auto node = questions_.extract(question);
  if (!node.empty()) node.mapped().answer(std::move(answer));
}

}  // namespace conclave::sim
