#include "kvstore/kv_encoding.h"

#include <array>
#include <bit>

namespace conclave::kv {
namespace {

constexpr char kKeyTag = WireTag(1, kLengthDelimitedWire);
constexpr char kCreateRevisionTag = WireTag(2, kVarintWire);
constexpr char kModRevisionTag = WireTag(3, kVarintWire);
constexpr char kVersionTag = WireTag(4, kVarintWire);
constexpr char kValueTag = WireTag(5, kLengthDelimitedWire);
constexpr char kLeaseTag = WireTag(6, kVarintWire);

size_t VarintSize(uint64_t value) { return (std::bit_width(value | 1) + 6) / 7; }

// Tags, lengths and numbers between two strings, appended at once: a large range has millions.
class Head {
 public:
  void Varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_[size_++] = static_cast<char>(value | 0x80);
    bytes_[size_++] = static_cast<char>(value);
  }
  void Length(char tag, size_t size) {
    bytes_[size_++] = tag;
    Varint(size);
  }
  void Number(char tag, int64_t value) {
    if (value == 0) return;
    bytes_[size_++] = tag;
    Varint(static_cast<uint64_t>(value));
  }
  void AppendTo(std::string& out) {
    out.append(bytes_.data(), size_);
    size_ = 0;
  }

 private:
  std::array<char, 64> bytes_;  // of at most five numbers or lengths with their tags
  size_t size_ = 0;
};

}  // namespace

void AppendVarint(uint64_t value, std::string& out) {
  Head head;
  head.Varint(value);
  head.AppendTo(out);
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
  Head head;
  head.Length(tag, size);
  if (!key.empty()) head.Length(kKeyTag, key.size());
  head.AppendTo(out);
  out.append(key);
  head.Number(kCreateRevisionTag, record.create_revision);
  head.Number(kModRevisionTag, record.mod.main);
  head.Number(kVersionTag, record.version);
  if (!record.value.empty()) head.Length(kValueTag, record.value.size());
  head.AppendTo(out);
  out.append(record.value);
  if (record.lease == 0) return;
  head.Number(kLeaseTag, record.lease);
  head.AppendTo(out);
}

}  // namespace conclave::kv
