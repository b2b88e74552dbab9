#include "kvstore/watch/event_encoding.h"

#include <algorithm>
#include <cstdint>

#include "raft/base/check.h"
#include "raft/base/probe.h"

namespace conclave::kv {
namespace {

constexpr uint32_t kVarint = 0;
constexpr uint32_t kLengthDelimited = 2;

// One byte: every field number here is below 16.
constexpr char Tag(uint32_t field, uint32_t wire_type) {
  return static_cast<char>(field << 3 | wire_type);
}

// WatchResponse, Event and KeyValue of the reference (wire section 3).
constexpr char kEventsTag = Tag(11, kLengthDelimited);
constexpr char kTypeTag = Tag(1, kVarint);
constexpr char kKvTag = Tag(2, kLengthDelimited);
constexpr char kPrevKvTag = Tag(3, kLengthDelimited);
constexpr char kKeyTag = Tag(1, kLengthDelimited);
constexpr char kCreateRevisionTag = Tag(2, kVarint);
constexpr char kModRevisionTag = Tag(3, kVarint);
constexpr char kVersionTag = Tag(4, kVarint);
constexpr char kValueTag = Tag(5, kLengthDelimited);
constexpr char kLeaseTag = Tag(6, kVarint);

constexpr int kDeleteType = 1;

size_t VarintSize(uint64_t value) {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

void AppendVarint(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

// Sizes and appends leave out zero and empty fields, as proto3 does.
size_t NumberFieldSize(int64_t value) {
  return value == 0 ? 0 : 1 + VarintSize(static_cast<uint64_t>(value));
}

void AppendNumberField(char tag, int64_t value, std::string& out) {
  if (value == 0) return;
  out.push_back(tag);
  AppendVarint(static_cast<uint64_t>(value), out);
}

size_t BytesFieldSize(size_t size) { return size == 0 ? 0 : 1 + VarintSize(size) + size; }

void AppendBytesField(char tag, std::string_view bytes, std::string& out) {
  if (bytes.empty()) return;
  out.push_back(tag);
  AppendVarint(bytes.size(), out);
  out.append(bytes);
}

size_t KeyValueSize(std::string_view key, const Record& record) {
  return BytesFieldSize(key.size()) + NumberFieldSize(record.create_revision) +
         NumberFieldSize(record.mod.main) + NumberFieldSize(record.version) +
         BytesFieldSize(record.value.size()) + NumberFieldSize(record.lease);
}

void AppendKeyValueField(char tag, std::string_view key, const Record& record, size_t size,
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

// The bytes of the encoded event that `encoded` begins with, tag and length included.
size_t FirstEventSize(std::string_view encoded) {
  CHECK(!encoded.empty() && encoded[0] == kEventsTag);
  uint64_t length = 0;
  size_t offset = 1;
  for (int shift = 0;; shift += 7) {
    CHECK(offset < encoded.size() && shift < 64);
    const auto byte = static_cast<unsigned char>(encoded[offset++]);
    length |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  CHECK(length <= encoded.size() - offset);
  return offset + length;
}

}  // namespace

void AppendEncodedEvent(const Event& event, const Record* previous, std::string& out) {
  const size_t kv_size = KeyValueSize(event.key, event.record);
  const size_t previous_size = previous == nullptr ? 0 : KeyValueSize(event.key, *previous);
  const int type = event.is_delete ? kDeleteType : 0;
  const size_t event_size =
      NumberFieldSize(type) + BytesFieldSize(kv_size) + BytesFieldSize(previous_size);

  out.reserve(out.size() + BytesFieldSize(event_size));
  out.push_back(kEventsTag);
  AppendVarint(event_size, out);
  AppendNumberField(kTypeTag, type, out);
  AppendKeyValueField(kKvTag, event.key, event.record, kv_size, out);
  if (previous != nullptr) {
    AppendKeyValueField(kPrevKvTag, event.key, *previous, previous_size, out);
  }
}

std::optional<Record> PreviousRecord(const RevisionEvents& revision, size_t position,
                                     const History& history) {
  const std::string& key = revision.events[position].key;
  Revision at = revision.events[position].previous;
  if (at.main == revision.revision) {
    SIM_REACHED("watch.key_changed_twice_in_a_revision");
    const auto first = std::find_if(revision.events.begin(), revision.events.end(),
                                    [&key](const Event& event) { return event.key == key; });
    at = first->previous;
  }
  if (at.main == 0) return std::nullopt;
  std::optional<Record> previous = history.RecordAt(key, at);
  if (!previous) SIM_REACHED("watch.previous_record_compacted");
  return previous;
}

RevisionEncoding::RevisionEncoding(const RevisionEvents& revision, const History& history)
    : revision_(revision), history_(history), forms_(revision.events.size()) {}

std::string_view RevisionEncoding::Encoded(size_t position, bool with_previous) {
  CHECK(position < forms_.size());
  const Event& event = revision_.events[position];
  Forms& forms = forms_[position];
  if (with_previous && event.previous.main != 0) {
    if (forms.with_previous.empty()) {
      const std::optional<Record> previous = PreviousRecord(revision_, position, history_);
      AppendEncodedEvent(event, previous ? &*previous : nullptr, forms.with_previous);
    }
    return forms.with_previous;
  }
  if (forms.plain.empty()) AppendEncodedEvent(event, nullptr, forms.plain);
  return forms.plain;
}

std::vector<EncodedPart> SplitEncodedEvents(std::string_view encoded, size_t part_bytes_max) {
  std::vector<EncodedPart> parts;
  while (!encoded.empty()) {
    EncodedPart part;
    size_t size = 0;
    while (size < encoded.size()) {
      const size_t event_size = FirstEventSize(encoded.substr(size));
      if (part.event_count > 0 && size + event_size > part_bytes_max) break;
      size += event_size;
      ++part.event_count;
    }
    part.bytes = encoded.substr(0, size);
    encoded.remove_prefix(size);
    parts.push_back(part);
  }
  return parts;
}

}  // namespace conclave::kv
