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

  // A guest that says what the test wants, and is in.
  std::unique_ptr<ForeignEnd> Visit(const TestMember& member) {
    auto end = Dial(member);
    std::string hello;
    AppendHello({.cluster_id = 0, .from = raft::kNoNode, .to = raft::kNoNode}, hello);
    end->connection->Write(hello);
    RunUntil([&] { return !end->received.empty(); });
    return end;
  }

  static std::string Question(uint64_t call) {
    std::string question;
    AppendCall({.call = call, .method = PeerMethod::kMembers, .request = {}}, question);
    return FrameOf(FrameKind::kCall, question);
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

TEST_F(PeerMembersTest, StrangersAreDialledAtFewUrls) {
  b_ = Start(kB);
  std::string urls = "x0";
  for (int i = 1; i < 100; ++i) urls += ",x" + std::to_string(i);
  const auto end = Dial(*b_);
  std::string hello;
  AppendHello({.cluster_id = kTestCluster, .from = kC, .to = kB, .urls = urls}, hello);
  end->connection->Write(hello);
  RunUntil([&] { return b_->Logged("\"x7\": it needs a scheme"); });
  RunFor(Milliseconds(100));
  EXPECT_FALSE(b_->Logged("\"x8\": it needs a scheme"));
}

// Whatever says that it is a member of the cluster is taken in; what is not must make room again.
TEST_F(PeerMembersTest, StrangersThatHaveGoneAreForgotten) {
  PeerNetworkOptions options = Options(kB);
  options.strangers_max = 1;
  options.stranger_stay = Milliseconds(300);
  b_ = Start(std::move(options));
  const raft::NodeId nobody(0x77);
  {
    const auto end = Dial(*b_);
    std::string hello;
    AppendHello(
        {.cluster_id = kTestCluster, .from = nobody, .to = kB, .urls = "http://127.0.0.1:1"},
        hello);
    end->connection->Write(hello);
    RunUntil([&] { return b_->network->stats().size() == 1; });
    const Instant end_of_stay = clock_.Now() + Milliseconds(500);
    while (clock_.Now() < end_of_stay) {
      end->connection->Write(FrameOf(FrameKind::kPing, "12345678"));
      RunFor(Milliseconds(20));
    }
    EXPECT_EQ(b_->network->stats().size(), 1u) << "it is connected";
  }
  RunUntil([&] { return b_->network->stats().empty(); }, Seconds(2));
  EXPECT_TRUE(b_->Logged("77, which is in no list here, is gone"));

  a_ = StartRemembering(kA, &removed_at_a_, &a_was_removed_);
  a_->network->SetPeer({kB, {b_->url()}});
  RunUntil([&] { return a_->Connected(kB) && b_->Connected(kA); });
  RunFor(Milliseconds(500));
  EXPECT_TRUE(b_->Connected(kA));
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

// It may be destroyed at any time, and answers that nobody asked for do not make it ask more often.
TEST_F(PeerMembersTest, GuestAsksAgainOnceForEachQuestion) {
  std::vector<std::unique_ptr<ForeignEnd>> accepted;
  Answers answers;
  auto guest = Ask(GuestAt({ListenAsForeigner(accepted)}), &answers);
  RunUntil([&] { return !accepted.empty() && !accepted[0]->received.empty(); });
  std::string said;
  AppendVerdict({.cluster_id = kTestCluster, .from = kB, .refusal = ""}, said);
  std::string answer;
  AppendAnswer(/*call=*/1, std::string("a and b"), answer);
  said += FrameOf(FrameKind::kAnswer, answer) + FrameOf(FrameKind::kAnswer, answer);
  accepted[0]->connection->Write(said);
  RunUntil([&] { return answers.size() == 2; });
  accepted[0]->received.clear();
  RunFor(Milliseconds(200));  // the second question, and no answer to it
  EXPECT_EQ(accepted[0]->received.find(Question(3)), std::string::npos);
  EXPECT_NE(accepted[0]->received.find(Question(2)), std::string::npos);

  answer.clear();
  AppendAnswer(/*call=*/2, std::string("a and b"), answer);
  accepted[0]->connection->Write(FrameOf(FrameKind::kAnswer, answer) +
                                 FrameOf(FrameKind::kAnswer, answer));
  RunUntil([&] { return answers.size() == 4; });
  guest.reset();
  RunFor(Milliseconds(100));  // past the time at which it would have asked again
  EXPECT_EQ(answers.size(), 4u);
}

// What a guest of a foreign program could try: other questions, messages, and not to leave.
TEST_F(PeerMembersTest, GuestMayNotSendMessagesNorStay) {
  a_ = Start(kA);
  int asked = 0;
  a_->network->SetHandler(PeerMethod::kLeaseKeepAlive,
                          [&asked](std::string_view, PeerCalls::Answer) { ++asked; });
  const auto sender = Visit(*a_);
  sender->connection->Write(FrameOf(HeartbeatOf(raft::kNoNode, kA, 1)));
  const auto asker = Visit(*a_);
  std::string question;
  AppendCall({.call = 1, .method = PeerMethod::kLeaseKeepAlive, .request = "q"}, question);
  asker->connection->Write(FrameOf(FrameKind::kCall, question));
  RunUntil([&] { return sender->closed && asker->closed; }, Seconds(2));
  EXPECT_TRUE(a_->received.empty());
  EXPECT_EQ(asked, 0);
}

// Anybody can be one, so it costs no more than the answer to one question.
TEST_F(PeerMembersTest, GuestMayNotCostMuch) {
  PeerNetworkOptions options = Options(kA);
  options.handshake_timeout = Seconds(20);  // time is not what ends these
  a_ = Start(std::move(options));
  std::vector<PeerCalls::Answer> held;
  a_->network->SetHandler(
      PeerMethod::kMembers,
      [&held](std::string_view, PeerCalls::Answer answer) { held.push_back(std::move(answer)); });

  const auto large = Visit(*a_);
  large->connection->Write(
      FrameOf(FrameKind::kCall, std::string(kGuestPayloadBytesMax + 1, 'x')).substr(0, 9));
  RunUntil([&] { return large->closed; });
  EXPECT_TRUE(held.empty());

  const auto hasty = Visit(*a_);
  hasty->connection->Write(Question(1));
  RunUntil([&] { return held.size() == 1; });
  held[0](std::string("a and b"));
  hasty->connection->Write(Question(2) + Question(3));
  RunUntil([&] { return hasty->closed; });
  EXPECT_EQ(held.size(), 2u) << "the third question came before the answer to the second";

  const auto deaf = Visit(*a_);
  deaf->connection->PauseReading();
  std::string pings;
  for (int i = 0; i < 1000; ++i) pings += FrameOf(FrameKind::kPing, "12345678");
  uint64_t sent = 0;
  while (!a_->Logged("without reading")) {
    deaf->connection->Write(pings);
    sent += pings.size();
    loop_.RunTurn(Milliseconds(1));
    ASSERT_LT(sent, uint64_t{64} << 20);
  }
}

}  // namespace
}  // namespace conclave::server
