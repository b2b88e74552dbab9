// The seeded bugs of calls on I/O lanes, each with it and without it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/base/with_seeded_bug.h"
#include "server/http2/server_test_fixture.h"
#include "server/lanes/relayed_call_test_service.h"

namespace conclave::server {
namespace {

using ::testing::ElementsAre;

class RelayBugsTest : public ServerTest {
 protected:
  // How often the service has heard that a call is over whose client has left.
  int EndsTold() {
    auto client = NewClient();
    client->Open(kChat);
    loop_.RunUntilQuiet();
    client->Disconnect();
    loop_.RunUntilQuiet();
    const int told = closed_;
    // A call that is never over holds its handler, which holds the call.
    for (const CallRef& call : chats_) static_cast<RelayedCall&>(*call).OnClosed();
    return told;
  }
  // What a service that heeds Writable() gets through to a client that takes all.
  size_t ProducedBytes() {
    auto client = NewClient({.grant_windows = true, .stream_window = 1 << 20});
    const int32_t id = client->Call(kProduce, "");
    for (int turn = 0; turn < 1000; ++turn) loop_->RunTurn(Duration::zero());
    return client->call(id).body.size();
  }
};

TEST_F(RelayBugsTest, TheEndIsTold) { EXPECT_EQ(EndsTold(), 1); }

TEST_F(RelayBugsTest, RelayedEndUntold) {
  const WithSeededBug bug(SeededBug::kRelayedEndUntold);
  EXPECT_EQ(EndsTold(), 0);
}

TEST_F(RelayBugsTest, RoomIsTold) { EXPECT_GT(ProducedBytes(), 4u << 20); }

TEST_F(RelayBugsTest, RelayedRoomUntold) {
  const WithSeededBug bug(SeededBug::kRelayedRoomUntold);
  EXPECT_LT(ProducedBytes(), 2u << 20);
}

TEST_F(RelayedCallTest, HeldMessageOvertaken) {
  const WithSeededBug bug(SeededBug::kHeldMessageOvertaken);
  EXPECT_THAT(MessagesAroundAResume(), ElementsAre("2", "1"));
}

}  // namespace
}  // namespace conclave::server
