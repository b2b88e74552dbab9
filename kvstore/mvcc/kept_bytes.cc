#include "kvstore/mvcc/kept_bytes.h"

#include <optional>
#include <string>

#include "kvstore/mvcc/keys.h"
#include "raft/base/coding.h"

namespace conclave::kv {

absl::StatusOr<uint64_t> LoadKeptBytes(const Engine& engine) {
  const std::optional<std::string> value = engine.Get(kKeptBytesKey);
  if (!value) return 0;
  ByteReader in(*value);
  const uint64_t kept_bytes = in.Fixed64();
  if (!in.finished()) return absl::DataLossError("the engine's count of kept bytes is damaged");
  return kept_bytes;
}

void PutKeptBytes(uint64_t kept_bytes, WriteBatch& batch) {
  std::string value;
  PutFixed64(value, kept_bytes);
  batch.Put(kKeptBytesKey, value);
}

}  // namespace conclave::kv
