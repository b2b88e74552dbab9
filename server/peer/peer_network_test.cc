#include "server/peer/peer_network.h"

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "server/peer/peer_test_members.h"

namespace conclave::server {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(PeerNetworkTest, MessagesArriveInOrderBothWays) {
  StartPair();
  for (uint64_t round = 1; round <= 300; ++round) {
    a_->network->Send({HeartbeatOf(kA, kB, round)});
    b_->network->Send({HeartbeatOf(kB, kA, round), HeartbeatOf(kB, kA, 1000 + round)});
  }
  RunUntil([&] { return a_->received.size() == 600 && b_->received.size() == 300; });
  for (uint64_t i = 0; i < 300; ++i) {
    EXPECT_EQ(b_->received[i], HeartbeatOf(kA, kB, i + 1));
    EXPECT_EQ(RoundOf(a_->received[2 * i]), i + 1);
    EXPECT_EQ(RoundOf(a_->received[2 * i + 1]), 1000 + i + 1);
  }
  EXPECT_LT(b_->reads, 20u) << "messages of one turn come in few reads";
}

TEST_F(PeerNetworkTest, OneSendReachesEveryPeerItNames) {
  StartPair();
  auto c = Start(kC);
  Introduce(*a_, kA, *c, kC);
  RunUntil([&] { return a_->Connected(kC); });
  a_->network->Send({HeartbeatOf(kA, kB, 1), HeartbeatOf(kA, kC, 2), HeartbeatOf(kA, kB, 3),
                     HeartbeatOf(kA, raft::NodeId(0xdead), 4)});
  RunUntil([&] { return b_->received.size() == 2 && c->received.size() == 1; });
  EXPECT_EQ(RoundOf(b_->received[1]), 3u);
  EXPECT_EQ(RoundOf(c->received[0]), 2u);
  EXPECT_EQ(a_->network->counters().messages_unknown, 1u);
}

TEST_F(PeerNetworkTest, EntriesOfManyMegabytesArriveWhole) {
  StartPair();
  std::string payload(9 << 20, '\0');
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<char>(i * 31 + (i >> 12));
  const raft::Message big = AppendOf(kA, kB, 7, payload);
  a_->network->Send({HeartbeatOf(kA, kB, 1), big, HeartbeatOf(kA, kB, 2)});
  RunUntil([&] { return b_->received.size() == 3; });
  EXPECT_EQ(b_->received[1], big);
  EXPECT_EQ(RoundOf(b_->received[2]), 2u);
  EXPECT_GT(a_->stats(kB).bytes_sent, payload.size());
  EXPECT_GT(b_->stats(kA).bytes_received, payload.size());
}

TEST_F(PeerNetworkTest, MessageAboveTheBoundIsDroppedAndOthersAreNot) {
  PeerNetworkOptions options = Options(kA);
  options.message_bytes_max = 1000;
  a_ = Start(std::move(options));
  b_ = Start(kB);
  Introduce(*a_, kA, *b_, kB);
  RunUntil([&] { return a_->Connected(kB); });
  a_->network->Send({HeartbeatOf(kA, kB, 1), AppendOf(kA, kB, 7, std::string(1000, 'x')),
                     HeartbeatOf(kA, kB, 2)});
  RunUntil([&] { return b_->received.size() == 2; });
  EXPECT_EQ(RoundOf(b_->received[1]), 2u);
  EXPECT_EQ(a_->stats(kB).messages_dropped, 1u);
}

TEST_F(PeerNetworkTest, DeadPeerIsReportedAtOnceAndRedialledWhenBack) {
  StartPair();
  const std::string url = b_->url();
  const Instant died = clock_.Now();
  b_.reset();
  RunUntil([&] { return !a_->unreachable.empty(); });
  EXPECT_LT(clock_.Now() - died, Milliseconds(100)) << "long before silence would have told";
  EXPECT_EQ(a_->unreachable[0], kB);
  EXPECT_FALSE(a_->Connected(kB));

  RunFor(Milliseconds(200));
  b_ = Start(Options(kB), url);
  b_->network->SetPeer({kA, {a_->url()}});
  RunUntil([&] { return a_->Connected(kB); }, Seconds(1));
  a_->network->Send({HeartbeatOf(kA, kB, 5)});
  RunUntil([&] { return b_->received.size() == 1; });
}

TEST_F(PeerNetworkTest, SendingWithoutConnectionDropsAndReportsOnce) {
  a_ = Start(kA);
  b_ = Start(kB);
  const std::string nobody_listens = b_->url();
  b_.reset();
  a_->network->SetPeer({kB, {nobody_listens}});
  for (int i = 0; i < 50; ++i) {
    a_->network->Send({HeartbeatOf(kA, kB, 1)});
    RunFor(Milliseconds(5));
  }
  EXPECT_EQ(a_->stats(kB).messages_dropped, 50u);
  EXPECT_THAT(a_->unreachable, ElementsAre(kB));
  EXPECT_EQ(a_->log.size(), 1u) << "the same failure is not logged again and again";
  EXPECT_TRUE(a_->Logged("cannot connect to member b"));
}

TEST_F(PeerNetworkTest, UrlsAreTriedInTurn) {
  a_ = Start(kA);
  b_ = Start(kB);
  b_->network->SetPeer({kA, {a_->url()}});
  a_->network->SetPeer({kB, {"not a url", "http://127.0.0.1:1", b_->url()}});
  RunUntil([&] { return a_->Connected(kB); }, Seconds(1));
}

TEST_F(PeerNetworkTest, ChangedUrlIsDialledAtOnce) {
  a_ = Start(kA);
  b_ = Start(kB);
  b_->network->SetPeer({kA, {"http://127.0.0.1:1"}});
  a_->network->SetPeer({kB, {}});
  RunFor(Milliseconds(20));
  EXPECT_FALSE(a_->Connected(kB));
  a_->network->SetPeer({kB, {b_->url()}});
  RunUntil([&] { return a_->Connected(kB); }, Seconds(1));
}

TEST_F(PeerNetworkTest, HostNamesAreResolvedOffTheLane) {
  a_ = Start(kA);
  b_ = Start(kB);
  b_->network->SetPeer({kA, {a_->url()}});
  // No IP address in our eyes, so it goes to the name service, which knows the short form of
  // 127.0.0.1.
  const uint16_t port = b_->network->listen_addresses().at(0).port();
  a_->network->SetPeer({kB, {"http://127.1:" + std::to_string(port)}});
  RunFor(Milliseconds(50));
  EXPECT_FALSE(a_->Connected(kB));
  background_.RunPosted();
  RunUntil([&] { return a_->Connected(kB); });
}

TEST_F(PeerNetworkTest, NetworkMayEndWhileANameIsResolved) {
  a_ = Start(kA);
  a_->network->SetPeer({kB, {"http://127.1:1"}});
  RunFor(Milliseconds(20));
  a_.reset();
  background_.RunPosted();
  RunFor(Milliseconds(20));
}

TEST_F(PeerNetworkTest, WrongClusterIsRefusedWithTheReasonInBothLogs) {
  PeerNetworkOptions options = Options(kA);
  options.cluster_id = 0xc2;
  a_ = Start(std::move(options));
  b_ = Start(kB);
  Introduce(*a_, kA, *b_, kB);
  RunUntil([&] { return !a_->unreachable.empty() && !b_->unreachable.empty(); });
  for (const TestMember* member : {a_.get(), b_.get()}) {
    EXPECT_TRUE(member->Logged("refused a connection from member"));
    EXPECT_THAT(member->log,
                Contains(AllOf(HasSubstr("cannot connect to member"), HasSubstr("wrong cluster"))));
    EXPECT_GE(member->network->counters().connections_refused, 1u);
  }
  a_->network->Send({HeartbeatOf(kA, kB, 1)});
  RunFor(Milliseconds(200));
  EXPECT_THAT(b_->received, IsEmpty());
  EXPECT_LE(a_->log.size(), 4u) << "a lasting refusal is not logged at every attempt";
}

TEST_F(PeerNetworkTest, WrongMemberIsRefusedWithTheReasonInBothLogs) {
  StartPair();
  a_->network->SetPeer({kC, {b_->url()}});
  for (const TestMember* member : {a_.get(), b_.get()}) {
    RunUntil([&] { return member->Logged("wrong member: c wanted, this is b"); });
  }
  RunUntil([&] { return !a_->unreachable.empty(); });
  EXPECT_THAT(a_->unreachable, ElementsAre(kC));
  EXPECT_TRUE(a_->Connected(kB));
}

TEST_F(PeerNetworkTest, RemovedPeerIsCutOffAndRefusedUntilItIsBack) {
  StartPair();
  a_->network->RemovePeer(kB);
  RunUntil([&] { return !b_->unreachable.empty(); });
  RunUntil([&] { return b_->Logged("b is not a member of the cluster"); });
  EXPECT_GE(a_->network->counters().connections_refused, 1u);
  EXPECT_THAT(a_->network->stats(), IsEmpty());
  EXPECT_THAT(a_->unreachable, IsEmpty());

  a_->network->SetPeer({kB, {b_->url()}});
  RunUntil([&] { return a_->Connected(kB) && b_->Connected(kA); });
}

TEST_F(PeerNetworkTest, ReceiverMayRemoveThePeerItHearsFrom) {
  StartPair();
  a_->network->SetReceiver({
      .received = [&](std::vector<raft::Message>&) { a_->network->RemovePeer(kB); },
      .unreachable = {},
  });
  b_->network->Send({HeartbeatOf(kB, kA, 1)});
  RunUntil([&] { return a_->network->stats().empty(); });
  RunUntil([&] { return !b_->Connected(kA); });
}

TEST_F(PeerNetworkTest, RoundTripsAndLivenessAreObserved) {
  StartPair();
  const Instant before = a_->stats(kB).last_received;
  RunUntil([&] { return a_->round_trips.size() >= 3; });
  for (Duration round_trip : a_->round_trips) {
    EXPECT_GT(round_trip, Duration(0));
    EXPECT_LT(round_trip, Seconds(1));
  }
  EXPECT_GT(a_->stats(kB).last_received, before);
  EXPECT_LE(a_->stats(kB).connected_since, before);
  EXPECT_EQ(a_->stats(kB).disconnects, 0u);
}

TEST_F(PeerNetworkTest, IdleConnectionsLast) {
  StartPair();
  RunFor(Milliseconds(800));  // four election timeouts
  EXPECT_THAT(a_->unreachable, IsEmpty());
  EXPECT_THAT(b_->unreachable, IsEmpty());
}

TEST_F(PeerNetworkTest, PauseOfThisProcessIsNotTakenForSilenceOfItsPeers) {
  StartPair();
  std::this_thread::sleep_for(Milliseconds(600));  // three election timeouts
  RunFor(Milliseconds(100));
  EXPECT_THAT(a_->unreachable, IsEmpty());
  EXPECT_TRUE(a_->Connected(kB));
}

TEST_F(PeerNetworkTest, BadListenUrlsAreErrors) {
  a_ = Start(kA);
  const struct {
    std::string url;
    absl::StatusCode code;
  } cases[] = {{"http//nonsense", absl::StatusCode::kInvalidArgument},
               {"https://127.0.0.1:0", absl::StatusCode::kInvalidArgument},
               {a_->url(), absl::StatusCode::kUnavailable}};
  for (const auto& test : cases) {
    PeerNetworkOptions options = Options(kB);
    options.listen_urls = {test.url};
    EXPECT_EQ(PeerNetwork::Start(&loop_, &background_, std::move(options)).status().code(),
              test.code)
        << test.url;
  }
}

}  // namespace
}  // namespace conclave::server
