#include <limits>

#include "kvstore/engine/engine.h"
#include "raft/base/check.h"
#include "raft/base/coding.h"

namespace conclave::kv {
namespace {

constexpr uint8_t kPut = 1;
constexpr uint8_t kDelete = 0;

void Append(std::string& encoded, uint8_t kind, std::string_view key, std::string_view value) {
  constexpr size_t kPieceBytesMax = std::numeric_limits<uint32_t>::max();
  CHECK(key.size() <= kPieceBytesMax && value.size() <= kPieceBytesMax);
  PutByte(encoded, kind);
  PutFixed32(encoded, static_cast<uint32_t>(key.size()));
  PutFixed32(encoded, static_cast<uint32_t>(value.size()));
  encoded.append(key);
  encoded.append(value);
}

}  // namespace

size_t WriteBatch::Put(std::string_view key, std::string_view value) {
  const size_t place = encoded_.size();
  Append(encoded_, kPut, key, value);
  ++count_;
  return place;
}

size_t WriteBatch::Delete(std::string_view key) {
  const size_t place = encoded_.size();
  Append(encoded_, kDelete, key, {});
  ++count_;
  return place;
}

void WriteBatch::Clear() {
  // One huge command must not pin its memory for good.
  constexpr size_t kKeptBytesMax = 4 << 20;
  if (encoded_.capacity() > kKeptBytesMax) encoded_ = std::string();
  encoded_.clear();
  count_ = 0;
}

void WriteBatch::Operations::iterator::Load() {
  if (rest_.empty()) return;
  const size_t key_size = LoadFixed32(rest_.data() + 1);
  const size_t value_size = LoadFixed32(rest_.data() + 5);
  operation_.is_delete = static_cast<uint8_t>(rest_.front()) == kDelete;
  operation_.key = rest_.substr(kHeaderBytes, key_size);
  operation_.value = rest_.substr(kHeaderBytes + key_size, value_size);
  size_ = kHeaderBytes + key_size + value_size;
}

}  // namespace conclave::kv
