// The engine in memory: for the simulator and for tests, with LevelDB's contract but nothing on
// disk. A persistent search tree, so that a view is one pointer: nodes that a view can see are
// copied before they change, others change in place. Writes on one thread; views on any, also while
// writes go on.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "kvstore/engine/engine.h"
#include "kvstore/engine/persistent_map.h"

namespace conclave::kv {

class MemoryEngine : public Engine {
 public:
  void Write(const WriteBatch& batch) override;
  std::optional<std::string> Get(std::string_view key) const override;
  std::unique_ptr<Iterator> NewIterator() const override;
  std::unique_ptr<EngineView> NewView() const override;
  void Flush() override {}
  void Reclaim(std::string_view, std::string_view) override {}
  uint64_t SizeBytes() const override { return size_bytes_.load(std::memory_order_relaxed); }

  // An engine with the same content: what a restart without a crash would find.
  std::unique_ptr<MemoryEngine> Copy() const;

 private:
  PersistentMap map_;
  std::atomic<uint64_t> size_bytes_ = 0;
};

}  // namespace conclave::kv
