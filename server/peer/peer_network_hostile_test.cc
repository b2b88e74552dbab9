// What a PeerNetwork does about ends that break the protocol, stop in the middle, lie, or do not
// read.
#include <algorithm>
#include <string>
#include <vector>

#include "raft/base/coding.h"
#include "raft/base/random.h"
#include "server/peer/peer_network.h"
#include "server/peer/peer_test_members.h"

namespace conclave::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class HostilePeerTest : public PeerNetworkTest {
 protected:
  // A member `a_` that knows B, which is played by the test and cannot be dialled.
  void StartAlone(PeerNetworkOptions options = Options(kA)) {
    a_ = Start(std::move(options));
    a_->network->SetPeer({kB, {}});
    RunUntil([&] { return !a_->unreachable.empty(); });
    a_->unreachable.clear();
    a_->log.clear();
  }

  // A member `a_` whose link to B has been accepted by the test's own end of it.
  ForeignEnd& StartLinked(PeerNetworkOptions options = Options(kA)) {
    a_ = Start(std::move(options));
    a_->network->SetPeer({kB, {ListenAsForeigner(accepted_)}});
    RunUntil([&] { return !accepted_.empty() && accepted_[0]->received.size() >= 40; });
    std::string verdict;
    AppendVerdict({.cluster_id = kTestCluster, .from = kB, .refusal = ""}, verdict);
    accepted_[0]->connection->Write(verdict);
    RunUntil([&] { return a_->Connected(kB); });
    accepted_[0]->received.clear();
    a_->log.clear();
    return *accepted_[0];
  }

  std::vector<std::unique_ptr<ForeignEnd>> accepted_;
};

TEST_F(HostilePeerTest, GarbageIsClosedAndCounted) {
  StartAlone();
  auto end = Dial(*a_);
  end->connection->Write("GET /members HTTP/1.1\r\n\r\n");
  RunUntil([&] { return end->closed; });
  EXPECT_EQ(end->received, "");
  EXPECT_EQ(a_->network->counters().protocol_errors, 1u);
  EXPECT_TRUE(a_->Logged("does not speak the peer protocol"));
  EXPECT_THAT(a_->unreachable, IsEmpty());
}

TEST_F(HostilePeerTest, OtherVersionIsToldWhy) {
  StartAlone();
  auto end = Dial(*a_);
  std::string hello;
  AppendHello({.version = 2, .cluster_id = kTestCluster, .from = kB, .to = kA}, hello);
  end->connection->Write(hello);
  RunUntil([&] { return end->closed; });
  auto verdict = ParseVerdict(end->received);
  ASSERT_TRUE(verdict.ok() && verdict->has_value());
  EXPECT_THAT((*verdict)->value.refusal, HasSubstr("version 2 is not spoken here"));
  EXPECT_EQ((*verdict)->value.version, kPeerProtocolVersion);
  EXPECT_TRUE(a_->Logged("version 2 is not spoken here"));
}

TEST_F(HostilePeerTest, SilentBeforeTheHandshakeIsClosed) {
  StartAlone();
  auto end = Dial(*a_);
  end->connection->Write("CNC");
  RunUntil([&] { return end->closed; }, Seconds(2));
  EXPECT_TRUE(a_->Logged("did not say who it is"));
}

TEST_F(HostilePeerTest, StrangersAreLimitedInNumber) {
  PeerNetworkOptions options = Options(kA);
  options.handshakes_max = 3;
  StartAlone(std::move(options));
  std::vector<std::unique_ptr<ForeignEnd>> ends;
  for (int i = 0; i < 4; ++i) ends.push_back(Dial(*a_));
  RunUntil([&] { return ends[3]->closed; });
  EXPECT_FALSE(ends[0]->closed);
  EXPECT_EQ(a_->network->counters().connections_refused, 1u);
}

TEST_F(HostilePeerTest, HalfAFrameAndThenSilenceIsGivenUp) {
  StartAlone();
  auto end = DialAs(kB, *a_, kA);
  end->connection->Write(FrameOf(HeartbeatOf(kB, kA, 1)).substr(0, 12));
  const Instant silent = clock_.Now();
  RunUntil([&] { return end->closed; });
  EXPECT_LT(clock_.Now() - silent, Milliseconds(600));
  EXPECT_THAT(a_->received, IsEmpty());
  RunUntil([&] { return !a_->unreachable.empty(); });
  EXPECT_THAT(a_->unreachable, ElementsAre(kB));
  EXPECT_TRUE(a_->Logged("silent"));
}

TEST_F(HostilePeerTest, FrameThatArrivesByteByByteIsWhole) {
  StartAlone();
  auto end = DialAs(kB, *a_, kA);
  for (char byte : FrameOf(HeartbeatOf(kB, kA, 1)) + FrameOf(HeartbeatOf(kB, kA, 2))) {
    end->connection->Write(std::string_view(&byte, 1));
    loop_.RunTurn(Milliseconds(1));
  }
  RunUntil([&] { return a_->received.size() == 2; });
}

TEST_F(HostilePeerTest, DamagedFrameEndsTheConnectionAfterTheGoodOnes) {
  StartAlone();
  auto end = DialAs(kB, *a_, kA);
  std::string damaged = FrameOf(HeartbeatOf(kB, kA, 2));
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  end->connection->Write(FrameOf(HeartbeatOf(kB, kA, 1)) + damaged +
                         FrameOf(HeartbeatOf(kB, kA, 3)));
  RunUntil([&] { return end->closed; });
  EXPECT_THAT(a_->received, ElementsAre(HeartbeatOf(kB, kA, 1)));
  EXPECT_EQ(a_->network->counters().protocol_errors, 1u);
  EXPECT_TRUE(a_->Logged("checksum"));
}

TEST_F(HostilePeerTest, FramesThatMakeNoSenseEndTheConnection) {
  StartAlone();
  std::string oversize = FrameOf(FrameKind::kMessages, "");
  StoreFixed32(oversize.data(), 1u << 31);
  const std::string senseless[] = {
      oversize,
      FrameOf(static_cast<FrameKind>(99), ""),
      FrameOf(FrameKind::kMessages, "no message"),
      FrameOf(FrameKind::kCall, "short"),
      FrameOf(FrameKind::kAnswer, std::string(9, '\0')),
      FrameOf(FrameKind::kPing, "too long for a ping"),
      FrameOf(FrameKind::kPong, "?"),
  };
  uint64_t errors = 0;
  for (const std::string& frame : senseless) {
    auto end = DialAs(kB, *a_, kA);
    end->connection->Write(frame);
    RunUntil([&] { return end->closed; });
    EXPECT_EQ(a_->network->counters().protocol_errors, ++errors);
  }
}

TEST_F(HostilePeerTest, NoiseNeverDoesMoreThanEndTheConnection) {
  StartAlone();
  Random random(3);
  const std::string valid =
      FrameOf(AppendOf(kB, kA, 7, "payload")) + FrameOf(FrameKind::kPing, "12345678");
  for (int round = 0; round < 100; ++round) {
    auto end = DialAs(kB, *a_, kA);
    std::string noise = valid;
    for (uint64_t hits = random.Between(1, 3); hits > 0; --hits) {
      noise[random.Below(noise.size())] = static_cast<char>(random.Next());
    }
    end->connection->Write(noise);
    for (int turn = 0; turn < 4; ++turn) loop_.RunTurn(Milliseconds(1));
  }
  for (const raft::Message& message : a_->received) {
    EXPECT_EQ(message, AppendOf(kB, kA, 7, "payload"));
  }
}

TEST_F(HostilePeerTest, SpoofedMessagesAreDroppedAndCounted) {
  StartAlone();
  auto end = DialAs(kB, *a_, kA);
  end->connection->Write(FrameOf(HeartbeatOf(kC, kA, 1)) + FrameOf(HeartbeatOf(kB, kC, 2)) +
                         FrameOf(HeartbeatOf(kB, kA, 3)));
  RunUntil([&] { return !a_->received.empty(); });
  EXPECT_THAT(a_->received, ElementsAre(HeartbeatOf(kB, kA, 3)));
  EXPECT_EQ(a_->stats(kB).messages_spoofed, 2u);
  EXPECT_FALSE(end->closed);
}

TEST_F(HostilePeerTest, PingIsSentBackUnchanged) {
  StartAlone();
  auto end = DialAs(kB, *a_, kA);
  end->connection->Write(FrameOf(FrameKind::kPing, "12345678"));
  const std::string pong = FrameOf(FrameKind::kPong, "12345678");
  RunUntil([&] { return end->received.find(pong) != std::string::npos; });
}

TEST_F(HostilePeerTest, NewerConnectionOfThePeerReplacesTheOlder) {
  StartAlone();
  auto older = DialAs(kB, *a_, kA);
  auto newer = DialAs(kB, *a_, kA);
  RunUntil([&] { return older->closed; });
  newer->connection->Write(FrameOf(HeartbeatOf(kB, kA, 1)));
  RunUntil([&] { return a_->received.size() == 1; });
  EXPECT_THAT(a_->unreachable, IsEmpty()) << "the peer is there";
  newer->connection.reset();
  RunUntil([&] { return !a_->unreachable.empty(); });
}

TEST_F(HostilePeerTest, AcceptingEndThatIsSomebodyElseIsLeft) {
  a_ = Start(kA);
  a_->network->SetPeer({kB, {ListenAsForeigner(accepted_)}});
  RunUntil([&] { return !accepted_.empty(); });
  std::string verdict;
  AppendVerdict({.cluster_id = kTestCluster, .from = kC, .refusal = ""}, verdict);
  accepted_[0]->connection->Write(verdict);
  RunUntil([&] { return accepted_[0]->closed; });
  EXPECT_TRUE(a_->Logged("accepted by member c"));
  EXPECT_FALSE(a_->Connected(kB));
}

TEST_F(HostilePeerTest, AcceptingEndThatSaysNothingIsLeft) {
  a_ = Start(kA);
  a_->network->SetPeer({kB, {ListenAsForeigner(accepted_)}});
  RunUntil([&] { return !accepted_.empty() && accepted_[0]->closed; }, Seconds(2));
  EXPECT_TRUE(a_->Logged("no answer to the handshake"));
  RunUntil([&] { return accepted_.size() >= 2; });
}

TEST_F(HostilePeerTest, LinkIsEndedByFramesThatDoNotBelongThere) {
  ForeignEnd& end = StartLinked();
  end.connection->Write(FrameOf(HeartbeatOf(kB, kA, 1)));
  RunUntil([&] { return end.closed; });
  EXPECT_THAT(a_->received, IsEmpty());
  EXPECT_EQ(a_->network->counters().protocol_errors, 1u);
  RunUntil([&] { return !a_->unreachable.empty(); });
  EXPECT_THAT(a_->unreachable, ElementsAre(kB));
}

TEST_F(HostilePeerTest, SilentPeerIsGivenUpWithinAboutAnElectionTimeout) {
  ForeignEnd& end = StartLinked();
  const Instant silent = clock_.Now();
  RunUntil([&] { return !a_->unreachable.empty(); });
  EXPECT_GE(clock_.Now() - silent, Milliseconds(150));
  EXPECT_LT(clock_.Now() - silent, Milliseconds(500));
  RunUntil([&] { return end.closed; });
}

TEST_F(HostilePeerTest, FullQueueDropsBulkReportsOnceAndStillTakesHeartbeats) {
  PeerNetworkOptions options = Options(kA);
  options.queue_bytes_max = 1 << 20;
  options.queue_bytes_reserve = 10'000;
  options.message_bytes_max = 400'000;
  options.election_timeout = Seconds(10);  // a slow machine must not take the pause for silence
  ForeignEnd& end = StartLinked(std::move(options));
  end.connection->PauseReading();
  const std::string payload(300'000, 'x');
  // The kernel takes a few megabytes for a reader that has stopped.
  uint64_t index = 0;
  while (a_->stats(kB).messages_dropped == 0) {
    a_->network->Send({AppendOf(kA, kB, ++index, payload)});
    loop_.RunTurn(Duration(0));
    ASSERT_LT(index, 1000u);
  }
  const uint64_t taken = index - 1;
  a_->network->Send({AppendOf(kA, kB, ++index, payload), HeartbeatOf(kA, kB, 7)});
  EXPECT_EQ(a_->stats(kB).messages_dropped, 2u);
  EXPECT_EQ(a_->stats(kB).messages_sent, taken + 1);
  for (int i = 0; i < 30'000; ++i) a_->network->Send({HeartbeatOf(kA, kB, 8)});
  EXPECT_GT(a_->stats(kB).messages_dropped, 1000u) << "the reserve has a bound as well";
  loop_.RunTurn(Duration(0));
  EXPECT_THAT(a_->unreachable, ElementsAre(kB));

  end.connection->ResumeReading();
  RunUntil([&] {
    end.connection->Write(FrameOf(FrameKind::kPing, "12345678"));  // not to be taken for silent
    return end.received.size() > taken * payload.size();
  });
  RunFor(Milliseconds(20));
  const uint64_t received = end.received.size();
  a_->network->Send({AppendOf(kA, kB, ++index, payload)});
  RunUntil([&] { return end.received.size() >= received + payload.size(); });
}

}  // namespace
}  // namespace conclave::server
