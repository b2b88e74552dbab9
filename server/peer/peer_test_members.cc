#include "server/peer/peer_test_members.h"

#include <algorithm>
#include <optional>

namespace conclave::server {

std::string TestMember::url() const {
  return "http://" + network->listen_addresses().at(0).ToString();
}

PeerStats TestMember::stats(raft::NodeId peer) const {
  for (const PeerStats& stats : network->stats()) {
    if (stats.peer == peer) return stats;
  }
  return {};
}

bool TestMember::Logged(std::string_view text) const {
  return std::any_of(log.begin(), log.end(),
                     [&](const std::string& line) { return line.find(text) != std::string::npos; });
}

PeerNetworkOptions PeerNetworkTest::Options(raft::NodeId id) {
  PeerNetworkOptions options;
  options.cluster_id = kTestCluster;
  options.id = id;
  options.seed = id.value();
  options.election_timeout = Milliseconds(200);
  options.handshake_timeout = Milliseconds(300);
  options.redial_min = Milliseconds(10);
  options.redial_max = Milliseconds(50);
  return options;
}

std::unique_ptr<TestMember> PeerNetworkTest::Start(PeerNetworkOptions options, std::string url) {
  auto member = std::make_unique<TestMember>();
  TestMember* const self = member.get();
  options.listen_urls = {std::move(url)};
  options.log = [self](std::string_view line) { self->log.emplace_back(line); };
  options.round_trip = [self](raft::NodeId, Duration d) { self->round_trips.push_back(d); };
  auto network = PeerNetwork::Start(&loop_, &background_, std::move(options));
  EXPECT_TRUE(network.ok()) << network.status();
  member->network = *std::move(network);
  member->network->SetReceiver({
      .received =
          [self](std::vector<raft::Message>& messages) {
            ++self->reads;
            for (raft::Message& message : messages) self->received.push_back(std::move(message));
          },
      .unreachable = [self](raft::NodeId peer) { self->unreachable.push_back(peer); },
  });
  return member;
}

void PeerNetworkTest::Introduce(TestMember& one, raft::NodeId one_id, TestMember& other,
                                raft::NodeId other_id) {
  one.network->SetPeer({other_id, {other.url()}});
  other.network->SetPeer({one_id, {one.url()}});
}

void PeerNetworkTest::StartPair() {
  a_ = Start(kA);
  b_ = Start(kB);
  Introduce(*a_, kA, *b_, kB);
  RunUntil([&] { return a_->Connected(kB) && b_->Connected(kA); });
}

void PeerNetworkTest::RunUntil(const std::function<bool()>& done, Duration limit) {
  const Instant deadline = clock_.Now() + limit;
  while (!done()) {
    ASSERT_LT(clock_.Now(), deadline) << "waited in vain";
    loop_.RunTurn(Milliseconds(5));
  }
}

void PeerNetworkTest::RunFor(Duration duration) {
  const Instant end = clock_.Now() + duration;
  while (clock_.Now() < end) loop_.RunTurn(Milliseconds(5));
}

std::unique_ptr<ForeignEnd> PeerNetworkTest::Dial(const TestMember& member) {
  std::unique_ptr<ForeignEnd> end;
  Connector connector(&loop_, member.network->listen_addresses().at(0), Seconds(1),
                      [&](absl::StatusOr<ScopedFd> socket) {
                        ASSERT_TRUE(socket.ok()) << socket.status();
                        end = std::make_unique<ForeignEnd>(&loop_, *std::move(socket));
                      });
  RunUntil([&] { return end != nullptr; });
  return end;
}

std::unique_ptr<ForeignEnd> PeerNetworkTest::DialAs(raft::NodeId from, const TestMember& member,
                                                    raft::NodeId member_id) {
  std::unique_ptr<ForeignEnd> end = Dial(member);
  std::string hello;
  AppendHello({.cluster_id = kTestCluster, .from = from, .to = member_id}, hello);
  end->connection->Write(hello);
  std::optional<Parsed<Verdict>> verdict;
  RunUntil([&] {
    verdict = ParseVerdict(end->received).value();
    return verdict.has_value();
  });
  EXPECT_EQ(verdict->value.refusal, "");
  end->received.erase(0, verdict->size);
  return end;
}

std::string PeerNetworkTest::ListenAsForeigner(std::vector<std::unique_ptr<ForeignEnd>>& accepted) {
  auto listener = Listener::Listen(
      &loop_, SocketAddress::FromIp("127.0.0.1", 0).value(), [this, &accepted](ScopedFd fd) {
        accepted.push_back(std::make_unique<ForeignEnd>(&loop_, std::move(fd)));
      });
  EXPECT_TRUE(listener.ok()) << listener.status();
  foreign_listener_ = *std::move(listener);
  return "http://" + foreign_listener_->address().ToString();
}

raft::Message HeartbeatOf(raft::NodeId from, raft::NodeId to, uint64_t round) {
  raft::Heartbeat heartbeat;
  heartbeat.commit = raft::LogIndex(1);
  heartbeat.round = round;
  return {from, to, raft::Term(1), heartbeat};
}

raft::Message AppendOf(raft::NodeId from, raft::NodeId to, uint64_t index,
                       std::string_view payload) {
  raft::AppendRequest append;
  append.prev_index = raft::LogIndex(index - 1);
  append.entries.push_back({.term = raft::Term(1),
                            .index = raft::LogIndex(index),
                            .kind = raft::EntryKind::kCommand,
                            .payload = Bytes::Copy(payload)});
  return {from, to, raft::Term(1), std::move(append)};
}

uint64_t RoundOf(const raft::Message& message) {
  return std::get<raft::Heartbeat>(message.body).round;
}

std::string FrameOf(FrameKind kind, std::string_view payload) {
  std::string out;
  const size_t begin = BeginFrame(kind, out);
  out.append(payload);
  EndFrame(begin, out);
  return out;
}

std::string FrameOf(const raft::Message& message) {
  std::string payload;
  AppendMessage(message, payload);
  return FrameOf(FrameKind::kMessages, payload);
}

}  // namespace conclave::server
