#include "server/config/url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conclave::server {
namespace {

TEST(UrlTest, PartsAreTakenApartAndPrintedAsTheyWere) {
  struct Case {
    std::string text;
    Url url;
  };
  const Case cases[] = {
      {"http://127.0.0.1:2379", {"http", "127.0.0.1", 2379, ""}},
      {"https://m1.example.org:443", {"https", "m1.example.org", 443, ""}},
      {"http://localhost:0", {"http", "localhost", 0, ""}},
      {"http://[::1]:65535", {"http", "::1", 65535, ""}},
      {"unix:///run/m1.sock", {"unix", "", 0, "/run/m1.sock"}},
      {"unixs://m1.sock", {"unixs", "", 0, "m1.sock"}},
  };
  for (const Case& c : cases) {
    const absl::StatusOr<Url> url = ParseUrl(c.text);
    ASSERT_TRUE(url.ok()) << url.status();
    EXPECT_EQ(*url, c.url) << c.text;
    EXPECT_EQ(url->ToString(), c.text);
  }
}

TEST(UrlTest, BadOnesNameTheUrlAndWhatWasExpected) {
  const char* const cases[] = {"",
                               "127.0.0.1:2379",
                               "ftp://127.0.0.1:2379",
                               "http://127.0.0.1",
                               "http://:2379",
                               "http://127.0.0.1:",
                               "http://127.0.0.1:65536",
                               "http://127.0.0.1:-1",
                               "http://127.0.0.1:2379/",
                               "http://127.0.0.1:2379/path",
                               "http://127.0.0.1:2379?q",
                               "http://user@host:1",
                               "http://::1:2379",
                               "http://[127.0.0.1]:2379",
                               "http://[::1:2379",
                               "http://a b:2379",
                               "unix://"};
  for (const char* text : cases) {
    const absl::Status status = ParseUrl(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()),
                ::testing::StartsWith("bad URL \"" + std::string(text) + "\": expected "));
  }
}

TEST(UrlTest, OnlyAddressesAndLocalhostCanBeListenedOn) {
  EXPECT_TRUE(ParseUrl("http://0.0.0.0:1")->CanBind());
  EXPECT_TRUE(ParseUrl("http://localhost:1")->CanBind());
  EXPECT_TRUE(ParseUrl("http://[::]:1")->CanBind());
  EXPECT_TRUE(ParseUrl("unix://m1")->CanBind());
  EXPECT_FALSE(ParseUrl("http://example.org:1")->CanBind());
  EXPECT_FALSE(ParseUrl("http://1.2.3:1")->CanBind());
}

TEST(UrlTest, ListsAreSeparatedByCommas) {
  const absl::StatusOr<std::vector<Url>> urls = ParseUrls("http://a:1, http://b:2");
  ASSERT_TRUE(urls.ok()) << urls.status();
  EXPECT_THAT(ToStrings(*urls), ::testing::ElementsAre("http://a:1", "http://b:2"));
  EXPECT_FALSE(ParseUrls("").ok());
  EXPECT_FALSE(ParseUrls("http://a:1,").ok());
}

}  // namespace
}  // namespace conclave::server
