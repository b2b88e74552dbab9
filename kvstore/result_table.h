// The results of the newest writes that came with a request id (request_identity.h): a write that
// comes again gets the result of the first one and changes nothing (docs/request-identity.md).
// Replicated: entries in the order of the log decide what is in it and what has gone, with no
// clock, so all members agree. Rows are written in one batch with what their entry has changed;
// what is kept in memory is bounded by a drain and some read ahead, and nothing is loaded at start.
// Part of MvccStore; apply lane.
//
// In the engine (numbers little-endian where nothing else is said):
//
//   q <id>                  a result: index of its entry (8), fingerprint (8), kind (1), code (1),
//   and
//                           the response if the code is OK, else the error's text
//   o <index, big-endian>   the order of results: what the result counts (4), its id
//   m/results               how many (8), what they count (8), the oldest index that is kept (8)
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "kvstore/command.h"
#include "kvstore/engine/engine.h"
#include "kvstore/store.h"

namespace conclave::kv {

class ResultTable {
 public:
  explicit ResultTable(const ResultTableOptions& options) : options_(options) {}

  // Stands on this engine from now on, which must outlive it. DataLoss if what it holds is damaged.
  absl::Status Load(const Engine* engine);

  // What becomes of a command with an identity if its id has a result: that result, without the
  // response unless `want_response`, or ErrRequestIdReused if it is another request's. nullopt: the
  // id has none, the command is to be carried out. Fatal if the engine's row is damaged.
  std::optional<ApplyResult> Find(const Command& command, bool want_response) const;

  // The command at `index`, whose id has no result, came to `result`, with its response. Takes the
  // oldest results out while there are more than the bounds allow. Returns the new row: together
  // with `index` it decides all that changes here. Good until the next call.
  std::string_view Keep(uint64_t index, const Command& command, const ApplyResult& result,
                        WriteBatch& batch);

  // Of the rows that the engine does not hold yet.
  size_t unwritten_bytes() const { return unwritten_bytes_; }
  // Completes the batch of a drain; the engine has it before anything else is asked for.
  void FinishBatch(WriteBatch& batch);

  uint64_t count() const { return count_; }

 private:
  // One row of the order.
  struct Place {
    uint64_t index = 0;
    uint64_t bytes = 0;
    std::string id;
  };

  std::optional<std::string> RowOf(std::string_view id) const;
  void EvictOldest(WriteBatch& batch);
  Place TakeOldest();
  void ReadOldest();

  ResultTableOptions options_;
  const Engine* engine_ = nullptr;
  uint64_t count_ = 0;
  uint64_t bytes_ = 0;
  // Results of earlier entries have gone, whatever the engine still holds.
  uint64_t first_index_ = 0;
  bool changed_ = false;      // since the last FinishBatch
  std::deque<Place> oldest_;  // the oldest places in the engine, read ahead

  // Of this drain.
  absl::btree_map<std::string, std::string, std::less<>> unwritten_;  // rows, by id
  std::deque<Place> unwritten_places_;
  size_t unwritten_bytes_ = 0;

  std::string row_;  // scratch
};

}  // namespace conclave::kv
