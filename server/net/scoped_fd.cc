#include "server/net/scoped_fd.h"

#include <unistd.h>

namespace conclave::server {

void ScopedFd::Reset(int fd) {
  // The descriptor is gone whatever close() says; trying again could close somebody else's.
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

}  // namespace conclave::server
