// What the engine has been told and has not flushed yet, in memory: sorted runs of about doubling
// sizes, so that a batch costs its sorting and a share of the merges, each a walk through memory in
// its order. LevelDB's own memtable is a skip list, which misses the cache at each of its steps and
// cannot be told what goes into one table (leveldb_engine.h); it gets what is here when it is
// flushed, sorted and each key once.
//
// Two parts: what is being written, and what is sealed while it is flushed. One lock, held for no
// longer than a merge of small runs. Any thread.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "kvstore/engine/engine.h"
#include "kvstore/engine/sorted_run.h"

namespace conclave::kv {

class WriteBuffer {
 public:
  // Newest first: of a key the first run that has it counts.
  using Runs = std::vector<std::shared_ptr<const SortedRun>>;

  void Add(const WriteBatch& batch);

  // What is being written becomes what is sealed, of which there must be nothing. False if there is
  // nothing to seal.
  bool Seal();
  // As one run.
  std::shared_ptr<const SortedRun> Sealed();
  // Its content is in the engine by now.
  void DropSealed();

  // Bytes of the batches in the part that is being written, and in both.
  size_t open_bytes() const;
  size_t size_bytes() const;

  enum class Found { kNothing, kDelete, kValue };
  // What the buffer says of the key; a value goes to `value`.
  Found Get(std::string_view key, std::string* value) const;
  // All of it as it is now.
  Runs View() const;

 private:
  mutable std::mutex mutex_;
  Runs open_;  // guarded by mutex_, like all below
  size_t open_bytes_ = 0;
  Runs sealed_;
  size_t sealed_bytes_ = 0;
};

// As WriteBuffer::Get, of a view.
WriteBuffer::Found FindIn(const WriteBuffer::Runs& runs, std::string_view key, std::string* value);

}  // namespace conclave::kv
