// One process's end of the simulated network between members: raft's messages, as the bytes that
// the real transport would carry, and the questions of server/peer/peer_calls.h. It keeps what a
// real connection knows: whether the peer can be reached at all. Dies with its process.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "jepsen-style-tests/sim/member_lane.h"
#include "jepsen-style-tests/sim/network.h"
#include "raft/transport/transport.h"
#include "server/peer/peer_calls.h"

namespace conclave::sim {

class World;

class MemberLinks : public raft::Transport, public server::PeerCalls {
 public:
  MemberLinks(World* world, raft::NodeId self, MemberLane* lane);
  ~MemberLinks() override;

  void SetReceiver(Receiver receiver) override { receiver_ = std::move(receiver); }
  void Send(std::vector<raft::Message> messages) override;

  void SetHandler(server::PeerMethod method, Handler handler) override {
    handlers_[method] = std::move(handler);
  }
  std::optional<Instant> ConnectedSince(raft::NodeId peer) const override;
  void CallPeer(raft::NodeId peer, server::PeerMethod method, std::string request, Duration timeout,
                Answer answer) override;

  // From the world, on this member's lane.
  void Receive(const Bytes& bytes);
  void OnQuestion(server::PeerMethod method, const std::string& request, Answer answer);
  // The peer can be reached, from now on if it could not before.
  void OnConnected(raft::NodeId peer) { connected_.emplace(peer, lane_->Now()); }
  void OnUnreachable(raft::NodeId peer);

 private:
  // A question on its way; the peer's process may answer long after this one has ended.
  struct Question {
    raft::NodeId peer;
    Answer answer;
  };

  void SendOne(const raft::Message& message);
  void Carry(const raft::Message& message, End to);
  void RefuseProposals(const raft::Message& message);
  void Answered(uint64_t question, absl::StatusOr<std::string> answer);
  static void Ask(World* world, std::weak_ptr<MemberLinks*> asker, raft::NodeId from,
                  raft::NodeId to, uint64_t question, server::PeerMethod method,
                  const std::string& request);

  World* const world_;
  const raft::NodeId self_;
  MemberLane* const lane_;
  Receiver receiver_;
  std::map<server::PeerMethod, Handler> handlers_;
  std::map<raft::NodeId, Instant> connected_;  // since when
  std::map<uint64_t, Question> questions_;
  uint64_t last_question_ = 0;
  std::shared_ptr<MemberLinks*> alive_;
};

}  // namespace conclave::sim
