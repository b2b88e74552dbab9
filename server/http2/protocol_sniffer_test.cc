#include "server/http2/protocol_sniffer.h"

#include <gtest/gtest.h>

#include <string>

namespace conclave::server {
namespace {

TEST(SniffProtocol, Http2NeedsTheWholePreface) {
  for (size_t size = 0; size < kHttp2Preface.size(); ++size) {
    EXPECT_EQ(SniffProtocol(kHttp2Preface.substr(0, size)), Protocol::kUndecided) << size;
  }
  EXPECT_EQ(SniffProtocol(kHttp2Preface), Protocol::kHttp2);
  EXPECT_EQ(SniffProtocol(std::string(kHttp2Preface).append("more")), Protocol::kHttp2);
}

TEST(SniffProtocol, Http1NeedsAMethodAndASpace) {
  for (const std::string_view line :
       {"GET / HTTP/1.1\r\n", "POST /v3/kv/put HTTP/1.1\r\n", "PUT /a HTTP/1.0\r\n",
        "OPTIONS * HTTP/1.1\r\n", "PROPFIND / HTTP/1.1\r\n", "P / HTTP/1.1\r\n"}) {
    const size_t space = line.find(' ');
    for (size_t size = 0; size <= space; ++size) {
      EXPECT_EQ(SniffProtocol(line.substr(0, size)), Protocol::kUndecided) << line << size;
    }
    EXPECT_EQ(SniffProtocol(line.substr(0, space + 1)), Protocol::kHttp1) << line;
    EXPECT_EQ(SniffProtocol(line), Protocol::kHttp1) << line;
  }
}

TEST(SniffProtocol, EverythingElseIsUnknown) {
  const std::string_view cases[] = {
      std::string_view("\x16\x03\x01", 3),  // a TLS client hello
      std::string_view("\0", 1),
      " GET / HTTP/1.1",
      "get / HTTP/1.1",
      "GET\r\n",
      "{}",
      "ABCDEFGHIJKLMNOP",          // no method is that long
      "PRI * HTTP/2.0\r\n\r\nXX",  // half a preface
  };
  for (const std::string_view bytes : cases) {
    EXPECT_EQ(SniffProtocol(bytes), Protocol::kUnknown) << bytes;
  }
}

}  // namespace
}  // namespace conclave::server
