// The engine in memory: for the simulator and for tests, with LevelDB's contract but no files. A
// persistent search tree, so that a view is one pointer: nodes that a view can see are copied
// before they change, others change in place. Writes on one thread; views on any, also while writes
// go on.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "kvstore/engine/engine.h"
#include "kvstore/engine/persistent_map.h"
#include "raft/base/random.h"

namespace conclave::kv {

class MemoryEngine;

struct MemoryDiskOptions {
  // Flushes by itself as well, after one batch in so many, as LevelDB does when its buffer is full;
  // 0 is never.
  uint32_t flush_one_in = 0;
  // One lookup in so many is missed by who may not wait (cached_only.h); 0 is none.
  uint32_t miss_one_in = 0;
};

// What outlives a MemoryEngine: the state as of some batch, the last flushed one or a later one.
// The end of a process, be it a crash or not, takes what came after, as it does with LevelDB, which
// has no log here. Engines are opened on it one after the other, on one thread.
class MemoryDisk {
 public:
  // Only what is flushed is kept.
  MemoryDisk() : MemoryDisk(0, {}) {}
  MemoryDisk(uint64_t seed, const MemoryDiskOptions& options)
      : random_(seed), misses_(Random(seed).Stream("misses")), options_(options) {}

  ~MemoryDisk() { Detach(); }
  MemoryDisk(const MemoryDisk&) = delete;
  MemoryDisk& operator=(const MemoryDisk&) = delete;

  // The process is dead already, and its engine does not know: what it does is not kept.
  void Detach();
  // MemoryDiskOptions::miss_one_in, from now on.
  void SetMisses(uint32_t one_in) { options_.miss_one_in = one_in; }

 private:
  friend class MemoryEngine;

  // By chance, what is looked up would have to be waited for.
  bool Misses();

  Random random_;
  Random misses_;
  MemoryDiskOptions options_;
  MemoryEngine* engine_ = nullptr;  // whose flushes count
  PersistentMap flushed_;
  uint64_t flushed_bytes_ = 0;
};

class MemoryEngine : public Engine {
 public:
  // Nothing of it outlives it.
  MemoryEngine() = default;
  // Goes on from what `disk` has kept; nothing of it is kept once the disk is gone or has another
  // engine. Flush only from the thread that writes.
  explicit MemoryEngine(MemoryDisk* disk);
  ~MemoryEngine() override;

  void Write(const WriteBatch& batch) override;
  std::optional<std::string> Get(std::string_view key) const override;
  std::unique_ptr<Iterator> NewIterator() const override;
  std::unique_ptr<EngineView> NewView() const override;
  void Flush() override;
  void Reclaim(std::string_view, std::string_view) override {}
  uint64_t SizeBytes() const override { return size_bytes_.load(std::memory_order_relaxed); }

  // An engine with the same content: what a restart without a crash would find.
  std::unique_ptr<MemoryEngine> Copy() const;

 private:
  friend class MemoryDisk;

  MemoryDisk* disk_ = nullptr;  // while its flushes count
  PersistentMap map_;
  std::atomic<uint64_t> size_bytes_ = 0;
};

}  // namespace conclave::kv
