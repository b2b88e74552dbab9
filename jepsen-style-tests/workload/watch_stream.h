// One Watch stream from a client to a member, with any number of watchers on it. It hands each
// watcher what is its own; it retries and resumes nothing. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "jepsen-style-tests/checker/watch_rules.h"
#include "jepsen-style-tests/sim/world.h"
#include "kvstore/proto/rpc.pb.h"

namespace conclave::sim {

class WatchStream {
 public:
  // Told of each response to one watcher, and of the stream's progress notifications. Must not
  // destroy the stream.
  using Receive = std::function<void(const checker::ReceivedWatchResponse& received)>;

  // Opens a stream of `client` to the member at position `member`.
  WatchStream(World* world, End client, size_t member, bool has_leader);
  // Breaks it; nobody is told of anything any more.
  ~WatchStream();
  WatchStream(const WatchStream&) = delete;
  WatchStream& operator=(const WatchStream&) = delete;

  // One more watcher. It is over after a response that says canceled, or with the stream.
  void Create(const etcdserverpb::WatchCreateRequest& request, Receive receive);
  void Cancel(int64_t watch_id);
  void RequestProgress();
  // A slow reader. Does not call `receive` before it returns.
  void SetReading(bool reading);

  size_t member() const { return member_; }
  bool reading() const { return reading_; }
  bool over() const { return state_->over; }

 private:
  struct Watcher {
    Receive receive;
    std::optional<int64_t> id = {};  // once created
    bool over = false;
  };
  // Outlives the stream in callbacks.
  struct State {
    World* world = nullptr;
    End client = 0;
    bool over = false;
    std::vector<Watcher> watchers;  // in the order of their creation, as are the created responses
  };

  static void OnMessage(State& state, std::string_view message);
  static Watcher* CreatedBy(State& state);
  void Send(const etcdserverpb::WatchRequest& request);

  const size_t member_;
  bool reading_ = true;
  const std::shared_ptr<State> state_ = std::make_shared<State>();
  std::shared_ptr<ClientCall> call_;
};

}  // namespace conclave::sim
