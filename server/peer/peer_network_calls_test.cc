// PeerCalls over the peer network: every call ends once, with the peer's own words or with an error
// that says why.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/errors.h"
#include "server/peer/peer_network.h"
#include "server/peer/peer_test_members.h"

namespace conclave::server {
namespace {

using ::testing::HasSubstr;

class PeerCallsTest : public PeerNetworkTest {
 protected:
  using Result = absl::StatusOr<std::string>;

  void SetUp() override {
    StartPair();
    for (const PeerMethod method : {PeerMethod::kLeaseKeepAlive, PeerMethod::kLeaseTimeToLive}) {
      b_->network->SetHandler(
          method, [this, method](std::string_view request, PeerCalls::Answer answer) {
            if (request == "hold") {
              held_.push_back(std::move(answer));
            } else if (request == "fail") {
              answer(kv::ErrLeaseNotFound());
            } else {
              answer(std::string(request) + "/" + std::to_string(static_cast<int>(method)));
            }
          });
    }
  }

  void Call(std::string request, Duration timeout = Seconds(5), raft::NodeId peer = kB,
            PeerMethod method = PeerMethod::kLeaseKeepAlive) {
    a_->network->CallPeer(peer, method, std::move(request), timeout,
                          [this](Result result) { results_.push_back(std::move(result)); });
  }

  void RunUntilResults(size_t count) {
    RunUntil([&] { return results_.size() >= count; });
    ASSERT_EQ(results_.size(), count);
  }

  std::vector<PeerCalls::Answer> held_;
  std::vector<Result> results_;
};

TEST_F(PeerCallsTest, AnswerComesBackWithTheMethodKnown) {
  Call("q");
  Call("r", Seconds(5), kB, PeerMethod::kLeaseTimeToLive);
  RunUntilResults(2);
  EXPECT_EQ(results_[0].value(), "q/1");
  EXPECT_EQ(results_[1].value(), "r/2");
}

TEST_F(PeerCallsTest, ErrorReachesTheCallerUnchanged) {
  Call("fail");
  RunUntilResults(1);
  EXPECT_EQ(results_[0].status(), kv::ErrLeaseNotFound());
}

TEST_F(PeerCallsTest, LaterAnswersMayOvertake) {
  Call("hold");
  Call("q");
  RunUntilResults(1);
  EXPECT_EQ(results_[0].value(), "q/1");
  held_.at(0)(std::string("late"));
  RunUntilResults(2);
  EXPECT_EQ(results_[1].value(), "late");
}

TEST_F(PeerCallsTest, TimeoutEndsTheCallAndALateAnswerIsIgnored) {
  Call("hold", Milliseconds(50));
  RunUntilResults(1);
  EXPECT_EQ(results_[0].status(), kv::ErrTimeout());
  held_.at(0)(std::string("late"));
  RunFor(Milliseconds(50));
  EXPECT_EQ(results_.size(), 1u);
}

TEST_F(PeerCallsTest, LostConnectionFailsTheCallsThatWait) {
  Call("hold");
  Call("hold");
  RunUntil([&] { return held_.size() == 2; });
  b_.reset();
  RunUntilResults(2);
  EXPECT_EQ(results_[0].status(), kv::ErrNoLeader());
  EXPECT_EQ(results_[1].status(), kv::ErrNoLeader());
  held_.at(0)(std::string("nobody is there"));  // after its network: nothing
}

TEST_F(PeerCallsTest, RemovedPeerFailsTheCallsThatWait) {
  Call("hold");
  RunUntil([&] { return held_.size() == 1; });
  a_->network->RemovePeer(kB);
  RunUntilResults(1);
  EXPECT_EQ(results_[0].status(), kv::ErrNoLeader());
}

TEST_F(PeerCallsTest, WithoutConnectionItFailsSoonButNotWithinTheCall) {
  for (raft::NodeId nobody : {kC, raft::kNoNode}) {
    results_.clear();
    Call("q", Seconds(5), nobody);
    EXPECT_TRUE(results_.empty());
    RunUntilResults(1);
    EXPECT_EQ(results_[0].status(), kv::ErrNoLeader());
  }
}

TEST_F(PeerCallsTest, UnknownMethodIsAnsweredAndHarmsNobody) {
  Call("q", Seconds(5), kB, static_cast<PeerMethod>(200));
  RunUntilResults(1);
  EXPECT_EQ(results_[0].status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_TRUE(a_->Connected(kB));
}

TEST_F(PeerCallsTest, MemberWithoutHandlerAnswersToo) {
  b_->network->SetHandler(PeerMethod::kLeaseKeepAlive, nullptr);
  Call("q");
  RunUntilResults(1);
  EXPECT_EQ(results_[0].status().code(), absl::StatusCode::kUnimplemented);
}

TEST_F(PeerCallsTest, HandlerMayRemoveTheCallerBeforeItAnswers) {
  b_->network->SetHandler(PeerMethod::kLeaseKeepAlive,
                          [this](std::string_view, PeerCalls::Answer answer) {
                            b_->network->RemovePeer(kA);
                            answer(std::string("to nobody"));
                          });
  Call("q");
  RunUntilResults(1);
  EXPECT_EQ(results_[0].status(), kv::ErrNoLeader());
}

TEST_F(PeerCallsTest, AnswerMayCallAgain) {
  a_->network->CallPeer(kB, PeerMethod::kLeaseKeepAlive, "first", Seconds(5), [this](Result first) {
    results_.push_back(std::move(first));
    Call("second");
  });
  RunUntilResults(2);
  EXPECT_EQ(results_[1].value(), "second/1");
}

TEST_F(PeerCallsTest, WaitingCallsAreLimitedInNumber) {
  PeerNetworkOptions options = Options(kC);
  options.calls_pending_max = 2;
  auto c = Start(std::move(options));
  Introduce(*c, kC, *b_, kB);
  RunUntil([&] { return c->Connected(kB); });
  for (int i = 0; i < 3; ++i) {
    c->network->CallPeer(kB, PeerMethod::kLeaseKeepAlive, "hold", Seconds(5),
                         [this](Result result) { results_.push_back(std::move(result)); });
  }
  RunUntilResults(1);
  EXPECT_EQ(results_[0].status(), kv::ErrTooManyRequests());
}

TEST_F(PeerCallsTest, OversizeIsAnErrorOnEitherWay) {
  PeerNetworkOptions options = Options(kC);
  options.message_bytes_max = 1000;
  auto c = Start(std::move(options));
  c->network->SetHandler(
      PeerMethod::kLeaseKeepAlive,
      [](std::string_view, PeerCalls::Answer answer) { answer(std::string(1001, 'x')); });
  Introduce(*c, kC, *a_, kA);
  RunUntil([&] { return a_->Connected(kC) && c->Connected(kA); });
  Call("q", Seconds(5), kC);
  RunUntilResults(1);
  EXPECT_THAT(results_[0].status().message(), HasSubstr("too large"));
  c->network->CallPeer(kA, PeerMethod::kLeaseKeepAlive, std::string(1001, 'x'), Seconds(5),
                       [this](Result result) { results_.push_back(std::move(result)); });
  RunUntilResults(2);
  EXPECT_EQ(results_[1].status(), kv::ErrRequestTooLarge());
}

}  // namespace
}  // namespace conclave::server
