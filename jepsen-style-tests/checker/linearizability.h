// Linearizability of registers with compare-and-set, each key on its own (linearizability is
// local). Called by whoever holds a finished history; any lane. Deterministic: the same history and
// options give the same report, and the budget counts search steps instead of time.
//
// The search is that of Wing, Gong and Lowe over configurations (which operations have taken
// effect, what the register holds), with a memo of those that lead nowhere; register_search.cc says
// how it is kept small. A workload should write each value once: then the search is close to
// linear, and what is wrong gets a name of its own. If values repeat, many operations of unknown
// outcome can exhaust the budget.
#pragma once

#include <cstdint>
#include <vector>

#include "jepsen-style-tests/checker/register_operation.h"
#include "jepsen-style-tests/checker/verdict.h"

namespace conclave::checker {

struct LinearizabilityOptions {
  uint64_t steps_max = 1'000'000;   // configurations to visit per key, then kUnknown
  uint64_t ok_operations_min = 10;  // fewer acknowledged operations in all: kInvalid
};

// Names of anomalies, each a proof in itself but the last:
//   unwritten-read         a value was observed that nobody wrote
//   aborted-read           ... that only operations which certainly did not write would have
//   future-read            ... whose every writer was called after the observation
//   stale-read             a read observed a value overwritten before it was called
//   stale-cas              a compare-and-set succeeded on such a value
//   lost-update            more compare-and-sets succeeded on a value than times it was written
//   cas-failed-wrongly     a compare-and-set failed although the register held what it expected
//   nonlinearizable        no order fits; the explanation shows the longest that does
Report CheckLinearizable(const std::vector<RegisterOperation>& history,
                         const LinearizabilityOptions& options = {});

}  // namespace conclave::checker
