// Ordered bytes to bytes, on which the whole state machine stands. Two implementations: LevelDB
// (leveldb_engine.h) and memory (memory_engine.h); the same tests run on both. Writes come from the
// apply lane only. A failed write or read means the machine betrayed us: the engine ends the
// process (Fatal) instead of returning an error. Only a full disk is waited for, or, where nobody
// may wait, told of (CheckSpace).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "raft/base/coding.h"

namespace conclave::kv {

// Puts and deletes that take effect together, in order. One buffer whatever their number, kept by
// Clear for the next use.
class WriteBatch {
 public:
  // Points into the batch; good until it is next changed.
  struct Operation {
    bool is_delete = false;
    std::string_view key;
    std::string_view value;  // empty for a delete
  };

  // The operations in their order, for a range-based for loop.
  class Operations {
   public:
    class iterator {
     public:
      explicit iterator(std::string_view rest) : rest_(rest) { Load(); }
      const Operation& operator*() const { return operation_; }
      const Operation* operator->() const { return &operation_; }
      iterator& operator++() {
        rest_.remove_prefix(size_);
        Load();
        return *this;
      }
      bool operator==(const iterator& other) const { return rest_.size() == other.rest_.size(); }

     private:
      void Load();

      std::string_view rest_;  // from this operation on
      size_t size_ = 0;        // of this operation
      Operation operation_;
    };

    explicit Operations(std::string_view encoded) : encoded_(encoded) {}
    iterator begin() const { return iterator(encoded_); }
    iterator end() const { return At(encoded_.size()); }
    iterator At(size_t place) const { return iterator(encoded_.substr(place)); }

   private:
    std::string_view encoded_;
  };

  // Each returns the operation's place, for At.
  size_t Put(std::string_view key, std::string_view value);
  size_t Delete(std::string_view key);
  void Clear();
  bool empty() const { return count_ == 0; }
  size_t count() const { return count_; }
  size_t size_bytes() const { return encoded_.size(); }
  Operations operations() const { return Operations(encoded_); }
  Operation At(size_t place) const { return *Operations(encoded()).At(place); }
  // At(place).key, for who compares many.
  std::string_view KeyAt(size_t place) const {
    const char* const header = encoded_.data() + place;
    return {header + kHeaderBytes, LoadFixed32(header + 1)};
  }
  // All of it as bytes, in an encoding that is the same on every machine; until the next change.
  std::string_view encoded() const { return encoded_; }

 private:
  // Each operation: kind (1), key size (4), value size (4), key, value.
  static constexpr size_t kHeaderBytes = 9;

  std::string encoded_;
  size_t count_ = 0;
};

// A position in a frozen view of the engine. Keys ascend byte-wise. What was found is certain to be
// all there is, undamaged, once the iterator is gone: until then use it for nothing that others
// see.
class Iterator {
 public:
  virtual ~Iterator() = default;
  virtual bool Valid() const = 0;
  virtual void Seek(std::string_view target) = 0;         // to the first key >= target
  virtual void SeekForPrev(std::string_view target) = 0;  // to the last key <= target
  virtual void Next() = 0;
  virtual void Prev() = 0;
  virtual std::string_view key() const = 0;    // until the next move
  virtual std::string_view value() const = 0;  // until the next move
};

// What can be read: of an engine what is written by then, of a view what was. Waits for the disk,
// unless the thread has a CachedOnly (cached_only.h).
class EngineReader {
 public:
  virtual ~EngineReader() = default;
  virtual std::optional<std::string> Get(std::string_view key) const = 0;
  virtual std::unique_ptr<Iterator> NewIterator() const = 0;
};

// A frozen view that outlives later writes, but not the engine. Any thread may use one, one thread
// at a time.
class EngineView : public EngineReader {};

class Engine : public EngineReader {
 public:
  // Atomic: after a crash all of a batch is there or nothing, and never a batch without all before
  // it, but for what LevelDbOptions::history_from says. Durable only after Flush.
  // Waits for the disk when far more was written than it has taken; who may not wait asks HasRoom.
  virtual void Write(const WriteBatch& batch) = 0;
  // Whether the next Write, and a small one after it, need not wait.
  virtual bool HasRoom() const { return true; }
  // Runs `then` once when there is room: at once if there is, else on any thread, or never if the
  // engine goes before. One may wait at a time, the last that came.
  virtual void AwaitRoom(absl::AnyInvocable<void()> then) { then(); }

  virtual std::unique_ptr<EngineView> NewView() const = 0;

  // Makes everything written so far durable. Blocks; may be called from a background thread while
  // the apply lane writes.
  virtual void Flush() = 0;

  // A full disk is waited for, in flushes and in the background; reads go on meanwhile. From this
  // call on it is not: a flush that finds no space gives up, and nothing may be written any more.
  // For the end of the process. Any thread.
  virtual void StopWaitingForSpace() {}
  // ResourceExhausted once an engine that does not wait for space has found none: then it need not
  // hold what was written since the last Flush after which this was OK, and nothing may be written
  // any more. Any thread; cheap.
  virtual absl::Status CheckSpace() const { return absl::OkStatus(); }

  // Gives back the space of keys in [begin, end) that were deleted or replaced. Blocks, for long if
  // there is much; for a background thread, after something big was deleted. Space comes back by
  // itself as well, only later.
  virtual void Reclaim(std::string_view begin, std::string_view end) = 0;

  // Bytes on disk and waiting to go there, approximately; deleted and replaced keys count until
  // their space came back. Any thread; cheap.
  virtual uint64_t SizeBytes() const = 0;
};

}  // namespace conclave::kv
