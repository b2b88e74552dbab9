#include "server/peer/handshake.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "raft/base/coding.h"
#include "raft/base/text.h"

namespace conclave::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uint64_t kCluster = 0xc1;
constexpr raft::NodeId kDialler{0xa};
constexpr raft::NodeId kAccepter{0xb};

Hello GoodHello() {
  return {.cluster_id = kCluster, .from = kDialler, .to = kAccepter, .urls = "http://a:1"};
}
Verdict GoodVerdict() { return {.cluster_id = kCluster, .from = kAccepter, .refusal = ""}; }

std::string BytesOf(const Hello& hello) {
  std::string out;
  AppendHello(hello, out);
  return out;
}

std::string BytesOf(const Verdict& verdict) {
  std::string out;
  AppendVerdict(verdict, out);
  return out;
}

TEST(Handshake, HelloComesBackAndLeavesWhatFollows) {
  const std::string bytes = BytesOf(GoodHello());
  auto parsed = ParseHello(bytes + "frames");
  ASSERT_TRUE(parsed.ok() && parsed->has_value());
  EXPECT_EQ((*parsed)->value, GoodHello());
  EXPECT_EQ((*parsed)->size, bytes.size());
}

TEST(Handshake, VerdictComesBackWithAndWithoutRefusal) {
  for (const std::string& refusal : {std::string(), std::string("no"), std::string(255, 'r')}) {
    Verdict verdict = GoodVerdict();
    verdict.kind = refusal.empty() ? VerdictKind::kAccepted : VerdictKind::kRemoved;
    verdict.refusal = refusal;
    const std::string bytes = BytesOf(verdict);
    auto parsed = ParseVerdict(bytes + "frames");
    ASSERT_TRUE(parsed.ok() && parsed->has_value());
    EXPECT_EQ((*parsed)->value, verdict);
    EXPECT_EQ((*parsed)->size, bytes.size());
  }
}

TEST(Handshake, BytesAreAsTheProtocolPageSays) {
  using std::string_literals::operator""s;
  EXPECT_EQ(BytesOf(GoodHello()),
            "CNCLVhi\n"
            "\x01\0\0\0"
            "\xc1\0\0\0\0\0\0\0"
            "\x0a\0\0\0\0\0\0\0"
            "\x0b\0\0\0\0\0\0\0"
            "\x0a\0\0\0http://a:1"
            "\xcd\x18\x1b\x2e"s);
  Verdict verdict = GoodVerdict();
  verdict.kind = VerdictKind::kRefused;
  verdict.refusal = "no";
  EXPECT_EQ(BytesOf(verdict),
            "CNCLVre\n"
            "\x01\0\0\0"
            "\xc1\0\0\0\0\0\0\0"
            "\x0b\0\0\0\0\0\0\0"
            "\x01\x02no"
            "\xec\x88\xe7\x41"s);
}

TEST(Handshake, LongRefusalIsCut) {
  Verdict verdict = GoodVerdict();
  verdict.refusal = std::string(1000, 'r');
  auto parsed = ParseVerdict(BytesOf(verdict));
  ASSERT_TRUE(parsed.ok() && parsed->has_value());
  EXPECT_EQ((*parsed)->value.refusal, std::string(255, 'r'));
}

TEST(Handshake, TruncatedAtEveryByteIsNotThereYet) {
  Verdict refusing = GoodVerdict();
  refusing.refusal = "a reason";
  const std::string hello = BytesOf(GoodHello());
  const std::string verdict = BytesOf(refusing);
  for (size_t size = 0; size < hello.size(); ++size) {
    auto parsed = ParseHello(std::string_view(hello).substr(0, size));
    ASSERT_TRUE(parsed.ok()) << size;
    EXPECT_FALSE(parsed->has_value()) << size;
  }
  for (size_t size = 0; size < verdict.size(); ++size) {
    auto parsed = ParseVerdict(std::string_view(verdict).substr(0, size));
    ASSERT_TRUE(parsed.ok()) << size;
    EXPECT_FALSE(parsed->has_value()) << size;
  }
}

// A size that has grown waits for bytes that do not come, until the time for a handshake is over.
TEST(Handshake, AnyFlippedBitIsFound) {
  const std::string hello = BytesOf(GoodHello());
  for (size_t bit = 0; bit < hello.size() * 8; ++bit) {
    std::string damaged = hello;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    auto parsed = ParseHello(damaged);
    EXPECT_FALSE(parsed.ok() && parsed->has_value()) << "bit " << bit;
  }
}

TEST(Handshake, HelloOfTooManyUrlsIsRefused) {
  Hello hello = GoodHello();
  hello.urls = std::string(kHelloUrlsBytesMax, 'u');
  std::string bytes = BytesOf(hello);
  EXPECT_EQ((*ParseHello(bytes))->value, hello);
  StoreFixed32(bytes.data() + 36, kHelloUrlsBytesMax + 1);
  EXPECT_FALSE(ParseHello(bytes).ok());
}

TEST(Handshake, VerdictOfUnknownKindIsRefused) {
  Verdict verdict = GoodVerdict();
  verdict.kind = VerdictKind{3};
  EXPECT_FALSE(ParseVerdict(BytesOf(verdict)).ok());
}

// A guest wants whoever answers, and need not know the cluster or itself.
TEST(Handshake, GuestIsAcceptedByAnyMemberOfItsCluster) {
  const Hello stranger{.cluster_id = 0, .from = raft::kNoNode, .to = raft::kNoNode};
  EXPECT_TRUE(stranger.guest());
  EXPECT_EQ(ReasonToRefuse(stranger, kCluster, kAccepter), "");
  EXPECT_EQ(ReasonToRefuse(GoodVerdict(), stranger), "");
  Hello knowing{.cluster_id = kCluster, .from = kDialler, .to = raft::kNoNode};
  EXPECT_EQ(ReasonToRefuse(knowing, kCluster, kAccepter), "");
  EXPECT_EQ(ReasonToRefuse(GoodVerdict(), knowing), "");

  knowing.cluster_id = 0xc2;
  EXPECT_THAT(ReasonToRefuse(knowing, kCluster, kAccepter), HasSubstr("wrong cluster"));
  EXPECT_THAT(ReasonToRefuse(GoodVerdict(), knowing), HasSubstr("of cluster c1, wanted"));
  knowing.cluster_id = kCluster;
  knowing.from = kAccepter;
  EXPECT_THAT(ReasonToRefuse(knowing, kCluster, kAccepter), HasSubstr("cannot be the id"));
}

TEST(Handshake, OnlyTheMemberThatWasWantedIsBelievedAboutARemoval) {
  const Hello hello = GoodHello();
  Verdict verdict = GoodVerdict();
  verdict.kind = VerdictKind::kRemoved;
  EXPECT_TRUE(SaysRemoved(verdict, hello));
  EXPECT_NE(ReasonToRefuse(verdict, hello), "");

  verdict.from = raft::NodeId(0xd);
  EXPECT_FALSE(SaysRemoved(verdict, hello));
  verdict = GoodVerdict();
  verdict.kind = VerdictKind::kRemoved;
  verdict.cluster_id = 0xc2;
  EXPECT_FALSE(SaysRemoved(verdict, hello));
  verdict = GoodVerdict();
  verdict.kind = VerdictKind::kRefused;
  EXPECT_FALSE(SaysRemoved(verdict, hello));
}

TEST(Handshake, SomethingElseIsRefusedByItsFirstByte) {
  EXPECT_FALSE(ParseHello("GET / HTTP/1.1\r\n").ok());
  EXPECT_FALSE(ParseHello("P").ok());
  EXPECT_FALSE(ParseVerdict("H").ok());
  EXPECT_FALSE(ParseVerdict(BytesOf(GoodHello())).ok());
}

TEST(Handshake, AcceptingMemberSaysWhatIsWrong) {
  EXPECT_EQ(ReasonToRefuse(GoodHello(), kCluster, kAccepter), "");

  Hello hello = GoodHello();
  hello.version = 2;
  EXPECT_THAT(ReasonToRefuse(hello, kCluster, kAccepter), HasSubstr("version 2"));
  hello = GoodHello();
  hello.cluster_id = 0xc2;
  EXPECT_THAT(ReasonToRefuse(hello, kCluster, kAccepter),
              AllOf(HasSubstr("wrong cluster"), HasSubstr("c2"), HasSubstr("c1")));
  hello = GoodHello();
  hello.to = raft::NodeId(0xd);
  EXPECT_THAT(ReasonToRefuse(hello, kCluster, kAccepter), HasSubstr("wrong member: d wanted"));
  for (raft::NodeId impossible : {kAccepter, raft::kNoNode}) {
    hello = GoodHello();
    hello.from = impossible;
    EXPECT_THAT(ReasonToRefuse(hello, kCluster, kAccepter), HasSubstr("cannot be the id"));
  }
}

TEST(Handshake, DiallingMemberChecksWhoAccepted) {
  const Hello hello = GoodHello();
  EXPECT_EQ(ReasonToRefuse(GoodVerdict(), hello), "");

  Verdict verdict = GoodVerdict();
  verdict.kind = VerdictKind::kRefused;
  verdict.refusal = "some reason";
  EXPECT_THAT(ReasonToRefuse(verdict, hello), HasSubstr("refused by member b of cluster c1: some"));
  verdict = GoodVerdict();
  verdict.version = 9;
  EXPECT_THAT(ReasonToRefuse(verdict, hello), HasSubstr("version 9"));
  verdict = GoodVerdict();
  verdict.from = raft::NodeId(0xd);
  EXPECT_THAT(ReasonToRefuse(verdict, hello), HasSubstr("accepted by member d"));
  verdict = GoodVerdict();
  verdict.cluster_id = 0xc2;
  EXPECT_THAT(ReasonToRefuse(verdict, hello), HasSubstr("of cluster c2, wanted"));
}

}  // namespace
}  // namespace conclave::server
