#include "server/http2/request_headers.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "raft/base/text.h"

namespace conclave::server {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

class RequestHeadersTest : public ::testing::Test {
 protected:
  RequestHeadersTest() {
    methods_.Add({.path = "/etcdserverpb.KV/Put",
                  .kind = MethodKind::kUnary,
                  .on_request = [](const CallRef&, std::string_view) {},
                  .on_start = nullptr});
  }
  RequestHeaders Parse(const Headers& extra) {
    RequestHeaders headers(&methods_);
    for (const auto& [name, value] : extra) headers.Add(name, value);
    for (const auto& [name, value] : Headers{{":method", "POST"},
                                             {":path", "/etcdserverpb.KV/Put"},
                                             {"content-type", "application/grpc"}}) {
      const bool replaced =
          std::any_of(extra.begin(), extra.end(), [&](const auto& h) { return h.first == name; });
      if (!replaced) headers.Add(name, value);
    }
    return headers;
  }
  DispatchTable methods_;
};

TEST_F(RequestHeadersTest, AnOrdinaryCallHasItsMethodAndNothingAgainstIt) {
  const RequestHeaders headers = Parse({{"te", "trailers"}, {"user-agent", "grpc-go"}});
  EXPECT_FALSE(headers.Check().has_value());
  ASSERT_NE(headers.method(), nullptr);
  EXPECT_EQ(headers.method()->path, "/etcdserverpb.KV/Put");
  EXPECT_FALSE(headers.timeout().has_value());
  EXPECT_FALSE(headers.Metadata("token").has_value());
}

TEST_F(RequestHeadersTest, KeepsTheMetadataThatServicesReadAndNoOther) {
  const RequestHeaders headers = Parse({{"token", "abc.1"},
                                        {"authorization", "Bearer x"},
                                        {"hasleader", "true"},
                                        {"client-api-version", "3.6"},
                                        {"grpcgateway-accept", ""},
                                        {"conclave-request-id", "0123456789abcdef"},
                                        {"user-agent", "grpc-go"}});
  EXPECT_EQ(headers.Metadata("token"), "abc.1");
  EXPECT_EQ(headers.Metadata("authorization"), "Bearer x");
  EXPECT_EQ(headers.Metadata("hasleader"), "true");
  EXPECT_EQ(headers.Metadata("client-api-version"), "3.6");
  EXPECT_EQ(headers.Metadata("grpcgateway-accept"), "");
  EXPECT_EQ(headers.Metadata("conclave-request-id"), "0123456789abcdef");
  EXPECT_FALSE(headers.Metadata("user-agent").has_value());
}

TEST_F(RequestHeadersTest, TheFirstValueWins) {
  EXPECT_EQ(Parse({{"token", "first"}, {"token", "second"}}).Metadata("token"), "first");
}

TEST_F(RequestHeadersTest, CountsSizeAsTheRfcDoes) {
  RequestHeaders headers(&methods_);
  headers.Add("abc", "12345");
  headers.Add("", "");
  EXPECT_EQ(headers.list_bytes(), 3u + 5u + 32u + 32u);
}

TEST_F(RequestHeadersTest, ReadsTheTimeout) {
  EXPECT_EQ(Parse({{"grpc-timeout", "5S"}}).timeout(), Seconds(5));
}

TEST_F(RequestHeadersTest, SaysWhyACallCannotBeServed) {
  const struct {
    Headers headers;
    int http_status;
    absl::StatusCode code;
    std::string_view words;
  } cases[] = {
      {{{"content-type", "application/json"}},
       415,
       absl::StatusCode::kInvalidArgument,
       "invalid gRPC request content-type \"application/json\""},
      {{{":method", "GET"}},
       405,
       absl::StatusCode::kInternal,
       "received a GET request, where gRPC needs POST"},
      {{{":path", "/etcdserverpb.KV/Get"}},
       200,
       absl::StatusCode::kUnimplemented,
       "unknown method Get for service etcdserverpb.KV"},
      {{{":path", "/x.Y/Z"}}, 200, absl::StatusCode::kUnimplemented, "unknown service x.Y"},
      {{{"grpc-timeout", "soon"}},
       400,
       absl::StatusCode::kInternal,
       "malformed grpc-timeout: \"soon\""},
      {{{"grpc-encoding", "gzip"}},
       200,
       absl::StatusCode::kUnimplemented,
       "grpc: Decompressor is not installed for grpc-encoding \"gzip\""},
  };
  for (const auto& c : cases) {
    const auto refusal = Parse(c.headers).Check();
    ASSERT_TRUE(refusal.has_value()) << c.words;
    EXPECT_EQ(refusal->http_status, c.http_status);
    EXPECT_EQ(refusal->status.code(), c.code);
    EXPECT_EQ(MessageOf(refusal->status), c.words);
  }
  EXPECT_FALSE(Parse({{"grpc-encoding", "identity"}}).Check().has_value());
}

}  // namespace
}  // namespace conclave::server
