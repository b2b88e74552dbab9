// How a key's latest record and an event of history are written in the engine (keys.h says where).
// Values come last and unencoded, so that reading one copies nothing. Pure functions, any lane.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kvstore/mvcc/event.h"
#include "kvstore/proto/kv.pb.h"

namespace conclave::kv {

// A Record whose value lies in the bytes it was read from.
struct RecordView {
  int64_t create_revision = 0;
  Revision mod;
  int64_t version = 0;
  int64_t lease = 0;
  std::string_view value;

  Record Copy() const { return {create_revision, mod, version, lease, std::string(value)}; }
};

// An Event whose key and value lie in the bytes it was read from; `record.mod` is its own revision.
struct EventView {
  bool is_delete = false;
  std::string_view key;
  RecordView record;
  Revision previous;
  uint64_t previous_value_bytes = 0;  // so that whoever removes that version knows what it took

  Event Copy() const { return {is_delete, std::string(key), record.Copy(), previous}; }
};

// Each Set replaces `out`, whose buffer callers keep.
void SetRecord(const RecordView& record, std::string& out);
void SetEvent(const EventView& event, std::string& out);

// Fatal if the bytes are none: they are checksummed, so the disk or the program is broken.
RecordView ReadRecord(std::string_view bytes);
// `revision` is what the event's key in the engine says.
EventView ReadEvent(std::string_view bytes, Revision revision);

// As clients see it.
void FillKeyValue(std::string_view key, const RecordView& record, mvccpb::KeyValue& out);

}  // namespace conclave::kv
