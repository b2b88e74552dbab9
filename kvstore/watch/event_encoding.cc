#include "kvstore/watch/event_encoding.h"

#include <algorithm>
#include <cstdint>

#include "kvstore/kv_encoding.h"
#include "raft/base/check.h"
#include "raft/base/probe.h"

namespace conclave::kv {
namespace {

// WatchResponse and Event of the reference (wire section 3).
constexpr char kEventsTag = WireTag(11, kLengthDelimitedWire);
constexpr char kTypeTag = WireTag(1, kVarintWire);
constexpr char kKvTag = WireTag(2, kLengthDelimitedWire);
constexpr char kPrevKvTag = WireTag(3, kLengthDelimitedWire);
constexpr int kDeleteType = 1;

RecordView ViewOf(const Record& record) {
  return {record.create_revision, record.mod, record.version, record.lease, record.value};
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
  const size_t kv_size = KeyValueSize(event.key, ViewOf(event.record));
  const size_t previous_size = previous == nullptr ? 0 : KeyValueSize(event.key, ViewOf(*previous));
  const int type = event.is_delete ? kDeleteType : 0;
  const size_t event_size =
      NumberFieldSize(type) + BytesFieldSize(kv_size) + BytesFieldSize(previous_size);

  out.reserve(out.size() + BytesFieldSize(event_size));
  out.push_back(kEventsTag);
  AppendVarint(event_size, out);
  AppendNumberField(kTypeTag, type, out);
  AppendKeyValueField(kKvTag, event.key, ViewOf(event.record), kv_size, out);
  if (previous != nullptr) {
    AppendKeyValueField(kPrevKvTag, event.key, ViewOf(*previous), previous_size, out);
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
