// What a disk or a flipped bit may do to one member's state: another value of the same size, with
// nothing else to show for it. Tests only.
#pragma once

#include <optional>
#include <string>

#include "kvstore/engine/engine.h"
#include "kvstore/mvcc/keys.h"
#include "raft/base/check.h"

namespace conclave::server {

// Of a key that is there.
inline void SpoilValue(kv::Engine& engine, const std::string& key) {
  const std::string at = kv::LatestKey(key);
  const std::optional<std::string> stored = engine.Get(at);
  CHECK(stored.has_value() && !stored->empty());
  std::string spoiled = *stored;
  spoiled.back() = spoiled.back() == '!' ? '?' : '!';
  kv::WriteBatch batch;
  batch.Put(at, spoiled);
  engine.Write(batch);
}

}  // namespace conclave::server
