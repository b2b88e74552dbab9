#include "kvstore/kv_encoding.h"

namespace conclave::kv {
namespace {

constexpr char kKeyTag = WireTag(1, kLengthDelimitedWire);
constexpr char kCreateRevisionTag = WireTag(2, kVarintWire);
constexpr char kModRevisionTag = WireTag(3, kVarintWire);
constexpr char kVersionTag = WireTag(4, kVarintWire);
constexpr char kValueTag = WireTag(5, kLengthDelimitedWire);
constexpr char kLeaseTag = WireTag(6, kVarintWire);

size_t VarintSize(uint64_t value) {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

}  // namespace

void AppendVarint(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

size_t NumberFieldSize(int64_t value) {
  return value == 0 ? 0 : 1 + VarintSize(static_cast<uint64_t>(value));
}

void AppendNumberField(char tag, int64_t value, std::string& out) {
  if (value == 0) return;
  out.push_back(tag);
  AppendVarint(static_cast<uint64_t>(value), out);
}

size_t BytesFieldSize(size_t size) { return size == 0 ? 0 : KeyValueFieldSize(size); }

size_t KeyValueFieldSize(size_t size) { return 1 + VarintSize(size) + size; }

void AppendBytesField(char tag, std::string_view bytes, std::string& out) {
  if (bytes.empty()) return;
  out.push_back(tag);
  AppendVarint(bytes.size(), out);
  out.append(bytes);
}

size_t KeyValueSize(std::string_view key, const RecordView& record) {
  return BytesFieldSize(key.size()) + NumberFieldSize(record.create_revision) +
         NumberFieldSize(record.mod.main) + NumberFieldSize(record.version) +
         BytesFieldSize(record.value.size()) + NumberFieldSize(record.lease);
}

void AppendKeyValueField(char tag, std::string_view key, const RecordView& record, size_t size,
                         std::string& out) {
  out.push_back(tag);
  AppendVarint(size, out);
  AppendBytesField(kKeyTag, key, out);
  AppendNumberField(kCreateRevisionTag, record.create_revision, out);
  AppendNumberField(kModRevisionTag, record.mod.main, out);
  AppendNumberField(kVersionTag, record.version, out);
  AppendBytesField(kValueTag, record.value, out);
  AppendNumberField(kLeaseTag, record.lease, out);
}

}  // namespace conclave::kv
