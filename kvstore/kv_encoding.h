// mvccpb.KeyValue in the bytes of the wire (reference: wire section 3.1), straight from a record as
// the engine holds it, so that what is sent to many or is large is never a message object first.
// Used by the encodings of events (watch/event_encoding.h) and of ranges (mvcc/range_view.h). Pure
// functions, any lane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "kvstore/mvcc/record.h"

namespace conclave::kv {

inline constexpr uint32_t kVarintWire = 0;
inline constexpr uint32_t kLengthDelimitedWire = 2;

// One byte: for field numbers below 16.
constexpr char WireTag(uint32_t field, uint32_t wire_type) {
  return static_cast<char>(field << 3 | wire_type);
}

void AppendVarint(uint64_t value, std::string& out);

// Sizes, in bytes, and appends leave out zero and empty fields, as proto3 does. Tags have one byte.
size_t NumberFieldSize(int64_t value);
void AppendNumberField(char tag, int64_t value, std::string& out);
size_t BytesFieldSize(size_t size);
void AppendBytesField(char tag, std::string_view bytes, std::string& out);

// Of the message without tag and length.
size_t KeyValueSize(std::string_view key, const RecordView& record);
// The message as a field of another one; `size` is its KeyValueSize.
void AppendKeyValueField(char tag, std::string_view key, const RecordView& record, size_t size,
                         std::string& out);
// Of such a field, tag and length included; unlike other fields it is there even if it is empty.
size_t KeyValueFieldSize(size_t size);

}  // namespace conclave::kv
