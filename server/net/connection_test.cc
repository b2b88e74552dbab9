#include "server/net/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>

#include "server/net/test_loop.h"

namespace conclave::server {
namespace {

struct RecordingHandler : ConnectionHandler {
  void OnBytes(std::string_view bytes) override {
    received.append(bytes);
    if (on_bytes) on_bytes();
  }
  void OnDrained() override { ++drained; }
  void OnClosed(const absl::Status& why) override {
    EXPECT_FALSE(closed.has_value()) << "closed twice";
    closed = why;
    if (on_closed) on_closed();
  }
  std::string received;
  int drained = 0;
  std::optional<absl::Status> closed;
  std::function<void()> on_bytes;
  std::function<void()> on_closed;
};

class ConnectionTest : public ::testing::Test {
 protected:
  ConnectionTest() { std::tie(ours_, peer_) = MakeSocketPair(); }
  void Open(ConnectionOptions options = {}) {
    connection_ = std::make_unique<Connection>(loop_.get(), std::move(ours_), &handler_, options);
  }
  // What the peer can read now.
  std::string PeerReads() {
    std::string all;
    char buffer[65536];
    ssize_t got;
    while ((got = ::read(peer_.get(), buffer, sizeof(buffer))) > 0) {
      all.append(buffer, static_cast<size_t>(got));
    }
    peer_saw_end_ = got == 0;
    return all;
  }
  void PeerWrites(std::string_view bytes) {
    ASSERT_EQ(::write(peer_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }

  TestLoop loop_;
  RecordingHandler handler_;
  ScopedFd ours_, peer_;
  bool peer_saw_end_ = false;
  std::unique_ptr<Connection> connection_;
};

TEST_F(ConnectionTest, DeliversInput) {
  Open();
  PeerWrites("hello");
  loop_.RunUntilQuiet();
  EXPECT_EQ(handler_.received, "hello");
  EXPECT_EQ(connection_->bytes_received(), 5u);
}

TEST_F(ConnectionTest, ATurnTakesThePortionThatItIsTold) {
  size_t portion = 2;
  const ReadPortion asked = [&] { return portion; };
  Open({.read_portion = &asked});
  PeerWrites("hello, world");
  loop_->RunTurn(Duration::zero());
  EXPECT_EQ(handler_.received, "he");
  portion = EventLoop::kReadBufferSize + 1;  // more than there is room for
  loop_->RunTurn(Duration::zero());
  EXPECT_EQ(handler_.received, "hello, world");
}

TEST_F(ConnectionTest, WritesLeaveTogetherAtTheEndOfTheTurn) {
  Open();
  loop_->Post([&] {
    connection_->Write("one ");
    connection_->Write("two");
    EXPECT_EQ(PeerReads(), "");
  });
  loop_->RunTurn(Duration::zero());
  EXPECT_EQ(PeerReads(), "one two");
  EXPECT_EQ(connection_->queued_bytes(), 0u);
  EXPECT_EQ(connection_->bytes_sent(), 7u);
}

TEST_F(ConnectionTest, ASlowPeerGetsEverythingInOrderAndTheWriterIsTold) {
  Open({.output_high_mark = 1 << 20, .output_low_mark = 1 << 10, .output_bytes_max = 64 << 20});
  std::string sent;
  for (int i = 0; sent.size() < (4u << 20); ++i) sent += std::to_string(i) + ",";
  connection_->Write(sent);
  EXPECT_FALSE(connection_->Writable());
  loop_.RunUntilQuiet();
  EXPECT_GT(connection_->queued_bytes(), 1u << 20) << "the kernel cannot have taken all";
  EXPECT_EQ(handler_.drained, 0);
  std::string received;
  ASSERT_TRUE(loop_.RunUntil([&] {
    received += PeerReads();
    return received.size() == sent.size();
  }));
  EXPECT_EQ(received, sent);
  EXPECT_EQ(handler_.drained, 1);
  EXPECT_TRUE(connection_->Writable());
}

TEST_F(ConnectionTest, OutputBeyondItsBoundClosesTheConnection) {
  Open({.output_high_mark = 1 << 10, .output_low_mark = 1 << 9, .output_bytes_max = 1 << 20});
  connection_->Write(std::string(1 << 20, 'x'));
  connection_->Write("y");
  EXPECT_FALSE(handler_.closed.has_value()) << "never from within Write";
  loop_.RunUntilQuiet();
  ASSERT_TRUE(handler_.closed.has_value());
  EXPECT_EQ(handler_.closed->code(), absl::StatusCode::kUnavailable);
}

TEST_F(ConnectionTest, PausedInputStaysInTheKernel) {
  Open();
  connection_->PauseReading();
  PeerWrites("later");
  loop_.RunUntilQuiet();
  EXPECT_EQ(handler_.received, "");
  connection_->ResumeReading();
  loop_.RunUntilQuiet();
  EXPECT_EQ(handler_.received, "later");
}

TEST_F(ConnectionTest, ThePeersEndIsAnOrderlyClose) {
  Open();
  PeerWrites("last words");
  peer_.Reset();
  loop_.RunUntilQuiet();
  EXPECT_EQ(handler_.received, "last words");
  ASSERT_TRUE(handler_.closed.has_value());
  EXPECT_TRUE(handler_.closed->ok());
}

TEST_F(ConnectionTest, ALostPeerIsNoticedWhileReadingIsPaused) {
  Open();
  connection_->PauseReading();
  peer_.Reset();
  loop_.RunUntilQuiet();
  ASSERT_TRUE(handler_.closed.has_value());
  EXPECT_EQ(handler_.closed->code(), absl::StatusCode::kUnavailable);
}

TEST_F(ConnectionTest, CloseAfterFlushSendsEverythingThenEndsThenWaitsForThePeer) {
  Open();
  const std::string sent(3 << 20, 'x');
  connection_->Write(sent);
  connection_->CloseAfterFlush(Seconds(5));
  connection_->Write("too late");
  PeerWrites("nobody listens");
  std::string received;
  ASSERT_TRUE(loop_.RunUntil([&] {
    received += PeerReads();
    return peer_saw_end_;
  }));
  EXPECT_EQ(received.size(), sent.size());
  EXPECT_EQ(handler_.received, "");
  EXPECT_FALSE(handler_.closed.has_value());
  peer_.Reset();
  loop_.RunUntilQuiet();
  ASSERT_TRUE(handler_.closed.has_value());
  EXPECT_TRUE(handler_.closed->ok());
}

TEST_F(ConnectionTest, CloseAfterFlushDoesNotWaitForEver) {
  Open();
  connection_->Write(std::string(3 << 20, 'x'));
  connection_->CloseAfterFlush(Seconds(5));
  loop_.Skip(Seconds(4));
  EXPECT_FALSE(handler_.closed.has_value());
  loop_.Skip(Seconds(2));
  ASSERT_TRUE(handler_.closed.has_value());
}

TEST_F(ConnectionTest, MayBeDestroyedFromItsCallbacks) {
  Open();
  handler_.on_bytes = [this] { connection_.reset(); };
  PeerWrites("x");
  loop_.RunUntilQuiet();
  EXPECT_EQ(connection_, nullptr);
  EXPECT_EQ(PeerReads(), "");
  EXPECT_TRUE(peer_saw_end_);
}

TEST_F(ConnectionTest, MayBeDestroyedWhenClosedByAnOverflow) {
  Open({.output_high_mark = 1, .output_low_mark = 0, .output_bytes_max = 1});
  handler_.on_closed = [this] { connection_.reset(); };
  connection_->Write("xx");
  loop_.RunUntilQuiet();
  EXPECT_EQ(connection_, nullptr);
}

TEST_F(ConnectionTest, AWriteToALostPeerEndsTheConnectionOnce) {
  Open();
  peer_.Reset();
  connection_->Write("x");
  loop_.RunUntilQuiet();
  ASSERT_TRUE(handler_.closed.has_value());
}

}  // namespace
}  // namespace conclave::server
