// The sums over everything applied (Store::chain) of the newest entries, so that members that stand
// at different entries can be compared at one that both know (docs/integrity.md). Owned by Node; on
// the raft lane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "raft/base/types.h"

namespace conclave::server {

// A state as far as it can be compared.
struct ChainAt {
  raft::LogIndex index;
  uint64_t chain = 0;
  friend bool operator==(const ChainAt&, const ChainAt&) = default;
};

class ChainRing {
 public:
  // Of 8 bytes each. A member that lags by more is compared when it has caught up.
  static constexpr size_t kEntriesMax = 1 << 16;

  // Knows nothing but this: where a run starts, or a snapshot was installed.
  explicit ChainRing(const ChainAt& start) { Reset(start); }
  void Reset(const ChainAt& start);
  // The next entry was applied.
  void Add(const ChainAt& applied);

  ChainAt newest() const { return {newest_index_, chains_[newest_]}; }
  // Nothing if it is not known, or not any more.
  std::optional<uint64_t> At(raft::LogIndex index) const;

 private:
  std::vector<uint64_t> chains_;  // grows up to kEntriesMax; then the oldest is replaced
  size_t newest_ = 0;             // its place
  raft::LogIndex newest_index_;
};

}  // namespace conclave::server
