// Threads for clients' connections, for machines with cores to spare: parsing and framing HTTP/2
// there leaves the home lane, which runs all the rest, to consensus and the store. A connection
// belongs to one of them for life. Made and used on the home lane.
#pragma once

#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include "raft/base/clock.h"
#include "server/http2/server.h"
#include "server/lanes/call_relay.h"
#include "server/net/event_loop.h"
#include "server/net/scoped_fd.h"

namespace conclave::server {

class IoLane {
 public:
  // `context` is what a server on the home lane would have, and all of it must outlive the lane.
  IoLane(const Clock* clock, const ServerContext& context, int number);
  // Closes its connections at once; open calls see OnClosed.
  ~IoLane();
  IoLane(const IoLane&) = delete;
  IoLane& operator=(const IoLane&) = delete;

  void Serve(ScopedFd socket);
  // As Http2Server::Shutdown; `done` runs on the home lane.
  void Shutdown(Instant deadline, Task done);

 private:
  void Run();

  EventLoop* const home_;
  EventLoop loop_;
  CallRelay relay_;
  std::unique_ptr<Http2Server> server_;  // the thread's
  std::thread thread_;
};

class IoLanes {
 public:
  // At least one.
  IoLanes(size_t count, const Clock* clock, const ServerContext& context);

  // Connections go to the lanes in turn.
  void Serve(ScopedFd socket);
  void Shutdown(Instant deadline, Task done);

 private:
  std::vector<std::unique_ptr<IoLane>> lanes_;
  size_t next_ = 0;
};

// How many are worth their hops on a machine with so many cores: none before the home lane, the
// log's thread, the engine's and the clients' network have one each.
size_t DefaultIoLanes(size_t cores);

}  // namespace conclave::server
