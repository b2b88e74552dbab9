// A URL as etcd's flags write them: where a member listens, and what it tells others to dial.
// Parsed by server/config, read by whoever opens sockets; names are resolved elsewhere. Plain
// value, any lane.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace conclave::server {

struct Url {
  std::string scheme;  // "http", "https", "unix" or "unixs"
  std::string
      host;  // a name or an address, an IPv6 one without its brackets; empty for unix sockets
  uint16_t port = 0;  // 0: any free port; 0 for unix sockets
  std::string path;   // of the socket; empty unless the scheme is unix or unixs

  bool IsUnix() const { return scheme == "unix" || scheme == "unixs"; }
  bool IsTls() const { return scheme == "https" || scheme == "unixs"; }
  // True if the host is an IP address, as a listener needs it, or "localhost".
  bool CanBind() const;
  // In the form it was written: "http://10.0.0.1:2380". Member ids are hashed over this text.
  std::string ToString() const;

  friend bool operator==(const Url&, const Url&) = default;
};

// InvalidArgument names the URL and what was expected. Like etcd it wants a port, and no path after
// it.
absl::StatusOr<Url> ParseUrl(std::string_view text);

// Several, separated by commas; at least one.
absl::StatusOr<std::vector<Url>> ParseUrls(std::string_view text);

std::vector<std::string> ToStrings(const std::vector<Url>& urls);

// Whether the two lists lead to the same places, in whatever order. etcd resolves names before it
// compares; localhost is the one that everybody means the same by. Texts that are no URLs are
// compared as they are.
bool SameUrls(const std::vector<std::string>& a, const std::vector<std::string>& b);

}  // namespace conclave::server
