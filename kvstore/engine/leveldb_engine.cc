#include "kvstore/engine/leveldb_engine.h"

#include <fmt/format.h>

#include <atomic>
#include <utility>

#include "kvstore/engine/leveldb_env.h"
#include "leveldb/cache.h"
#include "leveldb/db.h"
#include "leveldb/filter_policy.h"
#include "leveldb/write_batch.h"
#include "raft/base/check.h"

namespace conclave::kv {
namespace {

constexpr int kBloomBitsPerKey = 10;
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
  if (status.IsNotFound()) return std::nullopt;
  database.OrDie(status, "read");
  return value;
}

class LevelDbIterator : public Iterator {
 public:
  LevelDbIterator(Database database, const leveldb::Snapshot* snapshot)
      : database_(database), it_(database.db->NewIterator(Scanning(snapshot))) {}
  // LevelDB passes over a block that it cannot read, or ends there, and only the status tells.
  ~LevelDbIterator() override { database_.OrDie(it_->status(), "scan"); }

  bool Valid() const override { return it_->Valid(); }
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

class LevelDbView : public EngineView {
 public:
  explicit LevelDbView(Database database)
      : database_(database), snapshot_(database.db->GetSnapshot()) {}
  ~LevelDbView() override { database_.db->ReleaseSnapshot(snapshot_); }

  std::optional<std::string> Get(std::string_view key) const override {
    return GetFrom(database_, snapshot_, key);
  }
  std::unique_ptr<Iterator> NewIterator() const override {
    return std::make_unique<LevelDbIterator>(database_, snapshot_);
  }

 private:
  const Database database_;
  const leveldb::Snapshot* const snapshot_;
};

class LevelDbEngine : public Engine {
 public:
  LevelDbEngine(FileSystem* fs, const LevelDbOptions& options)
      : env_(fs, options.drained, options.sync_every_bytes),
        drained_(options.drained),
        damaged_(options.damaged),
        space_given_up_(!options.waits_for_space),
        logger_(options.log),
        cache_(leveldb::NewLRUCache(options.block_cache_bytes)),
        filter_(leveldb::NewBloomFilterPolicy(kBloomBitsPerKey)) {}

  ~LevelDbEngine() override { env_.SetWaitsForSpace(false); }

  absl::Status Open(const std::string& directory, const LevelDbOptions& options);

  void Write(const WriteBatch& batch) override;
  std::optional<std::string> Get(std::string_view key) const override {
    return GetFrom(database(), nullptr, key);
  }
  std::unique_ptr<Iterator> NewIterator() const override {
    return std::make_unique<LevelDbIterator>(database(), nullptr);
  }
  std::unique_ptr<EngineView> NewView() const override {
    return std::make_unique<LevelDbView>(database());
  }
  void Flush() override;
  void StopWaitingForSpace() override {
    space_given_up_ = true;
    env_.SetWaitsForSpace(false);
  }
  absl::Status CheckSpace() const override { return env_.SpaceStatus(); }
  void Reclaim(std::string_view begin, std::string_view end) override;
  uint64_t SizeBytes() const override { return env_.SizeBytes(); }

 private:
  Database database() const { return {&env_, db_.get(), &damaged_}; }
  // Ends the process for every failure but the want of space that CheckSpace tells of.
  void OrDieButForSpace(const leveldb::Status& status, std::string_view what) const;

  mutable LevelDbEnv env_;
  const bool drained_;
  const std::function<void()> damaged_;
  std::atomic<bool> space_given_up_;
  LevelDbLogger logger_;
  const std::unique_ptr<leveldb::Cache> cache_;
  const std::unique_ptr<const leveldb::FilterPolicy> filter_;
  std::unique_ptr<leveldb::DB> db_;  // after all it uses
  leveldb::WriteBatch batch_;        // the apply lane's, kept for its buffer
};

absl::Status LevelDbEngine::Open(const std::string& directory, const LevelDbOptions& options) {
  leveldb::Options opening;
  opening.create_if_missing = !options.must_exist;
  opening.env = &env_;
  opening.info_log = &logger_;
  opening.write_buffer_size = options.write_buffer_bytes;
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
  env_.Drain();
  // Not while drained: the caller would wait with it.
  env_.SetWaitsForSpace(options.waits_for_space && !drained_);

  // Tables that nobody has opened yet count too. A compaction may be removing some already.
  std::vector<std::string> names;
  database().OrDie(env_.GetChildren(directory, &names), "list");
  for (const std::string& name : names) {
    uint64_t size = 0;
    if (!name.ends_with(".ldb")) continue;
    const leveldb::Status sized = env_.GetFileSize(directory + "/" + name, &size);
    if (!sized.IsNotFound()) database().OrDie(sized, "size");
  }
  return absl::OkStatus();
}

void LevelDbEngine::OrDieButForSpace(const leveldb::Status& status, std::string_view what) const {
  if (space_given_up_ && !env_.SpaceStatus().ok()) return;
  database().OrDie(status, what);
}

void LevelDbEngine::Write(const WriteBatch& batch) {
  batch_.Clear();
  for (const WriteBatch::Operation& operation : batch.operations()) {
    if (operation.is_delete) {
      batch_.Delete(ToSlice(operation.key));
    } else {
      batch_.Put(ToSlice(operation.key), ToSlice(operation.value));
    }
  }
  OrDieButForSpace(db_->Write(leveldb::WriteOptions(), &batch_), "write");
  env_.Drain();
}

void LevelDbEngine::Flush() {
  // Before it looks at the range, CompactRange writes the memtable out, whatever is in it; at the
  // empty key there is nothing to compact. It waits for all that was written before, but reports no
  // error: a write asks for those.
  const leveldb::Slice nothing;
  env_.RunBackground();
  db_->CompactRange(&nothing, &nothing);
  env_.Drain();
  leveldb::WriteBatch empty;
  OrDieButForSpace(db_->Write(leveldb::WriteOptions(), &empty), "flush");
}

void LevelDbEngine::Reclaim(std::string_view begin, std::string_view end) {
  if (drained_) return Flush();
  const leveldb::Slice first = ToSlice(begin);
  const leveldb::Slice last = ToSlice(end);
  db_->CompactRange(&first, &last);
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
