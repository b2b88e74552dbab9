// Peers may be of another version, slow by hours, or restarted from an old disk: whatever numbers
// their messages carry, they must not end this process, which CHECKs only its own work. One core
// gets messages at random, in every role; its invariants hold, and what it has promised stays so.
//
// Left out is what can only be said by a peer that breaks Raft itself, and what no answer could
// mend: two leaders in a term, entries that contradict committed ones, acknowledgements of entries
// that were never sent, echoes of rounds that never began.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "raft/base/random.h"
#include "raft/core/core.h"

namespace conclave::raft {
namespace {

constexpr NodeId kSelf{1};

class StrangePeers {
 public:
  explicit StrangePeers(uint64_t seed) : random_(seed), core_(Config(), Recovered(), seed, now_) {}

  void Step() {
    now_ += Milliseconds(static_cast<int64_t>(random_.Below(200)));
    if (random_.OneIn(4)) core_.Step(now_, Woke{});
    if (random_.OneIn(20)) core_.Step(now_, TransferRequested{AnyPeer()});
    if (random_.OneIn(10)) core_.Step(now_, PeerUnreachable{AnyPeer()});
    if (random_.OneIn(5)) core_.Step(now_, ReadRequested{ReadId(++last_read_)});
    if (random_.OneIn(5)) core_.Step(now_, Proposed{{AnyProposal()}});
    const NodeId from = AnyPeer();
    // Nobody has ever said anything in term 0.
    const Term term(std::max<uint64_t>(2, core_.term().value() + random_.Below(4)) - 1);
    core_.Step(now_, Received{{from, kSelf, term, AnyBody(from, term)}});
    if (!random_.OneIn(3)) Take();
    roles_.insert(core_.Status().role);
  }

  const std::set<RoleName>& roles() const { return roles_; }
  std::string Broken() const { return core_.CheckInvariants().value_or(""); }

 private:
  static CoreConfig Config() { return {.id = kSelf, .inflight_appends_max = 2}; }
  static RecoveredState Recovered() {
    RecoveredState recovered;
    recovered.configuration.voters = {kSelf, NodeId(2), NodeId(3)};
    recovered.configuration.learners = {NodeId(4)};
    return recovered;
  }

  // Now and then it is none of the members.
  NodeId AnyPeer() { return NodeId(random_.Between(2, 6)); }
  uint64_t AnyNumber() {
    return random_.OneIn(4) ? random_.Next() >> random_.Below(64) : random_.Below(12);
  }
  LogIndex AnyIndex() { return LogIndex(AnyNumber()); }
  Proposal AnyProposal() {
    Proposal proposal{.id = ProposalId(AnyNumber()), .payload = Bytes::Copy("x")};
    if (random_.OneIn(3)) {
      proposal.changes.push_back(
          {static_cast<MemberChangeKind>(random_.Between(1, 3)), NodeId(random_.Below(6))});
    }
    return proposal;
  }

  MessageBody AnyBody(NodeId from, Term term) {
    switch (random_.Below(11)) {
      case 0:
        return VoteRequest{random_.OneIn(2), random_.OneIn(4), AnyIndex(), Term(AnyNumber())};
      case 1:
      case 2:
        return VoteResponse{random_.OneIn(2), !random_.OneIn(4)};
      case 3:
        return HeartbeatResponse{.round = 0, .priority = static_cast<uint32_t>(AnyNumber())};
      case 4:
        return ReadIndexRequest{ReadId(AnyNumber())};
      case 5:
        return ReadIndexResponse{ReadId(AnyNumber()), random_.OneIn(2), AnyIndex()};
      case 6:
        return ProposeRequest{{AnyProposal(), AnyProposal()}};
      case 7:
        return ProposeResponse{static_cast<RejectReason>(random_.Below(5)),
                               {ProposalId(AnyNumber())}};
      case 8:
        return AppendResponse{.accepted = false,
                              .index = AnyIndex(),
                              .hint_index = AnyIndex(),
                              .hint_term = Term(AnyNumber()),
                              .incomplete = random_.OneIn(3)};
      case 9:
        return TimeoutNow{};
      default:
        return OfALeader(from, term);
    }
  }

  // Each term has one leader, which may be this member.
  MessageBody OfALeader(NodeId from, Term term) {
    if (core_.leading() && core_.term() == term) return TimeoutNow{};
    if (leaders_.emplace(term, from).first->second != from) return TimeoutNow{};
    if (random_.OneIn(4)) return Heartbeat{.commit = {}, .round = AnyNumber(), .everywhere = {}};
    if (random_.OneIn(4)) return SnapshotOffer{AnyIndex()};
    AppendRequest request{.prev_index = AnyIndex(),
                          .prev_term = Term(random_.Below(term.value() + 1)),
                          .commit = {},
                          .round = AnyNumber(),
                          .everywhere = AnyIndex(),
                          .entries = {}};
    for (uint64_t left = random_.Below(4); left > 0; --left) {
      // Not all of them are in order.
      const LogIndex index =
          request.prev_index + request.entries.size() + (random_.OneIn(9) ? 2 : 1);
      request.entries.push_back({term, index, EntryKind::kCommand, Bytes::Copy("y")});
    }
    return request;
  }

  void Take() {
    const Output output = core_.TakeOutput();
    if (output.role_change.has_value() && output.role_change->role == RoleName::kLeader) {
      leaders_.emplace(output.role_change->term, kSelf);
    }
    if (output.append.has_value()) core_.Step(now_, Appended{output.append->write});
    for (const Message& message : output.messages) ExpectWellFormed(message);
  }

  void ExpectWellFormed(const Message& message) {
    EXPECT_EQ(message.from, kSelf);
    EXPECT_NE(message.to, kSelf);
    const auto* request = std::get_if<AppendRequest>(&message.body);
    if (request == nullptr) return;
    EXPECT_LE(request->commit, core_.commit());
    EXPECT_LE(request->prev_index + request->entries.size(), core_.last_index());
  }

  Random random_;
  Instant now_{Seconds(1)};
  uint64_t last_read_ = 0;
  std::map<Term, NodeId> leaders_;
  std::set<RoleName> roles_;
  Core core_;
};

TEST(StrangeMessagesPropertyTest, NoNumberOfAPeersEndsTheProcessOrBreaksAnInvariant) {
  std::set<RoleName> roles;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    StrangePeers peers(seed);
    for (int step = 0; step < 200; ++step) {
      peers.Step();
      ASSERT_EQ(peers.Broken(), "") << "after step " << step;
    }
    roles.insert(peers.roles().begin(), peers.roles().end());
  }
  EXPECT_EQ(roles.size(), 4u) << "every role was met";
}

}  // namespace
}  // namespace conclave::raft
