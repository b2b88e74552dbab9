#include "kvstore/mvcc/drain.h"

#include "raft/base/seeded_bug.h"

namespace conclave::kv {

void Drain::WriteOut(Engine& engine, RecordCache& cache) {
  engine.Write(batch_);
  for (auto it = changed_.cbegin(); it != changed_.cend(); ++it) {
    const Change change = At(it);
    if (SEEDED_BUG(kCacheMissesDelete) && !change.record) continue;
    cache.Put(change.key, change.record);
  }
  changed_.clear();
  batch_.Clear();
}

}  // namespace conclave::kv
