// What the tests of server/peer share: members of a cluster in one process on one loop, and a
// foreign end of a connection that says whatever a test wants. Test code only; everything runs on
// the loop's lane, which is the test itself.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "raft/base/clock.h"
#include "raft/base/manual_executor.h"
#include "server/net/connection.h"
#include "server/net/connector.h"
#include "server/net/event_loop.h"
#include "server/net/listener.h"
#include "server/peer/frame.h"
#include "server/peer/handshake.h"
#include "server/peer/peer_network.h"

namespace conclave::server {

inline constexpr uint64_t kTestCluster = 0xc1;
inline constexpr raft::NodeId kA{0xa};
inline constexpr raft::NodeId kB{0xb};
inline constexpr raft::NodeId kC{0xc};

// The kernel's monotonic clock; server/peer may not include more of the system than this.
class SteadyClock : public Clock {
 public:
  Instant Now() const override {
    return Instant(
        std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
  }
  int64_t WallMilliseconds() const override { return 0; }
};

// A PeerNetwork and what it told its owner.
struct TestMember {
  std::unique_ptr<PeerNetwork> network;
  std::vector<raft::Message> received;
  size_t reads = 0;  // calls of `received`
  std::vector<raft::NodeId> unreachable;
  std::vector<std::string> log;
  std::vector<Duration> round_trips;

  std::string url() const;
  PeerStats stats(raft::NodeId peer) const;
  // Whether a line with `text` in it was logged.
  bool Logged(std::string_view text) const;
  bool Connected(raft::NodeId peer) const { return stats(peer).connected; }
};

// The other end of a connection under test, not bound by the protocol.
class ForeignEnd : public ConnectionHandler {
 public:
  ForeignEnd(EventLoop* loop, ScopedFd fd)
      : connection(std::make_unique<Connection>(loop, std::move(fd), this)) {}
  void OnBytes(std::string_view bytes) override { received.append(bytes); }
  void OnClosed(const absl::Status&) override { closed = true; }

  std::unique_ptr<Connection> connection;
  std::string received;
  bool closed = false;
};

class PeerNetworkTest : public ::testing::Test {
 protected:
  // Quick ones, so that silence is found while a test waits.
  static PeerNetworkOptions Options(raft::NodeId id);
  // Listens on a port of the kernel's choice, or again on `url`.
  std::unique_ptr<TestMember> Start(PeerNetworkOptions options,
                                    std::string url = "http://127.0.0.1:0");
  std::unique_ptr<TestMember> Start(raft::NodeId id) { return Start(Options(id)); }
  static void Introduce(TestMember& one, raft::NodeId one_id, TestMember& other,
                        raft::NodeId other_id);
  // Two members that can talk.
  void StartPair();

  // Runs the loop until `done`, or fails the test after `limit`.
  void RunUntil(const std::function<bool()>& done, Duration limit = Seconds(10));
  void RunFor(Duration duration);

  // A foreign end that dialled `member`, and one that did and shook hands as `from`.
  std::unique_ptr<ForeignEnd> Dial(const TestMember& member);
  std::unique_ptr<ForeignEnd> DialAs(raft::NodeId from, const TestMember& member,
                                     raft::NodeId member_id);

  // A foreign listener for members to dial; its connections are appended to `accepted`.
  std::string ListenAsForeigner(std::vector<std::unique_ptr<ForeignEnd>>& accepted);

  SteadyClock clock_;
  EventLoop loop_{&clock_};
  ManualExecutor background_;
  std::unique_ptr<Listener> foreign_listener_;
  std::unique_ptr<TestMember> a_;
  std::unique_ptr<TestMember> b_;
};

raft::Message HeartbeatOf(raft::NodeId from, raft::NodeId to, uint64_t round);
raft::Message AppendOf(raft::NodeId from, raft::NodeId to, uint64_t index,
                       std::string_view payload);
uint64_t RoundOf(const raft::Message& message);

// A whole frame of one message, or of anything.
std::string FrameOf(FrameKind kind, std::string_view payload);
std::string FrameOf(const raft::Message& message);

}  // namespace conclave::server
