// Transactions and the dependencies between them, and the cycles that show an anomaly. Called by
// transactions.cc; any lane. Deterministic. Telling that there is no cycle is linear; finding a
// short one is quadratic at worst, and happens only when there is one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace conclave::checker {

// That one transaction comes before another, after Adya: `to` wrote the version that follows the
// one that `from` wrote (ww), read what `from` wrote (wr), overwrote what `from` read (rw), or was
// called after `from` returned.
enum class DependencyKind : uint8_t { kWriteWrite, kWriteRead, kReadWrite, kRealTime };

struct Dependency {
  uint32_t from = 0;
  uint32_t to = 0;
  DependencyKind kind = DependencyKind::kRealTime;
  // What it comes from, for explanations: a list, and how many elements the version has that was
  // read (wr, rw) or that was overwritten (ww). Not for kRealTime.
  uint32_t list = 0;
  uint32_t length = 0;
};

struct AnomalousCycle {
  std::string_view anomaly;              // as listed in transactions.h
  std::vector<Dependency> dependencies;  // each from where the one before leads to
};

// The cycle of the worst kind (in the order of transactions.h), and of that kind a short one;
// nullopt if there is no cycle. Nodes are numbers below `node_count`.
std::optional<AnomalousCycle> FindAnomalousCycle(size_t node_count,
                                                 const std::vector<Dependency>& dependencies);

}  // namespace conclave::checker
