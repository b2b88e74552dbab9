#include "kvstore/mvcc/write_txn.h"

#include <optional>
#include <utility>
#include <vector>

#include "kvstore/errors.h"
#include "kvstore/mvcc/kept_bytes.h"
#include "raft/base/check.h"
#include "raft/base/hash64.h"
#include "raft/base/probe.h"

namespace conclave::kv {
namespace {

using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::DeleteRangeResponse;
using etcdserverpb::PutRequest;
using etcdserverpb::PutResponse;

// What a pointer says of its revision: nothing of a put.
constexpr std::string_view kTombstone = "t";

absl::Status CheckLease(const Lessor& lessor, const PutRequest& request) {
  if (request.lease() == 0 || lessor.Exists(request.lease())) return absl::OkStatus();
  SIM_REACHED("kv.put.lease_gone");
  return ErrLeaseNotFound();
}

// What is kept must be there.
absl::Status CheckKept(const KeySpace& keys, const PutRequest& request) {
  const bool keeps = request.ignore_value() || request.ignore_lease();
  return keeps && !keys.latest.Get(request.key()) ? ErrKeyNotFound() : absl::OkStatus();
}

}  // namespace

absl::Status CheckPut(const KeySpace& keys, const Lessor& lessor, const PutRequest& request) {
  absl::Status status = CheckLease(lessor, request);
  return status.ok() ? CheckKept(keys, request) : status;
}

absl::Status CheckPutInTxn(const KeySpace& keys, const Lessor& lessor, const PutRequest& request) {
  absl::Status status = CheckKept(keys, request);
  return status.ok() ? CheckLease(lessor, request) : status;
}

WriteTxn::WriteTxn(KeySpace* keys, Lessor* lessor) : keys_(keys), lessor_(lessor) {
  events_.revision = keys->revision + 1;
}

void WriteTxn::Put(const PutRequest& request, std::optional<std::string_view> stored,
                   PutResponse* response) {
  const std::string_view key = request.key();
  const RecordView previous = stored ? ReadRecord(*stored) : RecordView();
  if (stored) AddReplaced(previous.value);
  if (response != nullptr) {
    response->mutable_header()->set_revision(events_.revision);
    if (request.prev_kv() && stored) FillKeyValue(key, previous, *response->mutable_prev_kv());
  }

  EventView event;
  event.key = key;
  event.previous = previous.mod;
  event.previous_value_bytes = previous.value.size();
  event.record.mod = NextRevision();
  event.record.create_revision = stored ? previous.create_revision : event.record.mod.main;
  event.record.version = previous.version + 1;
  event.record.lease = request.ignore_lease() ? previous.lease : request.lease();
  // The batch, where it may lie, is about to grow.
  const std::string kept_value(request.ignore_value() ? previous.value : std::string_view());
  event.record.value = request.ignore_value() ? kept_value : request.value();

  std::string& bytes = keys_->scratch;
  SetRecord(event.record, bytes);
  keys_->drain.PutLatest(key, bytes);
  AddEvent(event);
  if (!stored) keys_->counts.Add(key);
  if (previous.lease != event.record.lease) {
    WriteBatch& batch = keys_->drain.batch();
    if (previous.lease != 0) {
      SIM_REACHED("lease.key_moved");
      lessor_->Detach(previous.lease, key, batch);
    }
    if (event.record.lease != 0) lessor_->Attach(event.record.lease, key, batch);
  }
}

void WriteTxn::DeleteRange(const DeleteRangeRequest& request, DeleteRangeResponse* response) {
  struct Found {
    std::string key;
    Revision mod;
    uint64_t value_bytes;
    int64_t lease;
  };
  std::vector<Found> found;  // first, because a scan must not see its own deletes
  keys_->latest.Scan(
      KeySpan::Of(request.key(), request.range_end()),
      [&](std::string_view key, const RecordView& record) {
        found.push_back({std::string(key), record.mod, record.value.size(), record.lease});
        AddReplaced(record.value);
        if (response != nullptr && request.prev_kv()) {
          FillKeyValue(key, record, *response->add_prev_kvs());
        }
        return true;
      });
  for (const Found& one : found) DeleteRecord(one.key, one.mod, one.value_bytes, one.lease);
  if (response != nullptr) {
    response->set_deleted(static_cast<int64_t>(found.size()));
    response->mutable_header()->set_revision(revision());
  }
}

void WriteTxn::DeleteKey(std::string_view key) {
  const std::optional<std::string_view> stored = keys_->latest.Get(key);
  CHECK(stored.has_value());
  const RecordView record = ReadRecord(*stored);
  AddReplaced(record.value);
  DeleteRecord(key, record.mod, record.value.size(), record.lease);
}

void WriteTxn::DeleteRecord(std::string_view key, Revision previous, uint64_t value_bytes,
                            int64_t lease) {
  keys_->drain.DeleteLatest(key);
  EventView event;
  event.is_delete = true;
  event.key = key;
  event.previous = previous;
  event.previous_value_bytes = value_bytes;
  event.record.mod = NextRevision();
  AddEvent(event);
  keys_->counts.Remove(key);
  if (lease != 0) lessor_->Detach(lease, key, keys_->drain.batch());
}

// What is written does not depend on a value that it replaces: of one that has gone bad, this is
// the only trace.
void WriteTxn::AddReplaced(std::string_view value) {
  constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;  // so that their order counts
  keys_->replaced_sum = keys_->replaced_sum * kOdd + Hash64(value);
}

void WriteTxn::AddEvent(const EventView& event) {
  WriteBatch& batch = keys_->drain.batch();
  std::string& bytes = keys_->scratch;
  std::string& engine_key = keys_->scratch_key;
  SetEvent(event, bytes);
  SetHistoryKey(event.record.mod, engine_key);
  batch.Put(engine_key, bytes);
  SetPointerPrefix(event.key, engine_key);
  AppendPointerRevision(event.record.mod, engine_key);
  batch.Put(engine_key, event.is_delete ? kTombstone : std::string_view());
  keys_->kept_bytes += BytesOfEvent(event.key, event.record.value.size());
  ++changes_;
  if (keys_->drain.wants_events()) events_.events.push_back(event.Copy());
}

void WriteTxn::Finish() {
  if (changes_ == 0) return;
  keys_->revision = events_.revision;
  if (!events_.events.empty()) keys_->drain.AddEvents(std::move(events_));
}

}  // namespace conclave::kv
