#include "kvstore/engine/memory_engine.h"

#include "kvstore/engine/cached_only.h"

namespace conclave::kv {
namespace {

// About what a node costs beside its bytes.
constexpr uint64_t kEntryOverheadBytes = 96;

class MemoryIterator : public Iterator {
 public:
  explicit MemoryIterator(PersistentMap::Cursor cursor) : cursor_(std::move(cursor)) {}
  bool Valid() const override { return cursor_.Valid() && !CachedOnly::HasMissed(); }
  void Seek(std::string_view target) override { cursor_.Seek(target); }
  void SeekForPrev(std::string_view target) override { cursor_.SeekForPrev(target); }
  void Next() override { cursor_.Next(); }
  void Prev() override { cursor_.Prev(); }
  std::string_view key() const override { return cursor_.key(); }
  std::string_view value() const override { return cursor_.value(); }

 private:
  PersistentMap::Cursor cursor_;
};

std::optional<std::string> Find(const PersistentMap& map, std::string_view key) {
  const Bytes* value = map.Find(key);
  if (value == nullptr) return std::nullopt;
  return std::string(value->view());
}

class MemoryView : public EngineView {
 public:
  explicit MemoryView(PersistentMap map) : map_(std::move(map)) {}
  std::optional<std::string> Get(std::string_view key) const override { return Find(map_, key); }
  std::unique_ptr<Iterator> NewIterator() const override {
    return std::make_unique<MemoryIterator>(map_.NewCursor());
  }

 private:
  const PersistentMap map_;
};

}  // namespace

void MemoryDisk::Detach() {
  if (engine_ != nullptr) engine_->disk_ = nullptr;
  engine_ = nullptr;
}

bool MemoryDisk::Misses() {
  CachedOnly* const cached_only = CachedOnly::Current();
  if (cached_only == nullptr || options_.miss_one_in == 0) return false;
  if (!misses_.OneIn(options_.miss_one_in)) return false;
  cached_only->Miss();
  return true;
}

MemoryEngine::MemoryEngine(MemoryDisk* disk)
    : disk_(disk), map_(disk->flushed_), size_bytes_(disk->flushed_bytes_) {
  disk_->Detach();
  disk_->engine_ = this;
}

MemoryEngine::~MemoryEngine() {
  if (disk_ != nullptr) disk_->Detach();
}

void MemoryEngine::Flush() {
  if (disk_ == nullptr) return;
  disk_->flushed_ = map_;
  disk_->flushed_bytes_ = SizeBytes();
}

void MemoryEngine::Write(const WriteBatch& batch) {
  uint64_t size = SizeBytes();
  for (const WriteBatch::Operation& operation : batch.operations()) {
    if (const Bytes* old = map_.Find(operation.key); old != nullptr) {
      size -= operation.key.size() + old->size() + kEntryOverheadBytes;
    }
    if (operation.is_delete) {
      map_.Erase(operation.key);
    } else {
      map_.Put(operation.key, operation.value);
      size += operation.key.size() + operation.value.size() + kEntryOverheadBytes;
    }
  }
  size_bytes_.store(size, std::memory_order_relaxed);
  if (disk_ == nullptr) return;
  const uint32_t one_in = disk_->options_.flush_one_in;
  if (one_in > 0 && disk_->random_.OneIn(one_in)) Flush();
}

std::optional<std::string> MemoryEngine::Get(std::string_view key) const {
  if (disk_ != nullptr && disk_->Misses()) return std::nullopt;
  return Find(map_, key);
}

std::unique_ptr<Iterator> MemoryEngine::NewIterator() const {
  if (disk_ != nullptr) disk_->Misses();  // then it is nowhere valid
  return std::make_unique<MemoryIterator>(map_.NewCursor());
}

std::unique_ptr<EngineView> MemoryEngine::NewView() const {
  return std::make_unique<MemoryView>(map_);
}

std::unique_ptr<MemoryEngine> MemoryEngine::Copy() const {
  auto copy = std::make_unique<MemoryEngine>();
  copy->map_ = map_;
  copy->size_bytes_ = SizeBytes();
  return copy;
}

}  // namespace conclave::kv
