#include "kvstore/mvcc/record.h"

#include "raft/base/check.h"
#include "raft/base/coding.h"

namespace conclave::kv {
namespace {

constexpr uint8_t kPut = 0;
constexpr uint8_t kDelete = 1;

void PutNumber(std::string& out, int64_t value) { PutVarint(out, static_cast<uint64_t>(value)); }
int64_t Number(ByteReader& in) { return static_cast<int64_t>(in.Varint()); }

// Leases may be negative, which as a plain varint takes ten bytes; such ids are rare.
void AppendState(const RecordView& record, std::string& out) {
  PutNumber(out, record.create_revision);
  PutNumber(out, record.version);
  PutNumber(out, record.lease);
  out.append(record.value);
}

void ReadState(ByteReader& in, RecordView& record) {
  record.create_revision = Number(in);
  record.version = Number(in);
  record.lease = Number(in);
  record.value = in.Take(in.remaining());
}

}  // namespace

void SetRecord(const RecordView& record, std::string& out) {
  out.clear();
  PutNumber(out, record.mod.main);
  PutNumber(out, record.mod.sub);
  AppendState(record, out);
}

void SetEvent(const EventView& event, std::string& out) {
  out.clear();
  PutByte(out, event.is_delete ? kDelete : kPut);
  PutNumber(out, event.previous.main);
  PutNumber(out, event.previous.sub);
  if (event.previous.main != 0) PutVarint(out, event.previous_value_bytes);
  PutVarint(out, event.key.size());
  out.append(event.key);
  if (!event.is_delete) AppendState(event.record, out);
}

RecordView ReadRecord(std::string_view bytes) {
  ByteReader in(bytes);
  RecordView record;
  record.mod.main = Number(in);
  record.mod.sub = Number(in);
  ReadState(in, record);
  if (!in.finished()) Fatal("the engine holds a record that is none");
  return record;
}

EventView ReadEvent(std::string_view bytes, Revision revision) {
  ByteReader in(bytes);
  EventView event;
  const uint8_t kind = in.Byte();
  event.is_delete = kind == kDelete;
  event.previous.main = Number(in);
  event.previous.sub = Number(in);
  if (event.previous.main != 0) event.previous_value_bytes = in.Varint();
  event.key = in.Take(in.Varint());
  event.record.mod = revision;
  if (!event.is_delete) ReadState(in, event.record);
  if (!in.finished() || kind > kDelete) Fatal("the engine holds an event that is none");
  return event;
}

void FillKeyValue(std::string_view key, const RecordView& record, mvccpb::KeyValue& out) {
  out.set_key(key.data(), key.size());
  out.set_create_revision(record.create_revision);
  out.set_mod_revision(record.mod.main);
  out.set_version(record.version);
  out.set_value(record.value.data(), record.value.size());
  out.set_lease(record.lease);
}

}  // namespace conclave::kv
