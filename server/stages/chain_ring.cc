#include "server/stages/chain_ring.h"

#include "raft/base/check.h"

namespace conclave::server {

void ChainRing::Reset(const ChainAt& start) {
  chains_.assign(1, start.chain);
  newest_ = 0;
  newest_index_ = start.index;
}

void ChainRing::Add(const ChainAt& applied) {
  CHECK(applied.index == newest_index_.Next());
  newest_index_ = applied.index;
  newest_ = newest_ + 1 == kEntriesMax ? 0 : newest_ + 1;
  if (newest_ == chains_.size()) {
    chains_.push_back(applied.chain);
  } else {
    chains_[newest_] = applied.chain;
  }
}

std::optional<uint64_t> ChainRing::At(raft::LogIndex index) const {
  if (index > newest_index_) return std::nullopt;
  const uint64_t back = newest_index_ - index;
  if (back >= chains_.size()) return std::nullopt;
  return chains_[(newest_ + chains_.size() - back) % chains_.size()];
}

}  // namespace conclave::server
