#include "kvstore/chain.h"

#include <array>
#include <cstddef>

#include "raft/base/hash64.h"

namespace conclave::kv {

// Allocates nothing: this runs for every entry.
uint64_t NextChain(uint64_t chain, const Outcome& outcome) {
  constexpr size_t kNumbers = 6;
  const std::array<uint64_t, kNumbers> numbers = {chain,
                                                  outcome.index,
                                                  outcome.term,
                                                  static_cast<uint64_t>(outcome.status_code),
                                                  outcome.replaced_sum,
                                                  Hash64(outcome.effects)};
  std::array<char, kNumbers * sizeof(uint64_t)> bytes;
  char* at = bytes.data();
  for (const uint64_t number : numbers) {
    for (int shift = 0; shift < 64; shift += 8) *at++ = static_cast<char>(number >> shift);
  }
  return Hash64({bytes.data(), bytes.size()});
}

}  // namespace conclave::kv
