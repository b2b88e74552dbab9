#include "server/http2/grpc_text.h"

#include <gtest/gtest.h>

#include <limits>

namespace conclave::server {
namespace {

TEST(IsGrpcContentType, TakesGrpcAndItsCodecs) {
  for (const char* type : {"application/grpc", "application/grpc+proto", "application/grpc;v=1"}) {
    EXPECT_TRUE(IsGrpcContentType(type)) << type;
  }
  for (const char* type :
       {"", "application/json", "application/grpcweb", "application/grpc-web", "application/grp"}) {
    EXPECT_FALSE(IsGrpcContentType(type)) << type;
  }
}

TEST(ParseGrpcTimeout, KnowsEveryUnit) {
  const struct {
    const char* text;
    Duration timeout;
  } cases[] = {
      {"1H", Seconds(3600)},
      {"2M", Seconds(120)},
      {"3S", Seconds(3)},
      {"4999893u", Duration(4'999'893'000)},
      {"5m", Milliseconds(5)},
      {"6n", Duration(6)},
      {"0S", Duration(0)},
      {"00000001S", Seconds(1)},
      {"99999999H", Duration::max()},  // beyond what nanoseconds can count
      {"99999999S", Seconds(99'999'999)},
  };
  for (const auto& c : cases) {
    ASSERT_TRUE(ParseGrpcTimeout(c.text).has_value()) << c.text;
    EXPECT_EQ(*ParseGrpcTimeout(c.text), c.timeout) << c.text;
  }
}

TEST(ParseGrpcTimeout, RefusesTheRest) {
  for (const char* text : {"", "S", "5", "5s", "5h", "-5S", "+5S", " 5S", "5 S", "5SS", "1.5S",
                           "123456789S", "0x5S"}) {
    EXPECT_FALSE(ParseGrpcTimeout(text).has_value()) << text;
  }
}

TEST(PercentEncode, KeepsPrintableAsciiAndEncodesTheRest) {
  EXPECT_EQ(PercentEncode(""), "");
  EXPECT_EQ(PercentEncode("etcdserver: key is not provided"), "etcdserver: key is not provided");
  EXPECT_EQ(PercentEncode("100%"), "100%25");
  EXPECT_EQ(PercentEncode("a\r\nb\x7f"), "a%0D%0Ab%7F");
  EXPECT_EQ(PercentEncode("größer"), "gr%C3%B6%C3%9Fer");
}

}  // namespace
}  // namespace conclave::server
