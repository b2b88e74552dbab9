// Where a server listens and a client connects: etcd's URLs ("http://10.0.0.1:2379",
// "unix:///run/conclave.sock") and the kernel's socket addresses. Parsing is pure; Resolve may ask
// the name service and so blocks. Plain values, any lane.
#pragma once

#include <netinet/in.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sockaddr;
struct sockaddr_storage;

namespace conclave::server {

// A socket address the kernel understands: IPv4, IPv6 or a path.
class SocketAddress {
 public:
  SocketAddress() = default;  // no address; only to be assigned to
  // `ip` in dotted or colon form, without brackets. InvalidArgument if it is neither.
  static absl::StatusOr<SocketAddress> FromIp(std::string_view ip, uint16_t port);
  // InvalidArgument if the path is empty or longer than the kernel's 107 bytes.
  static absl::StatusOr<SocketAddress> FromUnixPath(std::string_view path);
  static SocketAddress FromKernel(const sockaddr_storage& address, size_t size);

  const sockaddr* kernel() const { return reinterpret_cast<const sockaddr*>(bytes_.data()); }
  size_t kernel_size() const { return bytes_.size(); }
  int family() const;

  uint16_t port() const;          // 0 for a path
  std::string unix_path() const;  // empty for an IP address
  // "10.0.0.1:2379", "[::1]:2379" or "unix:/run/conclave.sock", for messages.
  std::string ToString() const;

  friend bool operator==(const SocketAddress&, const SocketAddress&) = default;

 private:
  std::string bytes_;  // a sockaddr_in, sockaddr_in6 or sockaddr_un
};

// An etcd URL, taken apart for opening a socket. Schemes: http, https, unix, unixs (the two with s
// mean TLS).
struct SocketUrl {
  bool tls = false;
  std::string host;       // name or IP without brackets; empty for a path
  uint16_t port = 0;      // 0 for a path, or where the system shall choose
  std::string unix_path;  // empty for a host

  friend bool operator==(const SocketUrl&, const SocketUrl&) = default;
};

// InvalidArgument with the URL and what is wrong with it. A host needs its port, as in etcd; a path
// after the port is refused.
absl::StatusOr<SocketUrl> ParseSocketUrl(std::string_view text);

// The addresses of a URL, best first, never empty if OK. IP addresses and "localhost" are answered
// at once; other names ask the system's name service, which BLOCKS: not on a lane that serves.
// Unavailable if the name does not resolve.
absl::StatusOr<std::vector<SocketAddress>> Resolve(const SocketUrl& url);

}  // namespace conclave::server
