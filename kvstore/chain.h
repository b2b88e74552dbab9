// The rolling sum over all that was ever applied, by which members find out that one of them has
// come to another state (docs/integrity.md): each entry is folded into it with its outcome. Equal
// at equal positions of the log on members whose states are equal, and never equal again once they
// were not. Pure function, any lane.
#pragma once

#include <cstdint>
#include <string_view>

namespace conclave::kv {

// What applying one entry came to, as every member must see it.
struct Outcome {
  uint64_t index = 0;
  uint64_t term = 0;
  int status_code = 0;        // absl::StatusCode of the answer
  uint64_t replaced_sum = 0;  // KeySpace::replaced_sum
  std::string_view effects =
      {};  // on the replicated state: engine operations (WriteBatch::encoded)
};

uint64_t NextChain(uint64_t chain, const Outcome& outcome);

}  // namespace conclave::kv
