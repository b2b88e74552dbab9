// A healthy world of three members and the means to run coroutines in it. Tests only, on their one
// thread.
#pragma once

#include <functional>
#include <utility>

#include "jepsen-style-tests/sim/world.h"
#include "jepsen-style-tests/workload/co.h"
#include "jepsen-style-tests/workload/history.h"

namespace conclave::sim {

class TestWorld {
 public:
  explicit TestWorld(uint64_t seed, const WorldOptions& options = {})
      : world_(options, Random(seed), &trace_) {
    for (size_t i = 0; i < world_.size(); ++i) world_.StartMember(i);
  }

  World& world() { return world_; }
  History& history() { return history_; }

  void Run(Duration duration) { world_.scheduler().RunUntil(world_.scheduler().Now() + duration); }
  // Until `condition` holds; false if it does not within `most`.
  bool RunUntil(const std::function<bool()>& condition, Duration most) {
    const Instant end = world_.scheduler().Now() + most;
    while (!condition()) {
      if (!world_.scheduler().RunNext(end)) return condition();
    }
    return true;
  }
  bool RunUntilDone(Co<void> co, Duration most) {
    co.Start();
    return RunUntil([&co] { return co.done(); }, most);
  }
  bool RunUntilLed() {
    return RunUntil([this] { return world_.leader() != nullptr; }, Seconds(20));
  }

 private:
  Trace trace_;
  History history_;
  World world_;
};

}  // namespace conclave::sim
