// Ordered bytes to bytes, on which the whole state machine stands. Two implementations: LevelDB (leveldb_engine.h) and memory
// (memory_engine.h); the same tests run on both. Writes come from the apply lane only. A failed write or read means the
// machine betrayed us: the engine ends the process (Fatal) instead of returning an error.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace conclave::kv {

// Puts and deletes that take effect together, in order. Reusable after Clear.
class WriteBatch {
 public:
  struct Operation {
    bool is_delete;
    std::string key;
    std::string value;
  };

  void Put(std::string_view key, std::string_view value);
  void Delete(std::string_view key);
  void Clear() { operations_.clear(); }
  bool empty() const { return operations_.empty(); }
  const std::vector<Operation>& operations() const { return operations_; }

 private:
  std::vector<Operation> operations_;
};

// A position in a frozen view of the engine. Keys ascend byte-wise.
class Iterator {
 public:
  virtual ~Iterator() = default;
  virtual bool Valid() const = 0;
  virtual void Seek(std::string_view target) = 0;  // to the first key >= target
  virtual void SeekForPrev(std::string_view target) = 0;  // to the last key <= target
  virtual void Next() = 0;
  virtual void Prev() = 0;
  virtual std::string_view key() const = 0;    // until the next move
  virtual std::string_view value() const = 0;  // until the next move
};

// A frozen view that outlives later writes.
class EngineView {
 public:
  virtual ~EngineView() = default;
  virtual std::optional<std::string> Get(std::string_view key) const = 0;
  virtual std::unique_ptr<Iterator> NewIterator() const = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;

  // Atomic: after a crash all of a batch is there or nothing, and never a batch without all before it. Durable only
  // after Flush.
  virtual void Write(const WriteBatch& batch) = 0;

  virtual std::optional<std::string> Get(std::string_view key) const = 0;
  virtual std::unique_ptr<Iterator> NewIterator() const = 0;
  virtual std::unique_ptr<EngineView> NewView() const = 0;

  // Makes everything written so far durable. Blocks; may be called from a background thread while the apply lane writes.
  virtual void Flush() = 0;

  // Bytes on disk (in memory for the memory engine), approximately.
  virtual uint64_t SizeBytes() const = 0;
};

}  // namespace conclave::kv
