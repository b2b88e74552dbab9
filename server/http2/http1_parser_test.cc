#include "server/http2/http1_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace conclave::server {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

constexpr std::string_view kGet = "GET /health?serializable=true HTTP/1.1\r\nHost: a:1\r\n\r\n";
constexpr std::string_view kPost =
    "POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
constexpr std::string_view kChunked =
    "POST /v3/kv/put HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    "3;note=x\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";

class Http1ParserTest : public ::testing::Test {
 protected:
  Http1Parser::Result Parse(std::string_view input) {
    parser_.Add(input);
    return parser_.Next(&request_);
  }
  HttpOptions options_;
  Http1Parser parser_{options_};
  HttpRequest request_;
};

TEST_F(Http1ParserTest, ReadsARequestWithoutBody) {
  ASSERT_EQ(Parse(kGet), Http1Parser::Result::kRequest);
  EXPECT_EQ(request_.method, "GET");
  EXPECT_EQ(request_.path, "/health");
  EXPECT_EQ(request_.query, "serializable=true");
  EXPECT_THAT(request_.headers, ElementsAre(Pair("host", "a:1")));
  EXPECT_EQ(request_.Header("host"), "a:1");
  EXPECT_EQ(request_.Header("absent"), "");
  EXPECT_EQ(request_.body, "");
  EXPECT_TRUE(parser_.keep_alive());
}

TEST_F(Http1ParserTest, ReadsBodies) {
  ASSERT_EQ(Parse(kPost), Http1Parser::Result::kRequest);
  EXPECT_EQ(request_.body, "hello");
  ASSERT_EQ(Parse(kChunked), Http1Parser::Result::kRequest);
  EXPECT_EQ(request_.body, "hello");
}

TEST_F(Http1ParserTest, FindsTheSameRequestsHoweverTheBytesAreCut) {
  const std::string input =
      std::string(kGet) + std::string(kPost) + std::string(kChunked) + "\r\n" + std::string(kGet);
  for (size_t step = 1; step <= input.size(); ++step) {
    Http1Parser parser(options_);
    std::vector<std::string> bodies;
    for (size_t at = 0; at < input.size(); at += step) {
      parser.Add(input.substr(at, step));
      while (parser.Next(&request_) == Http1Parser::Result::kRequest) {
        bodies.push_back(request_.method + request_.body);
      }
    }
    ASSERT_EQ(parser.error_code(), 0) << parser.error_text();
    EXPECT_THAT(bodies, ElementsAre("GET", "POSThello", "POSThello", "GET")) << step;
  }
}

TEST_F(Http1ParserTest, ACutRequestNeedsMoreAtEveryByte) {
  for (const std::string_view whole : {kGet, kPost, kChunked}) {
    for (size_t size = 0; size < whole.size(); ++size) {
      Http1Parser parser(options_);
      parser.Add(whole.substr(0, size));
      EXPECT_EQ(parser.Next(&request_), Http1Parser::Result::kNeedMore) << size;
    }
  }
}

TEST_F(Http1ParserTest, DecodesThePathAndKeepsTheQueryAsSent) {
  ASSERT_EQ(Parse("GET /a%20b%2Fc?q=%20 HTTP/1.1\r\n\r\n"), Http1Parser::Result::kRequest);
  EXPECT_EQ(request_.path, "/a b/c");
  EXPECT_EQ(request_.query, "q=%20");
  ASSERT_EQ(Parse("GET http://host:1/path?x HTTP/1.1\r\n\r\n"), Http1Parser::Result::kRequest);
  EXPECT_EQ(request_.path, "/path");
  ASSERT_EQ(Parse("GET http://host HTTP/1.1\r\n\r\n"), Http1Parser::Result::kRequest);
  EXPECT_EQ(request_.path, "/");
  ASSERT_EQ(Parse("OPTIONS * HTTP/1.1\r\n\r\n"), Http1Parser::Result::kRequest);
  EXPECT_EQ(request_.path, "*");
}

TEST_F(Http1ParserTest, KnowsWhichConnectionsStayOpen) {
  const struct {
    std::string_view input;
    bool keep_alive;
  } cases[] = {
      {"GET / HTTP/1.1\r\n\r\n", true},
      {"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", false},
      {"GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n", false},
      {"GET / HTTP/1.0\r\n\r\n", false},
      {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
  };
  for (const auto& c : cases) {
    ASSERT_EQ(Parse(c.input), Http1Parser::Result::kRequest);
    EXPECT_EQ(parser_.keep_alive(), c.keep_alive) << c.input;
  }
}

TEST_F(Http1ParserTest, TellsOnceThatTheClientWaitsForContinue) {
  EXPECT_EQ(Parse("POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n"),
            Http1Parser::Result::kNeedMore);
  EXPECT_TRUE(parser_.TakeExpectContinue());
  EXPECT_FALSE(parser_.TakeExpectContinue());
  EXPECT_EQ(Parse("ok"), Http1Parser::Result::kRequest);
  Parse(kPost.substr(0, kPost.size() - 1));
  EXPECT_FALSE(parser_.TakeExpectContinue()) << "nobody asked";
}

TEST_F(Http1ParserTest, RefusesWhatIsMalformedOrTooLarge) {
  const std::string long_line = "GET /" + std::string(8192, 'x');
  const struct {
    std::string input;
    int code;
  } cases[] = {
      {"GET\r\n\r\n", 400},
      {"GET /\r\n\r\n", 400},
      {"GET  HTTP/1.1\r\n\r\n", 400},
      {"G(T / HTTP/1.1\r\n\r\n", 400},
      {"GET path HTTP/1.1\r\n\r\n", 400},
      {"GET /%zz HTTP/1.1\r\n\r\n", 400},
      {"GET /%2 HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/2.0\r\n\r\n", 505},
      {"GET / SPDY/1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nname : x\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nname: x\r\n folded\r\n\r\n", 400},
      {std::string("GET / HTTP/1.1\r\nname: a\0b\r\n\r\n", 29), 400},
      {"GET / HTTP/1.1\r\nname: a\nevil: b\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nContent-Length: 2097153\r\n\r\n", 413},
      {"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n200001\r\n", 413},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", 400},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(300, 'x'), 400},
      {long_line, 431},
      {long_line + " HTTP/1.1\r\n\r\n", 431},
  };
  for (const auto& c : cases) {
    Http1Parser parser(options_);
    parser.Add(c.input);
    EXPECT_EQ(parser.Next(&request_), Http1Parser::Result::kError) << c.input;
    EXPECT_EQ(parser.error_code(), c.code) << c.input << parser.error_text();
    EXPECT_EQ(parser.Next(&request_), Http1Parser::Result::kError) << "and stays so";
  }
}

TEST_F(Http1ParserTest, ChunksTogetherObeyTheBodysBound) {
  options_.body_bytes_max = 5;
  parser_.Add("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\n");
  EXPECT_EQ(parser_.Next(&request_), Http1Parser::Result::kError);
  EXPECT_EQ(parser_.error_code(), 413);
}

TEST_F(Http1ParserTest, KnowsItsStage) {
  EXPECT_EQ(parser_.stage(), Http1Parser::Stage::kIdle);
  Parse("POST / HT");
  EXPECT_EQ(parser_.stage(), Http1Parser::Stage::kHead);
  Parse("TP/1.1\r\nContent-Length: 2\r\n\r\na");
  EXPECT_EQ(parser_.stage(), Http1Parser::Stage::kBody);
  Parse("b");
  EXPECT_EQ(parser_.stage(), Http1Parser::Stage::kIdle);
}

}  // namespace
}  // namespace conclave::server
