// What the versions that history keeps take up: that is what a quota is about, for it is what
// deletes and compactions of revisions bring down, whatever the engine's files hold at the moment.
// Every event counts its key, its value and a share of what goes with them, as long as compaction
// has not removed it; so members may differ by what their removals have yet to do. Part of
// KeySpace; apply lane.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "kvstore/engine/engine.h"

namespace conclave::kv {

// What an event of a value so long counts; of a delete, none.
inline uint64_t BytesOfEvent(std::string_view key, uint64_t value_bytes) {
  // Its pointer, the numbers of its record, and what the engine adds to an entry.
  constexpr uint64_t kOverhead = 64;
  return key.size() + value_bytes + kOverhead;
}

// As the engine has it; 0 in one that has none. DataLoss if it is damaged.
absl::StatusOr<uint64_t> LoadKeptBytes(const Engine& engine);
// Goes with each batch that adds or removes events.
void PutKeptBytes(uint64_t kept_bytes, WriteBatch& batch);

}  // namespace conclave::kv
