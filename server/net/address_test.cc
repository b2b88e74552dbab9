#include "server/net/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "raft/base/text.h"

namespace conclave::server {
namespace {

using ::testing::HasSubstr;

TEST(ParseSocketUrl, TakesEtcdsUrlsApart) {
  const struct {
    std::string_view text;
    SocketUrl url;
  } cases[] = {
      {"http://10.0.0.1:2379", {false, "10.0.0.1", 2379, ""}},
      {"http://10.0.0.1:2379/", {false, "10.0.0.1", 2379, ""}},
      {"https://db-0.db.svc:2380", {true, "db-0.db.svc", 2380, ""}},
      {"http://localhost:0", {false, "localhost", 0, ""}},
      {"http://[::1]:2379", {false, "::1", 2379, ""}},
      {"http://0.0.0.0:65535", {false, "0.0.0.0", 65535, ""}},
      {"unix:///run/conclave.sock", {false, "", 0, "/run/conclave.sock"}},
      {"unix://relative.sock", {false, "", 0, "relative.sock"}},
      {"unixs:///run/tls.sock", {true, "", 0, "/run/tls.sock"}},
  };
  for (const auto& c : cases) {
    const auto url = ParseSocketUrl(c.text);
    ASSERT_TRUE(url.ok()) << url.status();
    EXPECT_EQ(*url, c.url) << c.text;
  }
}

TEST(ParseSocketUrl, SaysWhatIsWrong) {
  const struct {
    std::string_view text, why;
  } cases[] = {
      {"", "needs a scheme"},
      {"10.0.0.1:2379", "needs a scheme"},
      {"ftp://10.0.0.1:2379", "scheme must be"},
      {"http://10.0.0.1", "port is missing"},
      {"http://10.0.0.1:", "port is not a number"},
      {"http://10.0.0.1:http", "port is not a number"},
      {"http://10.0.0.1:65536", "port is not a number"},
      {"http://10.0.0.1:-1", "port is not a number"},
      {"http://10.0.0.1:2379x", "port is not a number"},
      {"http://:2379", "host is missing"},
      {"http://::1:2379", "needs brackets"},
      {"http://[::1:2379", "without ']'"},
      {"http://[::1]2379", "port is missing"},
      {"http://a:1/path", "only a host and a port"},
      {"http://user@a:1", "only a host and a port"},
      {"unix://", "path is missing"},
  };
  for (const auto& c : cases) {
    const auto url = ParseSocketUrl(c.text);
    ASSERT_FALSE(url.ok()) << c.text;
    EXPECT_EQ(url.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(MessageOf(url.status())), HasSubstr(std::string(c.why))) << c.text;
    EXPECT_THAT(std::string(MessageOf(url.status())), HasSubstr(std::string(c.text)));
  }
}

TEST(Resolve, AnswersAddressesAndLocalhostWithoutTheNameService) {
  const struct {
    std::string_view url, address;
  } cases[] = {
      {"http://10.0.0.1:2379", "10.0.0.1:2379"},
      {"http://localhost:2379", "127.0.0.1:2379"},
      {"http://[::1]:2379", "[::1]:2379"},
      {"unix:///run/c.sock", "unix:/run/c.sock"},
  };
  for (const auto& c : cases) {
    const auto addresses = Resolve(*ParseSocketUrl(c.url));
    ASSERT_TRUE(addresses.ok()) << addresses.status();
    ASSERT_EQ(addresses->size(), 1u);
    EXPECT_EQ(addresses->front().ToString(), c.address);
  }
}

TEST(Resolve, AnUnknownNameIsUnavailable) {
  const auto addresses = Resolve(*ParseSocketUrl("http://no-such-host.invalid:2379"));
  ASSERT_FALSE(addresses.ok());
  EXPECT_EQ(addresses.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(MessageOf(addresses.status())), HasSubstr("no-such-host.invalid"));
}

TEST(SocketAddress, KeepsPortAndPath) {
  EXPECT_EQ(SocketAddress::FromIp("1.2.3.4", 80)->port(), 80);
  EXPECT_EQ(SocketAddress::FromIp("::1", 81)->port(), 81);
  EXPECT_EQ(SocketAddress::FromUnixPath("/a/b")->unix_path(), "/a/b");
  EXPECT_EQ(SocketAddress::FromUnixPath("/a/b")->port(), 0);
  EXPECT_EQ(SocketAddress::FromIp("1.2.3.4", 80)->unix_path(), "");
}

TEST(SocketAddress, RefusesWhatTheKernelCannotHold) {
  EXPECT_FALSE(SocketAddress::FromIp("1.2.3", 1).ok());
  EXPECT_FALSE(SocketAddress::FromIp("host", 1).ok());
  EXPECT_FALSE(SocketAddress::FromUnixPath("").ok());
  EXPECT_TRUE(SocketAddress::FromUnixPath(std::string(107, 'x')).ok());
  EXPECT_FALSE(SocketAddress::FromUnixPath(std::string(108, 'x')).ok());
}

}  // namespace
}  // namespace conclave::server
