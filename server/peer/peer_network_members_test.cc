// Who may connect: members come and go, a removed one is told so, a guest may ask one question, and
// a member that was down finds those who joined meanwhile.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/peer/guest_call.h"
#include "server/peer/peer_network.h"
#include "server/peer/peer_test_members.h"

namespace conclave::server {
namespace {

using ::testing::HasSubstr;

class PeerMembersTest : public PeerNetworkTest {
 protected:
  using Answers = std::vector<absl::StatusOr<std::string>>;

  // A member for whom those of `removed` are, and which remembers whether it was.
  std::unique_ptr<TestMember> StartRemembering(raft::NodeId id, std::vector<raft::NodeId>* removed,
                                               int* removed_itself) {
    PeerNetworkOptions options = Options(id);
    options.is_removed = [removed](raft::NodeId peer) {
      return std::find(removed->begin(), removed->end(), peer) != removed->end();
    };
    options.removed = [removed_itself] { ++*removed_itself; };
    auto member = Start(std::move(options));
    member->network->SetPeer({id, {member->url()}});
    return member;
  }

  static GuestOptions GuestAt(std::vector<std::string> urls) {
    GuestOptions options;
    options.urls = std::move(urls);
    options.ask_again = Milliseconds(50);
    return options;
  }

  std::unique_ptr<GuestCall> Ask(GuestOptions options, Answers* answers) {
    return std::make_unique<GuestCall>(
        &loop_, &background_, std::move(options),
        [answers](absl::StatusOr<std::string> answer) { answers->push_back(std::move(answer)); });
  }

  std::vector<raft::NodeId> removed_at_a_;
  std::vector<raft::NodeId> removed_at_b_;
  int a_was_removed_ = 0;
  int b_was_removed_ = 0;
};

TEST_F(PeerMembersTest, ListedPeersAreDialledAndOthersDropped) {
  StartPair();
  auto c = Start(kC);
  c->network->SetPeer({kA, {a_->url()}});
  a_->network->SetPeers({{kA, {a_->url()}}, {kC, {c->url()}}});
  RunUntil([&] { return a_->Connected(kC) && c->Connected(kA) && !b_->Connected(kA); });
  ASSERT_EQ(a_->network->stats().size(), 1u);
  EXPECT_TRUE(a_->network->ConnectedSince(kC).has_value());
  EXPECT_FALSE(a_->network->ConnectedSince(kB).has_value());
}

TEST_F(PeerMembersTest, RemovedMemberIsToldOnceAndDisturbsNobody) {
  a_ = StartRemembering(kA, &removed_at_a_, &a_was_removed_);
  b_ = StartRemembering(kB, &removed_at_b_, &b_was_removed_);
  Introduce(*a_, kA, *b_, kB);
  RunUntil([&] { return a_->Connected(kB) && b_->Connected(kA); });
  a_->unreachable.clear();

  removed_at_a_.push_back(kB);
  a_->network->SetPeers({{kA, {a_->url()}}});
  RunUntil([&] { return b_was_removed_ > 0; });
  const size_t lines = a_->log.size();
  for (uint64_t round = 0; round < 20; ++round) {
    b_->network->Send({HeartbeatOf(kB, kA, round)});
    RunFor(Milliseconds(10));
  }
  EXPECT_EQ(b_was_removed_, 1);
  EXPECT_EQ(a_was_removed_, 0);
  EXPECT_TRUE(a_->Logged("b was removed from the cluster"));
  EXPECT_TRUE(a_->received.empty());
  EXPECT_TRUE(a_->unreachable.empty());
  EXPECT_LE(a_->log.size(), lines + 1) << "a line now and then, not one for each attempt";
}

// B was down while C took A's place: C is in no list of its, but has what B lacks.
TEST_F(PeerMembersTest, StrangerMayConnectAndIsDialledBack) {
  b_ = StartRemembering(kB, &removed_at_b_, &b_was_removed_);
  int c_was_removed = 0;
  std::vector<raft::NodeId> removed_at_c;
  auto c = StartRemembering(kC, &removed_at_c, &c_was_removed);
  c->network->SetPeer({kB, {b_->url()}});
  RunUntil([&] { return c->Connected(kB) && b_->Connected(kC); });
  c->network->Send({HeartbeatOf(kC, kB, 1)});
  b_->network->Send({HeartbeatOf(kB, kC, 2)});
  RunUntil([&] { return b_->received.size() == 1 && c->received.size() == 1; });

  b_->network->SetPeers({{kA, {"http://127.0.0.1:1"}}});
  RunFor(Milliseconds(50));
  EXPECT_TRUE(b_->Connected(kC)) << "a list of before it joined says nothing against it";
  removed_at_b_.push_back(kC);
  b_->network->SetPeers({{kA, {"http://127.0.0.1:1"}}});
  RunUntil([&] { return c_was_removed == 1; });
  EXPECT_FALSE(b_->Connected(kC));
}

TEST_F(PeerMembersTest, StrangersAreFew) {
  PeerNetworkOptions options = Options(kB);
  options.strangers_max = 1;
  b_ = Start(std::move(options));
  a_ = StartRemembering(kA, &removed_at_a_, &a_was_removed_);
  int c_was_removed = 0;
  std::vector<raft::NodeId> removed_at_c;
  auto c = StartRemembering(kC, &removed_at_c, &c_was_removed);
  a_->network->SetPeer({kB, {b_->url()}});
  RunUntil([&] { return a_->Connected(kB); });
  c->network->SetPeer({kB, {b_->url()}});
  RunUntil([&] { return c->Logged("c is not a member of the cluster"); });
  b_->network->SetPeers({{kA, {a_->url()}}});
  RunUntil([&] { return c->Connected(kB); });
}

TEST_F(PeerMembersTest, GuestGetsAnAnswerAndNothingElse) {
  a_ = Start(kA);
  a_->network->SetHandler(PeerMethod::kMembers, [](std::string_view, PeerCalls::Answer answer) {
    answer(std::string("a and b"));
  });
  Answers answers;
  auto guest = Ask(GuestAt({"http://127.0.0.1:1", a_->url()}), &answers);
  RunUntil([&] { return answers.size() >= 2; });
  EXPECT_EQ(*answers[0], "a and b");
  EXPECT_EQ(*answers[1], "a and b");
  EXPECT_TRUE(a_->network->stats().empty()) << "a guest is no peer";
}

TEST_F(PeerMembersTest, GuestOfAnotherClusterIsRefused) {
  a_ = Start(kA);
  Answers answers;
  GuestOptions options = GuestAt({a_->url()});
  options.cluster_id = kTestCluster + 1;
  auto guest = Ask(std::move(options), &answers);
  RunUntil([&] { return !answers.empty(); });
  EXPECT_TRUE(absl::IsUnavailable(answers[0].status()));
  EXPECT_THAT(std::string(answers[0].status().message()), HasSubstr("wrong cluster"));
}

TEST_F(PeerMembersTest, GuestLearnsThatItWasRemoved) {
  a_ = StartRemembering(kA, &removed_at_a_, &a_was_removed_);
  removed_at_a_.push_back(kB);
  Answers answers;
  GuestOptions options = GuestAt({a_->url()});
  options.cluster_id = kTestCluster;
  options.id = kB;
  auto guest = Ask(std::move(options), &answers);
  RunUntil([&] { return !answers.empty(); });
  EXPECT_TRUE(absl::IsFailedPrecondition(answers[0].status()));
}

TEST_F(PeerMembersTest, GuestHearsThatNobodyAnswers) {
  Answers answers;
  auto guest = Ask(GuestAt({"http://127.0.0.1:1"}), &answers);
  RunUntil([&] { return !answers.empty(); });
  EXPECT_TRUE(absl::IsUnavailable(answers[0].status()));
  EXPECT_THAT(std::string(answers[0].status().message()),
              HasSubstr("cannot connect to http://127.0.0.1:1: "));
}

// What a guest of a foreign program could try: other questions, messages, and not to leave.
TEST_F(PeerMembersTest, GuestMayNotSendMessagesNorStay) {
  a_ = Start(kA);
  int asked = 0;
  a_->network->SetHandler(PeerMethod::kLeaseKeepAlive,
                          [&asked](std::string_view, PeerCalls::Answer) { ++asked; });
  const auto visit = [&] {
    auto end = Dial(*a_);
    std::string hello;
    AppendHello({.cluster_id = 0, .from = raft::kNoNode, .to = raft::kNoNode}, hello);
    end->connection->Write(hello);
    RunUntil([&] { return !end->received.empty(); });
    return end;
  };
  const auto sender = visit();
  sender->connection->Write(FrameOf(HeartbeatOf(raft::kNoNode, kA, 1)));
  const auto asker = visit();
  std::string question;
  AppendCall({.call = 1, .method = PeerMethod::kLeaseKeepAlive, .request = "q"}, question);
  asker->connection->Write(FrameOf(FrameKind::kCall, question));
  RunUntil([&] { return sender->closed && asker->closed; }, Seconds(2));
  EXPECT_TRUE(a_->received.empty());
  EXPECT_EQ(asked, 0);
}

}  // namespace
}  // namespace conclave::server
