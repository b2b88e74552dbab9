#include "kvstore/mvcc/drain.h"

#include "raft/base/seeded_bug.h"

namespace conclave::kv {

void Drain::WriteOut(Engine& engine, RecordCache& cache) {
  engine.Write(batch_);
  batch_.Clear();
  for (auto& [key, record] : changed_) {
    if (SEEDED_BUG(kCacheMissesDelete) && !record) continue;
    cache.Put(key, std::move(record));
  }
  changed_.clear();
}

}  // namespace conclave::kv
