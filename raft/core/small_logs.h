// All small logs there are, for tests that try every one of them. A log is the terms of its
// entries: entry i + 1 is at place i. Tests only.
#pragma once

#include <cstdint>
#include <vector>

#include "raft/core/entry.h"

namespace conclave::raft {

using Terms = std::vector<uint64_t>;

// Every log of up to `length_max` entries with terms up to `term_max`; terms never fall.
inline std::vector<Terms> AllLogs(size_t length_max, uint64_t term_max) {
  std::vector<Terms> all = {{}};
  for (size_t next = 0; next < all.size(); ++next) {
    if (all[next].size() == length_max) continue;
    for (uint64_t term = all[next].empty() ? 1 : all[next].back(); term <= term_max; ++term) {
      Terms longer = all[next];
      longer.push_back(term);
      all.push_back(longer);
    }
  }
  return all;
}

// 0 before the first entry and after the last one.
inline uint64_t TermAt(const Terms& log, uint64_t index) {
  return index == 0 || index > log.size() ? 0 : log[index - 1];
}

// How far two logs have the same entries.
inline uint64_t Agreement(const Terms& one, const Terms& other) {
  uint64_t index = 0;
  while (index < one.size() && index < other.size() && one[index] == other[index]) ++index;
  return index;
}

// Two logs of one cluster: an entry with the same index and term in both means that all before it
// are the same (the Log Matching Property, thesis 3.5).
inline bool MayMeet(const Terms& one, const Terms& other) {
  for (uint64_t i = Agreement(one, other); i < one.size() && i < other.size(); ++i) {
    if (one[i] == other[i]) return false;
  }
  return true;
}

inline std::vector<Entry> EntriesOf(const Terms& log, uint64_t after, uint64_t count) {
  std::vector<Entry> entries;
  for (uint64_t index = after + 1; index <= after + count; ++index) {
    entries.push_back({Term(TermAt(log, index)), LogIndex(index), EntryKind::kCommand, {}});
  }
  return entries;
}

}  // namespace conclave::raft
