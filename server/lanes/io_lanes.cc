#include "server/lanes/io_lanes.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <utility>

#include "raft/base/check.h"
#include "raft/base/posix_scheduling.h"

namespace conclave::server {

namespace {

constexpr size_t kCoresPerLane = 4;
constexpr size_t kLanesMax = 4;  // by then the home lane is full (decision 5)

ServerContext OfLane(const ServerContext& shared, EventLoop* loop, CallRelay& relay) {
  ServerContext context = shared;
  context.loop = loop;
  if (context.methods != nullptr) context.methods = relay.methods();
  context.observer = relay.observer();
  context.read_portion = nullptr;  // it knows the home lane's turns
  for (HttpRoute& route : context.routes) route = relay.Relay(route);
  return context;
}

}  // namespace

IoLane::IoLane(const Clock* clock, const ServerContext& context, int number)
    : home_(context.loop),
      loop_(clock),
      relay_(&loop_, home_, context.methods, context.observer, context.http2.call_output_high_mark),
      server_(std::make_unique<Http2Server>(OfLane(context, &loop_, relay_))),
      thread_([this] { Run(); }) {
  pthread_setname_np(thread_.native_handle(), fmt::format("io-{}", number).c_str());
}

IoLane::~IoLane() {
  relay_.Unbound();
  loop_.Post([this] {
    server_.reset();
    loop_.Stop();
  });
  thread_.join();
}

void IoLane::Run() {
  ScheduleThisThread(Scheduling::kPrompt);
  loop_.Run();
}

void IoLane::Serve(ScopedFd socket) {
  loop_.Post([this, socket = std::move(socket)]() mutable { server_->Serve(std::move(socket)); });
}

void IoLane::Shutdown(Instant deadline, Task done) {
  loop_.Post([this, deadline, done = std::move(done)]() mutable {
    server_->Shutdown(deadline, [home = home_, done = std::move(done)]() mutable {
      home->Post(std::move(done));
    });
  });
}

IoLanes::IoLanes(size_t count, const Clock* clock, const ServerContext& context) {
  CHECK(count > 0);
  for (size_t i = 0; i < count; ++i) {
    lanes_.push_back(std::make_unique<IoLane>(clock, context, static_cast<int>(i)));
  }
}

void IoLanes::Serve(ScopedFd socket) {
  lanes_[next_]->Serve(std::move(socket));
  next_ = (next_ + 1) % lanes_.size();
}

void IoLanes::Shutdown(Instant deadline, Task done) {
  struct Wait {
    size_t lanes;
    Task done;
  };
  auto wait = std::make_shared<Wait>(Wait{lanes_.size(), std::move(done)});
  for (const std::unique_ptr<IoLane>& lane : lanes_) {
    lane->Shutdown(deadline, [wait] {
      if (--wait->lanes == 0) wait->done();
    });
  }
}

size_t DefaultIoLanes(size_t cores) { return std::min(cores / kCoresPerLane, kLanesMax); }

}  // namespace conclave::server
