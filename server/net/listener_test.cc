#include "server/net/listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/base/text.h"
#include "server/net/connector.h"
#include "server/net/test_loop.h"

namespace conclave::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ListenerTest : public ::testing::Test {
 protected:
  absl::Status Listen(const SocketAddress& address) {
    auto listener = Listener::Listen(loop_.get(), address,
                                     [this](ScopedFd fd) { accepted_.push_back(std::move(fd)); });
    if (!listener.ok()) return listener.status();
    listener_ = *std::move(listener);
    return absl::OkStatus();
  }
  void Connect(const SocketAddress& address, Duration timeout = Seconds(5)) {
    connector_ = std::make_unique<Connector>(loop_.get(), address, timeout,
                                             [this](absl::StatusOr<ScopedFd> fd) {
                                               result_ = std::move(fd);
                                               connector_.reset();
                                             });
  }
  static std::string UnixPath() {
    return ::testing::TempDir() + "listener_test." + std::to_string(::getpid()) + ".sock";
  }

  TestLoop loop_;
  std::unique_ptr<Listener> listener_;
  std::vector<ScopedFd> accepted_;
  std::unique_ptr<Connector> connector_;
  std::optional<absl::StatusOr<ScopedFd>> result_;
};

TEST_F(ListenerTest, AcceptsOnEveryKindOfAddress) {
  for (const SocketAddress& address :
       {*SocketAddress::FromIp("127.0.0.1", 0), *SocketAddress::FromIp("::1", 0),
        *SocketAddress::FromUnixPath(UnixPath())}) {
    accepted_.clear();
    result_.reset();
    const absl::Status status = Listen(address);
    if (!status.ok() && address.ToString() == "[::1]:0") continue;  // a machine without IPv6
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(listener_->address().port() == 0, !address.unix_path().empty());
    Connect(listener_->address());
    EXPECT_FALSE(result_.has_value()) << "never from within the constructor";
    ASSERT_TRUE(loop_.RunUntil([&] { return result_.has_value() && accepted_.size() == 1; }));
    ASSERT_TRUE(result_->ok()) << result_->status();
    ASSERT_EQ(::write((*result_)->get(), "hi", 2), 2);
    char bytes[2] = {};
    ASSERT_TRUE(
        loop_.RunUntil([&] { return ::read(accepted_[0].get(), bytes, sizeof(bytes)) == 2; }));
    EXPECT_EQ(std::string(bytes, 2), "hi");
  }
}

TEST_F(ListenerTest, SaysWhichAddressIsTaken) {
  ASSERT_TRUE(Listen(*SocketAddress::FromIp("127.0.0.1", 0)).ok());
  const SocketAddress taken = listener_->address();
  const auto second = Listener::Listen(loop_.get(), taken, [](ScopedFd) {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(MessageOf(second.status())),
              AllOf(HasSubstr(taken.ToString()), HasSubstr("address already in use")));
}

TEST_F(ListenerTest, AcceptsABurst) {
  ASSERT_TRUE(Listen(*SocketAddress::FromIp("127.0.0.1", 0)).ok());
  std::vector<std::unique_ptr<Connector>> burst;
  std::vector<ScopedFd> connected;
  for (int i = 0; i < 300; ++i) {
    burst.push_back(std::make_unique<Connector>(
        loop_.get(), listener_->address(), Seconds(5),
        [&](absl::StatusOr<ScopedFd> fd) { connected.push_back(*std::move(fd)); }));
  }
  EXPECT_TRUE(loop_.RunUntil([&] { return accepted_.size() == 300 && connected.size() == 300; }));
}

TEST_F(ListenerTest, ReplacesASocketLeftBehindButNothingElse) {
  const std::string path = UnixPath();
  const SocketAddress address = *SocketAddress::FromUnixPath(path);
  ASSERT_TRUE(Listen(address).ok());
  // As a killed process leaves it: bound, and nobody removes the file.
  ASSERT_EQ(::rename(path.c_str(), (path + ".old").c_str()), 0);
  listener_.reset();
  ASSERT_EQ(::rename((path + ".old").c_str(), path.c_str()), 0);
  EXPECT_TRUE(Listen(address).ok());
  listener_.reset();
  EXPECT_NE(::access(path.c_str(), F_OK), 0) << "the path goes with the listener";
  FILE* file = ::fopen(path.c_str(), "w");
  ASSERT_NE(file, nullptr);
  ::fclose(file);
  EXPECT_FALSE(Listen(address).ok());
  EXPECT_EQ(::access(path.c_str(), F_OK), 0) << "an ordinary file is not ours to remove";
  ::unlink(path.c_str());
}

TEST_F(ListenerTest, OutOfDescriptorsItPausesAndGoesOn) {
  ASSERT_TRUE(Listen(*SocketAddress::FromIp("127.0.0.1", 0)).ok());
  ScopedFd client(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(client.get()) + 1;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  const SocketAddress address = listener_->address();
  (void)::connect(client.get(), address.kernel(), static_cast<socklen_t>(address.kernel_size()));
  loop_.RunUntilQuiet();  // would not end if the listener span
  EXPECT_TRUE(accepted_.empty());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  loop_.Skip(Seconds(1));
  EXPECT_TRUE(loop_.RunUntil([&] { return accepted_.size() == 1; }));
}

TEST_F(ListenerTest, ARefusedConnectSaysSo) {
  ASSERT_TRUE(Listen(*SocketAddress::FromIp("127.0.0.1", 0)).ok());
  const SocketAddress closed = listener_->address();
  listener_.reset();
  Connect(closed);
  ASSERT_TRUE(loop_.RunUntil([&] { return result_.has_value(); }));
  ASSERT_FALSE(result_->ok());
  EXPECT_EQ(result_->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(MessageOf(result_->status())),
              AllOf(HasSubstr(closed.ToString()), HasSubstr("connection refused")));
}

TEST_F(ListenerTest, AConnectToAMissingPathFailsFromALaterTurn) {
  Connect(*SocketAddress::FromUnixPath(UnixPath() + ".absent"));
  EXPECT_FALSE(result_.has_value());
  ASSERT_TRUE(loop_.RunUntil([&] { return result_.has_value(); }));
  EXPECT_FALSE(result_->ok());
}

TEST_F(ListenerTest, AConnectWithoutAnswerTimesOut) {
  // A listening socket whose backlog is full does not answer any more.
  ScopedFd full(::socket(AF_INET, SOCK_STREAM, 0));
  const SocketAddress any = *SocketAddress::FromIp("127.0.0.1", 0);
  ASSERT_EQ(::bind(full.get(), any.kernel(), static_cast<socklen_t>(any.kernel_size())), 0);
  ASSERT_EQ(::listen(full.get(), 0), 0);
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  ASSERT_EQ(::getsockname(full.get(), reinterpret_cast<sockaddr*>(&storage), &size), 0);
  const SocketAddress address = SocketAddress::FromKernel(storage, size);
  std::vector<ScopedFd> fillers;
  for (int i = 0; i < 4; ++i) {
    fillers.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    (void)::connect(fillers.back().get(), address.kernel(), size);
  }
  Connect(address, Seconds(3));
  loop_.Skip(Seconds(2));
  EXPECT_FALSE(result_.has_value());
  loop_.Skip(Seconds(2));
  ASSERT_TRUE(result_.has_value());
  EXPECT_EQ(result_->status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ListenerTest, AnAbandonedConnectDoesNotReport) {
  ASSERT_TRUE(Listen(*SocketAddress::FromIp("127.0.0.1", 0)).ok());
  Connect(listener_->address());
  connector_.reset();
  loop_.RunUntilQuiet();
  EXPECT_FALSE(result_.has_value());
}

}  // namespace
}  // namespace conclave::server
