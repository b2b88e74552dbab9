// A whole engine as a row of chunks, for a member that lacks the log: the reader cuts a frozen view
// into chunks of rows in key order, the writer puts them into an empty engine. Chunks are bounded,
// each carries a sum of all its bytes, and the last one the number and the sum of all rows, so that
// a writer that says it is finished holds exactly the view. A transfer that broke off goes on after
// the last key written. Works on every Engine. Used by the server's snapshot stage; reading and
// writing block, for as long as a chunk is large.
//
// A chunk, numbers little-endian (raft/base/coding.h):
//
//   crc32c of all that follows (4)
//   kind (1): 0 more follow, 1 the last one
//   the key that its rows come after, empty at the start: size (varint), bytes
//   rows: key size (varint), key, value size (varint), value; ascending; zero key size ends them
//   in the last one: number of all rows (8), sum of all rows (4)
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "kvstore/engine/engine.h"

namespace conclave::kv {

// Rows of a snapshot so far: how many, and the sum of their encoding in key order.
struct SnapshotTotals {
  uint64_t rows = 0;
  uint32_t crc32c = 0;
  friend bool operator==(const SnapshotTotals&, const SnapshotTotals&) = default;
};

class SnapshotReader {
 public:
  // The engine of the view must outlive this.
  explicit SnapshotReader(std::unique_ptr<EngineView> view) : view_(std::move(view)) {}

  // The chunk of rows after `after_key`: the empty string at first, later SnapshotWriter::last_key,
  // which may be one of an earlier chunk if some were lost. Takes rows until the chunk has
  // `bytes_max` bytes, and passes it by less than one row; at least one row. Rows that were never
  // handed out are not left out for a later `after_key`.
  std::string Next(std::string_view after_key, size_t bytes_max);

 private:
  const std::unique_ptr<EngineView> view_;
  std::string handed_out_;  // the furthest key
  SnapshotTotals totals_;   // of all rows up to it
};

class SnapshotWriter {
 public:
  // An empty engine, which must outlive this. Nothing else writes to it.
  explicit SnapshotWriter(Engine* engine) : engine_(engine) {}

  // Errors, after which nothing of the chunk is written: DataLoss if it is damaged, or is the last
  // one and the totals are not those of what was written, which no retry mends: start anew.
  // FailedPrecondition if its rows do not come right after last_key(), as with a chunk that arrives
  // twice: ask for the one after last_key(). ResourceExhausted if the engine has found no space
  // (Engine::CheckSpace), after which it is good for nothing.
  absl::Status Write(std::string_view chunk);

  // Where to go on.
  const std::string& last_key() const { return last_key_; }
  // True once all rows are written; durable only after the engine's Flush.
  bool finished() const { return finished_; }
  const SnapshotTotals& totals() const { return totals_; }

 private:
  Engine* const engine_;
  std::string last_key_;
  SnapshotTotals totals_;
  bool finished_ = false;
};

}  // namespace conclave::kv
