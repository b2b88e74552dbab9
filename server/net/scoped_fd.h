// A file descriptor with one owner, closed when the owner goes. Sockets and epoll handles travel
// through server/net as these. A plain value, any lane.
#pragma once

#include <utility>

namespace conclave::server {

class ScopedFd {
 public:
  ScopedFd() = default;
  explicit ScopedFd(int fd) : fd_(fd) {}
  ScopedFd(ScopedFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ScopedFd& operator=(ScopedFd&& other) noexcept {
    if (this != &other) Reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~ScopedFd() { Reset(); }

  // -1 if there is none.
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

  // Closes what is held and holds `fd` instead.
  void Reset(int fd = -1);

 private:
  int fd_ = -1;
};

}  // namespace conclave::server
