#include "kvstore/engine/leveldb_engine.h"

#include <fmt/format.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "kvstore/engine/cached_only.h"
#include "kvstore/engine/leveldb_compaction.h"
#include "kvstore/engine/leveldb_env.h"
#include "kvstore/engine/merged_iterator.h"
#include "kvstore/engine/write_buffer.h"
#include "leveldb/cache.h"
#include "leveldb/db.h"
#include "leveldb/filter_policy.h"
#include "leveldb/write_batch.h"
#include "raft/base/check.h"
#include "raft/base/posix_executor.h"
#include "raft/base/seeded_bug.h"

namespace conclave::kv {
namespace {

constexpr int kBloomBitsPerKey = 10;
// The least that LevelDB takes. A memtable that has more is written out before the next write: one
// table for each part of a flush, for a write is never parted.
constexpr size_t kMemtableBytes = 64 << 10;
// Larger than LevelDB's 2 MiB: fewer files, and fewer directory syncs per byte compacted.
constexpr size_t kTableBytes = 8 << 20;

leveldb::Slice ToSlice(std::string_view text) { return {text.data(), text.size()}; }
std::string_view FromSlice(const leveldb::Slice& slice) { return {slice.data(), slice.size()}; }

leveldb::ReadOptions Reading(const leveldb::Snapshot* snapshot) {
  leveldb::ReadOptions options;
  options.snapshot = snapshot;
  return options;
}

// Views are for what reads much and once: its blocks would only drive out of the cache what others
// read again and again.
leveldb::ReadOptions Scanning(const leveldb::Snapshot* snapshot) {
  leveldb::ReadOptions options = Reading(snapshot);
  options.fill_cache = snapshot == nullptr;
  return options;
}

// A database and the background work that reads of it may cause: LevelDB counts them, and compacts
// what is often read in vain.
struct Database {
  LevelDbEnv* env;
  leveldb::DB* db;
  const std::function<void()>* damaged;  // LevelDbOptions::damaged

  void OrDie(const leveldb::Status& status, std::string_view what) const {
    if (status.ok()) return;
    if (status.IsCorruption() && *damaged) (*damaged)();
    Fatal(fmt::format("storage engine: {}: {}", what, status.ToString()));
  }
};

std::optional<std::string> GetFrom(Database database, const leveldb::Snapshot* snapshot,
                                   std::string_view key) {
  std::optional<std::string> value(std::in_place);
  const leveldb::Status status = database.db->Get(Reading(snapshot), ToSlice(key), &*value);
  database.env->Drain();
  if (status.IsNotFound() || CachedOnly::HasMissed()) return std::nullopt;
  database.OrDie(status, "read");
  return value;
}

class LevelDbIterator : public Iterator {
 public:
  LevelDbIterator(Database database, const leveldb::Snapshot* snapshot)
      : database_(database), it_(database.db->NewIterator(Scanning(snapshot))) {}
  // LevelDB passes over a block that it cannot read, or ends there, and only the status tells.
  ~LevelDbIterator() override {
    if (!CachedOnly::HasMissed()) database_.OrDie(it_->status(), "scan");
  }

  bool Valid() const override { return it_->Valid() && !CachedOnly::HasMissed(); }
  void Seek(std::string_view target) override {
    it_->Seek(ToSlice(target));
    database_.env->Drain();
  }
  void SeekForPrev(std::string_view target) override {
    it_->Seek(ToSlice(target));
    if (!it_->Valid()) {
      it_->SeekToLast();
    } else if (FromSlice(it_->key()) != target) {
      it_->Prev();
    }
    database_.env->Drain();
  }
  void Next() override {
    it_->Next();
    database_.env->Drain();
  }
  void Prev() override {
    it_->Prev();
    database_.env->Drain();
  }
  std::string_view key() const override { return FromSlice(it_->key()); }
  std::string_view value() const override { return FromSlice(it_->value()); }

 private:
  const Database database_;
  const std::unique_ptr<leveldb::Iterator> it_;
};

// What the buffer says of a key, or else the database.
std::optional<std::string> Resolve(WriteBuffer::Found found, std::string&& value, Database database,
                                   const leveldb::Snapshot* snapshot, std::string_view key) {
  switch (found) {
    case WriteBuffer::Found::kValue:
      return std::move(value);
    case WriteBuffer::Found::kDelete:
      return std::nullopt;
    case WriteBuffer::Found::kNothing:
      break;
  }
  return GetFrom(database, snapshot, key);
}

// The buffer is looked at before the database: what leaves it meanwhile is in the database by then.
class LevelDbView : public EngineView {
 public:
  LevelDbView(WriteBuffer::Runs runs, Database database)
      : runs_(std::move(runs)), database_(database), snapshot_(database.db->GetSnapshot()) {}
  ~LevelDbView() override { database_.db->ReleaseSnapshot(snapshot_); }

  std::optional<std::string> Get(std::string_view key) const override {
    std::string value;
    const WriteBuffer::Found found = FindIn(runs_, key, &value);
    return Resolve(found, std::move(value), database_, snapshot_, key);
  }
  std::unique_ptr<Iterator> NewIterator() const override {
    return MergeOver(runs_, std::make_unique<LevelDbIterator>(database_, snapshot_));
  }

 private:
  const WriteBuffer::Runs runs_;
  const Database database_;
  const leveldb::Snapshot* const snapshot_;
};

class LevelDbEngine : public Engine {
 public:
  LevelDbEngine(FileSystem* fs, const LevelDbOptions& options)
      : env_(fs, options.drained, options.sync_every_bytes),
        drained_(options.drained),
        buffer_bytes_max_(options.write_buffer_bytes),
        history_from_(options.history_from),
        damaged_(options.damaged),
        space_given_up_(!options.waits_for_space),
        logger_(options.log),
        cache_(leveldb::NewLRUCache(options.block_cache_bytes)),
        filter_(leveldb::NewBloomFilterPolicy(kBloomBitsPerKey)) {}

  ~LevelDbEngine() override {
    StopWaitingForSpace();
    EndFlushes();
    flusher_.reset();
    reclaimer_.reset();
    ++forced_compactions_;  // LevelDB waits for all that it has scheduled
    env_.TryHeldCompaction();
  }

  absl::Status Open(const std::string& directory, const LevelDbOptions& options);

  void Write(const WriteBatch& batch) override;
  bool HasRoom() const override;
  void AwaitRoom(absl::AnyInvocable<void()> then) override;
  std::optional<std::string> Get(std::string_view key) const override {
    std::string value;
    const WriteBuffer::Found found = buffer_.Get(key, &value);
    if (found == WriteBuffer::Found::kNothing) CountLookup();
    return Resolve(found, std::move(value), database(), nullptr, key);
  }
  std::unique_ptr<Iterator> NewIterator() const override {
    WriteBuffer::Runs runs = buffer_.View();
    return MergeOver(std::move(runs), std::make_unique<LevelDbIterator>(database(), nullptr));
  }
  std::unique_ptr<EngineView> NewView() const override {
    return std::make_unique<LevelDbView>(buffer_.View(), database());
  }
  void Flush() override;
  void StopWaitingForSpace() override {
    space_given_up_ = true;
    env_.SetWaitsForSpace(false);
  }
  absl::Status CheckSpace() const override { return env_.SpaceStatus(); }
  void Reclaim(std::string_view begin, std::string_view end) override;
  uint64_t SizeBytes() const override { return env_.SizeBytes() + buffer_.size_bytes(); }

 private:
  Database database() const { return {&env_, db_.get(), &damaged_}; }
  // False if there was no space and it was not to be waited for; every other failure ends the
  // process.
  bool Succeeded(const leveldb::Status& status, std::string_view what) const;

  // Has what is in the buffer flushed, after the flush under way if there is one; the number of the
  // flush with which all of it is durable. With mutex_ held, as `lock`.
  uint64_t RequestFlush(std::unique_lock<std::mutex>& lock);
  // These with mutex_ held.
  bool StartFlush();
  bool HasRoomLocked() const;
  bool flushing() const { return flushes_started_ != flushes_ended_; }
  void FlushSealed();
  void OnFlushed(bool written);
  // None begins by itself any more.
  void EndFlushes();
  // The rows of the sealed run that are history, or the others, become a table.
  bool WriteTable(const SortedRun& sealed, bool history);
  // Of a memtable with so many bytes. Tells no error: the next write does.
  void FinishTable(size_t bytes);
  void CompactRange(std::string_view begin, std::string_view end);
  void ReclaimHistory();
  // See leveldb_compaction.h.
  bool IsCompactionDue() const;
  void CountLookup() const;

  mutable LevelDbEnv env_;
  const bool drained_;
  const size_t buffer_bytes_max_;
  const std::string history_from_;
  const std::function<void()> damaged_;
  std::atomic<bool> space_given_up_;
  LevelDbLogger logger_;
  const std::unique_ptr<leveldb::Cache> cache_;
  const std::unique_ptr<const leveldb::FilterPolicy> filter_;
  std::unique_ptr<leveldb::DB> db_;  // after all it uses
  WriteBuffer buffer_;
  std::atomic<int> forced_compactions_ = 0;  // under way, and at the end
  mutable std::atomic<uint64_t> lookups_ = 0;
  mutable std::atomic<bool> lookups_repay_ = false;  // what LevelDB wants to compact for them

  mutable std::mutex mutex_;
  std::condition_variable flushed_;
  uint64_t flushes_started_ = 0;  // guarded by mutex_, like all below
  uint64_t flushes_ended_ = 0;
  bool another_wanted_ = false;  // once the flush under way is over
  bool ending_ = false;
  bool failed_ = false;  // a flush, for want of space: nothing may be written any more
  absl::AnyInvocable<void()> room_awaited_;

  // Unless drained.
  std::unique_ptr<PosixExecutor> flusher_;
  std::unique_ptr<PosixExecutor> reclaimer_;
  // The flusher's: kept for its buffer, which is as large as what is flushed.
  leveldb::WriteBatch flushed_batch_;
  // Likewise: rows of history that were deleted since their space was last asked for.
  size_t history_deletes_ = 0;
  std::string last_history_delete_;
  std::atomic<bool> reclaiming_ = false;
};

absl::Status LevelDbEngine::Open(const std::string& directory, const LevelDbOptions& options) {
  leveldb::Options opening;
  opening.create_if_missing = !options.must_exist;
  opening.env = &env_;
  opening.info_log = &logger_;
  opening.write_buffer_size = kMemtableBytes;
  opening.block_cache = cache_.get();
  opening.filter_policy = filter_.get();
  opening.max_open_files = options.open_files_max;
  opening.max_file_size = kTableBytes;
  // Small values do not shrink much, and what is spent on them is spent again by every compaction
  // and read.
  opening.compression = leveldb::kNoCompression;

  leveldb::DB* db = nullptr;
  const leveldb::Status status = leveldb::DB::Open(opening, directory, &db);
  const std::string text = fmt::format("storage engine in {}: {}", directory, status.ToString());
  if (status.IsCorruption() || status.IsInvalidArgument()) return absl::DataLossError(text);
  if (!status.ok() && !env_.SpaceStatus().ok()) return absl::ResourceExhaustedError(text);
  if (!status.ok()) return absl::FailedPreconditionError(text);
  db_.reset(db);
  env_.SetCompactionGate([this] { return IsCompactionDue(); });
  env_.Drain();
  // Not while drained: the caller would wait with it.
  env_.SetWaitsForSpace(options.waits_for_space && !drained_);
  if (!drained_) {
    flusher_ = std::make_unique<PosixExecutor>("engine-flush", Scheduling::kBulk);
    reclaimer_ = std::make_unique<PosixExecutor>("engine-reclaim", Scheduling::kBulk);
  }
  database().OrDie(env_.LearnFiles(directory), "list");
  return absl::OkStatus();
}

bool LevelDbEngine::Succeeded(const leveldb::Status& status, std::string_view what) const {
  if (space_given_up_ && !env_.SpaceStatus().ok()) return false;
  database().OrDie(status, what);
  return true;
}

void LevelDbEngine::Write(const WriteBatch& batch) {
  if (batch.empty()) return;
  std::unique_lock lock(mutex_);
  const size_t bytes_max = 2 * buffer_bytes_max_;
  flushed_.wait(lock, [&] { return HasRoomLocked() || buffer_.open_bytes() < bytes_max; });
  lock.unlock();
  buffer_.Add(batch);
  if (buffer_.open_bytes() < buffer_bytes_max_) return;
  lock.lock();
  RequestFlush(lock);
}

bool LevelDbEngine::HasRoomLocked() const {
  return failed_ || !flushing() || buffer_.open_bytes() < buffer_bytes_max_;
}

bool LevelDbEngine::HasRoom() const {
  const std::lock_guard lock(mutex_);
  return HasRoomLocked();
}

void LevelDbEngine::AwaitRoom(absl::AnyInvocable<void()> then) {
  {
    const std::lock_guard lock(mutex_);
    if (!HasRoomLocked()) {
      room_awaited_ = std::move(then);
      return;
    }
  }
  then();
}

void LevelDbEngine::Flush() {
  std::unique_lock lock(mutex_);
  const uint64_t flush = RequestFlush(lock);
  flushed_.wait(lock, [&] { return failed_ || flushes_ended_ >= flush; });
}

uint64_t LevelDbEngine::RequestFlush(std::unique_lock<std::mutex>& lock) {
  if (flushing()) {
    another_wanted_ = true;
    return flushes_started_ + 1;
  }
  if (failed_ || !StartFlush()) return flushes_started_;
  const uint64_t flush = flushes_started_;
  if (drained_) {
    lock.unlock();
    FlushSealed();
    lock.lock();
  }
  return flush;
}

bool LevelDbEngine::StartFlush() {
  if (!buffer_.Seal()) return false;
  ++flushes_started_;
  if (!drained_) flusher_->Post([this] { FlushSealed(); });
  return true;
}

void LevelDbEngine::OnFlushed(bool written) {
  std::unique_lock lock(mutex_);
  ++flushes_ended_;
  failed_ = !written;
  if (std::exchange(another_wanted_, false) && written && !ending_ && !StartFlush()) {
    // Nothing was written since, so all is durable that this one was asked for.
    ++flushes_started_;
    ++flushes_ended_;
  }
  absl::AnyInvocable<void()> awaited;
  if (HasRoomLocked()) awaited = std::exchange(room_awaited_, nullptr);
  flushed_.notify_all();
  lock.unlock();
  if (awaited) awaited();
}

void LevelDbEngine::EndFlushes() {
  const std::lock_guard lock(mutex_);
  ending_ = true;
}

// History first: after a crash in between, some of it is newer than the state, and the owner knows
// what to do (LevelDbOptions::history_from). The other way round it would be missing.
void LevelDbEngine::FlushSealed() {
  const std::shared_ptr<const SortedRun> sealed = buffer_.Sealed();
  const bool history_first = !SEEDED_BUG(kHistoryFlushedLast);
  const bool written = WriteTable(*sealed, history_first) && WriteTable(*sealed, !history_first);
  if (written) buffer_.DropSealed();
  if (written && history_deletes_ >= kReclaimedRowsMin) ReclaimHistory();
  OnFlushed(written);
}

bool LevelDbEngine::WriteTable(const SortedRun& sealed, bool history) {
  leveldb::WriteBatch& batch = flushed_batch_;
  batch.Clear();
  bool empty = true;
  const size_t history_begin =
      history_from_.empty() ? sealed.size() : sealed.LowerBound(history_from_);
  for (size_t row = history ? history_begin : 0; row < sealed.size(); ++row) {
    if (row >= history_begin && sealed.is_delete(row) == history) continue;
    empty = false;
    if (sealed.is_delete(row)) {
      batch.Delete(ToSlice(sealed.key(row)));
      if (row >= history_begin) {
        ++history_deletes_;
        last_history_delete_ = sealed.key(row);
      }
    } else {
      batch.Put(ToSlice(sealed.key(row)), ToSlice(sealed.value(row)));
    }
  }
  if (empty) return true;
  env_.RunBackground();
  if (!Succeeded(db_->Write(leveldb::WriteOptions(), &batch), "write")) return false;
  FinishTable(batch.ApproximateSize());
  env_.Drain();
  leveldb::WriteBatch asks;
  return Succeeded(db_->Write(leveldb::WriteOptions(), &asks), "flush");
}

void LevelDbEngine::FinishTable(size_t bytes) {
  if (bytes > 2 * kMemtableBytes) {
    leveldb::WriteBatch nothing;
    db_->Write(leveldb::WriteOptions(), &nothing);
    return env_.AwaitFlush();
  }
  // Writes a memtable out whatever is in it, before it looks at the range, and at the empty key
  // there is nothing to compact. But it also waits for the compaction under way, which may take
  // long.
  CompactRange("", "");
}

void LevelDbEngine::CompactRange(std::string_view begin, std::string_view end) {
  ++forced_compactions_;
  env_.TryHeldCompaction();
  const leveldb::Slice first = ToSlice(begin);
  const leveldb::Slice last = ToSlice(end);
  db_->CompactRange(&first, &last);
  --forced_compactions_;
}

// Deletes of history lie in the tables of the rest, and would come to the tables that they empty
// only with those, level by level.
void LevelDbEngine::ReclaimHistory() {
  if (drained_ || reclaiming_.exchange(true)) return;
  history_deletes_ = 0;
  reclaimer_->Post([this, end = last_history_delete_] {
    CompactRange(history_from_, end);
    reclaiming_ = false;
  });
}

void LevelDbEngine::CountLookup() const {
  if (++lookups_ % kLookupsRepayingCompaction != 0) return;
  lookups_repay_ = true;
  env_.TryHeldCompaction();
}

bool LevelDbEngine::IsCompactionDue() const {
  if (forced_compactions_ > 0 || lookups_repay_.exchange(false)) return true;
  std::string stats;
  CHECK(db_->GetProperty("leveldb.stats", &stats));
  return IsSizeCompactionDue(stats);
}

void LevelDbEngine::Reclaim(std::string_view begin, std::string_view end) {
  Flush();
  if (!drained_) CompactRange(begin, end);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> OpenLevelDbEngine(FileSystem* fs,
                                                          const std::string& directory,
                                                          const LevelDbOptions& options) {
  if (absl::Status status = fs->CreateDirectory(directory); !status.ok()) return status;
  auto engine = std::make_unique<LevelDbEngine>(fs, options);
  if (absl::Status status = engine->Open(directory, options); !status.ok()) return status;
  return engine;
}

}  // namespace conclave::kv
