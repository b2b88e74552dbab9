// Work spread over processes of its own, so that one that crashes or hangs takes nothing with it.
// Children are forked from this process and inherit its memory; they get the numbers of tasks one
// by one and send back bytes. Main thread only; no other thread may run.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "raft/base/time.h"

namespace conclave::sim {

struct JobsOptions {
  size_t jobs = 1;
  Duration timeout = Seconds(300);  // of one task, by the real clock; then its process is killed
};

// Runs `work(task)` for tasks first, first + 1, ... in children and `done(task, result)` here, in
// the order in which they end; the result is absent if the child died over it. Goes on until `more`
// says no, and then until all that was begun has ended.
void RunJobs(const JobsOptions& options, uint64_t first,
             const std::function<bool(uint64_t next)>& more,
             const std::function<std::string(uint64_t task)>& work,
             const std::function<void(uint64_t task, std::optional<std::string> result)>& done);

}  // namespace conclave::sim
