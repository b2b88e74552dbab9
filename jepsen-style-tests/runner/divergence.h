// The drill that proves docs/integrity.md in a healthy cluster: one member applies a put
// with another value. It must be fenced in time and serve nothing until its state is that of the
// others again. What goes wrong is reported to the world as "integrity: ...". Events of the world's
// scheduler; destroyed before the world.
#pragma once

#include <cstddef>
#include <string>

#include "jepsen-style-tests/sim/world.h"
#include "jepsen-style-tests/workload/co.h"
#include "jepsen-style-tests/workload/history.h"
#include "jepsen-style-tests/workload/session.h"
#include "raft/base/random.h"

namespace conclave::sim {

class DivergenceDrill {
 public:
  DivergenceDrill(World* world, History* history, Duration fenced_within, Random random);
  DivergenceDrill(const DivergenceDrill&) = delete;
  DivergenceDrill& operator=(const DivergenceDrill&) = delete;

  bool done() const { return work_.done(); }
  // What it waits for, in words.
  const std::string& stage() const { return stage_; }

 private:
  Co<void> Work();
  Co<void> Diverge();
  Co<void> AwaitFence();
  Co<void> TryToRead();
  Co<void> AwaitRebuild();
  bool IsFenced() const;

  World* const world_;
  const Duration fenced_within_;
  Session session_;        // of the other members
  Session reader_;         // of the wrong one
  const size_t position_;  // whose state goes wrong
  std::string stage_;
  bool failed_ = false;
  Co<void> work_;
};

}  // namespace conclave::sim
