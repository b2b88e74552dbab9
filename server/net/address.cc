#include "server/net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>

#include "fmt/format.h"
#include "raft/base/check.h"

namespace conclave::server {

namespace {

absl::Status BadUrl(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format("invalid URL \"{}\": {}", text, why));
}

// Decimal, 0 to 65535, nothing before or after.
bool ParsePort(std::string_view text, uint16_t* port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *port);
  return error == std::errc() && end == text.data() + text.size();
}

// Splits "host:port" and "[ip6]:port".
absl::Status SplitAuthority(std::string_view url, std::string_view authority, SocketUrl* out) {
  std::string_view port;
  if (authority.starts_with('[')) {
    const size_t bracket = authority.find(']');
    if (bracket == std::string_view::npos) return BadUrl(url, "'[' without ']'");
    out->host = authority.substr(1, bracket - 1);
    port = authority.substr(bracket + 1);
  } else {
    const size_t colon = std::min(authority.find(':'), authority.size());
    out->host = authority.substr(0, colon);
    port = authority.substr(colon);
    if (port.find(':', 1) != std::string_view::npos) {
      return BadUrl(url, "an IPv6 address needs brackets");
    }
  }
  if (out->host.empty()) return BadUrl(url, "the host is missing");
  if (!port.starts_with(':')) return BadUrl(url, "the port is missing");
  if (!ParsePort(port.substr(1), &out->port)) return BadUrl(url, "the port is not a number");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SocketAddress> SocketAddress::FromIp(std::string_view ip, uint16_t port) {
  const std::string text(ip);
  SocketAddress address;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    address.bytes_.assign(reinterpret_cast<const char*>(&v4), sizeof(v4));
  } else if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    address.bytes_.assign(reinterpret_cast<const char*>(&v6), sizeof(v6));
  } else {
    return absl::InvalidArgumentError(fmt::format("\"{}\" is not an IP address", ip));
  }
  return address;
}

absl::StatusOr<SocketAddress> SocketAddress::FromUnixPath(std::string_view path) {
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(un.sun_path) ||
      path.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError(fmt::format("\"{}\" cannot be a socket's path: 1 to {} bytes",
                                                  path, sizeof(un.sun_path) - 1));
  }
  std::memcpy(un.sun_path, path.data(), path.size());
  SocketAddress address;
  address.bytes_.assign(reinterpret_cast<const char*>(&un),
                        offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

SocketAddress SocketAddress::FromKernel(const sockaddr_storage& storage, size_t size) {
  SocketAddress address;
  address.bytes_.assign(reinterpret_cast<const char*>(&storage), size);
  return address;
}

int SocketAddress::family() const {
  CHECK(bytes_.size() >= sizeof(sa_family_t));
  return kernel()->sa_family;
}

uint16_t SocketAddress::port() const {
  sockaddr_in6 address{};  // its port stands where sockaddr_in's does
  if (family() == AF_UNIX) return 0;
  std::memcpy(&address, bytes_.data(), std::min(sizeof(address), bytes_.size()));
  return ntohs(address.sin6_port);
}

std::string SocketAddress::unix_path() const {
  if (family() != AF_UNIX) return {};
  const std::string_view path =
      std::string_view(bytes_).substr(std::min(bytes_.size(), offsetof(sockaddr_un, sun_path)));
  return std::string(path.substr(0, path.find('\0')));
}

std::string SocketAddress::ToString() const {
  char text[INET6_ADDRSTRLEN] = "";
  switch (family()) {
    case AF_INET: {
      sockaddr_in v4{};
      std::memcpy(&v4, bytes_.data(), sizeof(v4));
      inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
      return fmt::format("{}:{}", text, port());
    }
    case AF_INET6: {
      sockaddr_in6 v6{};
      std::memcpy(&v6, bytes_.data(), sizeof(v6));
      inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
      return fmt::format("[{}]:{}", text, port());
    }
    default:
      return fmt::format("unix:{}", unix_path());
  }
}

absl::StatusOr<SocketUrl> ParseSocketUrl(std::string_view text) {
  SocketUrl url;
  const size_t colon = text.find("://");
  if (colon == std::string_view::npos) return BadUrl(text, "it needs a scheme, as in http://");
  const std::string_view scheme = text.substr(0, colon);
  std::string_view rest = text.substr(colon + 3);
  url.tls = scheme == "https" || scheme == "unixs";
  if (scheme == "unix" || scheme == "unixs") {
    if (rest.empty()) return BadUrl(text, "the path is missing");
    url.unix_path = rest;
    return url;
  }
  if (scheme != "http" && scheme != "https") {
    return BadUrl(text, "the scheme must be http, https, unix or unixs");
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find_first_of("/?#@") != std::string_view::npos) {
    return BadUrl(text, "only a host and a port may follow the scheme");
  }
  if (absl::Status status = SplitAuthority(text, rest, &url); !status.ok()) return status;
  return url;
}

absl::StatusOr<std::vector<SocketAddress>> Resolve(const SocketUrl& url) {
  if (!url.unix_path.empty()) {
    absl::StatusOr<SocketAddress> address = SocketAddress::FromUnixPath(url.unix_path);
    if (!address.ok()) return address.status();
    return std::vector<SocketAddress>{*std::move(address)};
  }
  const std::string host = url.host == "localhost" ? "127.0.0.1" : url.host;
  if (absl::StatusOr<SocketAddress> address = SocketAddress::FromIp(host, url.port); address.ok()) {
    return std::vector<SocketAddress>{*std::move(address)};
  }
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(url.port);
  const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (error != 0) {
    return absl::UnavailableError(
        fmt::format("cannot resolve \"{}\": {}", url.host, gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, freeaddrinfo);
  std::vector<SocketAddress> addresses;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    sockaddr_storage storage{};
    std::memcpy(&storage, entry->ai_addr, entry->ai_addrlen);
    addresses.push_back(SocketAddress::FromKernel(storage, entry->ai_addrlen));
  }
  if (addresses.empty()) {
    return absl::UnavailableError(fmt::format("\"{}\" has no address", url.host));
  }
  return addresses;
}

}  // namespace conclave::server
