// The search for a linearization of one register's history, in terms of numbers: every operation is
// a transition that asks something of the register's state and may replace it. Called by
// linearizability.cc, which owns the words; any lane. Deterministic and exact: what it prunes is
// proved in register_search.cc not to matter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "jepsen-style-tests/checker/verdict.h"

namespace conclave::checker {

// A value of the register by number. kAbsent is the state at the start.
using ValueId = uint32_t;
inline constexpr ValueId kAbsent = 0;
// All the values that no guard mentions: none can be told from another.
inline constexpr ValueId kUnobserved = 1;
inline constexpr ValueId kFirstValue = 2;

struct Transition {
  enum class Guard { kNone, kEquals, kDiffers };

  Guard guard = Guard::kNone;
  ValueId guarded = kAbsent;      // what the state is compared with
  std::optional<ValueId> stored;  // the new state; nullopt leaves it
  int64_t called_ns = 0;
  int64_t returned_ns = kNeverReturned;  // kNeverReturned: may take effect at any time, or never
  size_t source = 0;                     // the caller's number of the operation
};

struct SearchResult {
  Verdict verdict = Verdict::kPass;  // kPass, kFail or kUnknown
  uint64_t steps = 0;
  // Unless kPass: the longest order found, by `source`, and the operations for which there is no
  // place after it.
  std::vector<size_t> prefix;
  std::vector<size_t> stuck;
};

// Every ValueId in `transitions` must be below `value_count`.
SearchResult SearchLinearization(const std::vector<Transition>& transitions, size_t value_count,
                                 uint64_t steps_max);

}  // namespace conclave::checker
