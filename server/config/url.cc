#include "server/config/url.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "fmt/format.h"
#include "raft/base/text.h"

namespace conclave::server {
namespace {

std::string_view TrimSpace(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

bool IsAddress(int family, const std::string& host) {
  unsigned char address[sizeof(in6_addr)];
  return inet_pton(family, host.c_str(), address) == 1;
}

bool ParsePort(std::string_view text, uint16_t& port) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  return error == std::errc() && stop == end;
}

// "host:port" or "[v6]:port".
absl::Status ParseHostPort(std::string_view text, std::string_view host_port, Url& url) {
  const auto expected = [&](std::string_view what) {
    return absl::InvalidArgumentError(fmt::format("bad URL \"{}\": expected {}", text, what));
  };
  if (host_port.find_first_of("/?#@") != std::string_view::npos) {
    return expected("nothing after the port, as in http://127.0.0.1:2379");
  }
  const size_t colon = host_port.rfind(':');
  if (colon == std::string_view::npos) return expected("a port, as in http://127.0.0.1:2379");
  std::string_view host = host_port.substr(0, colon);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  url.host = std::string(host);
  if (bracketed != IsAddress(AF_INET6, url.host)) {
    return expected("an IPv6 address in brackets, as in http://[::1]:2379");
  }
  if (!bracketed && (host.empty() || host.find_first_of(":[] ") != std::string_view::npos)) {
    return expected("a host and a port, as in http://127.0.0.1:2379");
  }
  if (!ParsePort(host_port.substr(colon + 1), url.port)) return expected("a port from 0 to 65535");
  return absl::OkStatus();
}

}  // namespace

bool Url::CanBind() const {
  return IsUnix() || host == "localhost" || IsAddress(AF_INET, host) || IsAddress(AF_INET6, host);
}

std::string Url::ToString() const {
  if (IsUnix()) return fmt::format("{}://{}", scheme, path);
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? fmt::format("{}://[{}]:{}", scheme, host, port)
            : fmt::format("{}://{}:{}", scheme, host, port);
}

absl::StatusOr<Url> ParseUrl(std::string_view text) {
  text = TrimSpace(text);
  Url url;
  const size_t separator = text.find("://");
  if (separator != std::string_view::npos) url.scheme = std::string(text.substr(0, separator));
  const std::string_view rest =
      separator == std::string_view::npos ? std::string_view() : text.substr(separator + 3);
  if (url.IsUnix()) {
    url.path = std::string(rest);
    if (!url.path.empty()) return url;
    return absl::InvalidArgumentError(
        fmt::format("bad URL \"{}\": expected the path of a socket, as in unix:///run/m1", text));
  }
  if (url.scheme != "http" && url.scheme != "https") {
    return absl::InvalidArgumentError(
        fmt::format("bad URL \"{}\": expected the scheme http, https, unix or unixs, as in "
                    "http://127.0.0.1:2379",
                    text));
  }
  if (absl::Status status = ParseHostPort(text, rest, url); !status.ok()) return status;
  return url;
}

absl::StatusOr<std::vector<Url>> ParseUrls(std::string_view text) {
  std::vector<Url> urls;
  while (true) {
    const size_t comma = text.find(',');
    absl::StatusOr<Url> url = ParseUrl(text.substr(0, comma));
    if (!url.ok()) return url.status();
    urls.push_back(*std::move(url));
    if (comma == std::string_view::npos) return urls;
    text.remove_prefix(comma + 1);
  }
}

std::vector<std::string> ToStrings(const std::vector<Url>& urls) {
  std::vector<std::string> texts;
  for (const Url& url : urls) texts.push_back(url.ToString());
  return texts;
}

namespace {

std::vector<std::string> Comparable(std::vector<std::string> texts) {
  for (std::string& text : texts) {
    absl::StatusOr<Url> url = ParseUrl(text);
    if (!url.ok()) continue;
    if (url->host == "localhost") url->host = "127.0.0.1";
    text = url->ToString();
  }
  std::sort(texts.begin(), texts.end());
  return texts;
}

}  // namespace

bool SameUrls(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return Comparable(a) == Comparable(b);
}

}  // namespace conclave::server
