#include "kvstore/engine/leveldb_env.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "kvstore/engine/cached_only.h"
#include "kvstore/engine/leveldb_manifest.h"
#include "raft/base/check.h"
#include "raft/base/coding.h"
#include "raft/base/crc32c.h"
#include "raft/base/seeded_bug.h"
#include "raft/base/text.h"

namespace conclave::kv {

constexpr size_t kWriteBufferBytes = 64 << 10;
constexpr auto kSpacePause = std::chrono::milliseconds(100);  // before a full disk is tried again

namespace {

leveldb::Slice ToSlice(std::string_view text) { return {text.data(), text.size()}; }

leveldb::Status ToLevelDb(const absl::Status& status) {
  if (status.ok()) return leveldb::Status::OK();
  const leveldb::Slice words = ToSlice(MessageOf(status));
  if (absl::IsNotFound(status)) return leveldb::Status::NotFound(words);
  return leveldb::Status::IOError(words);
}

void OrDie(const absl::Status& status) {
  if (!status.ok()) Fatal(MessageOf(status));
}

bool IsLog(const std::string& path) { return path.ends_with(".log"); }
bool IsManifest(const std::string& path) { return path.find("/MANIFEST-") != std::string::npos; }

class SequentialDiskFile : public leveldb::SequentialFile {
 public:
  // Ends at `end`, or where the file does.
  SequentialDiskFile(std::unique_ptr<File> file, uint64_t end)
      : file_(std::move(file)), end_(end) {}

  leveldb::Status Read(size_t size, leveldb::Slice* result, char* scratch) override {
    const uint64_t left = end_ - std::min(offset_, end_);
    const absl::StatusOr<size_t> read =
        file_->ReadInto(offset_, std::min<uint64_t>(size, left), scratch);
    if (!read.ok()) return ToLevelDb(read.status());
    *result = leveldb::Slice(scratch, *read);
    offset_ += *read;
    return leveldb::Status::OK();
  }

  leveldb::Status Skip(uint64_t size) override {
    offset_ += size;
    return leveldb::Status::OK();
  }

 private:
  const std::unique_ptr<File> file_;
  const uint64_t end_;
  uint64_t offset_ = 0;
};

// What a table consists of, but for its end (LevelDB's doc/table_format.md): content, a byte that
// says how it is compressed, and the masked sum over both.
constexpr size_t kBlockTrailerBytes = 5;
constexpr size_t kTableFooterBytes = 48;

bool IsIntact(std::string_view block) {
  constexpr uint32_t kMask = 0xa282ead8;
  if (block.size() < kBlockTrailerBytes) return false;
  const size_t summed = block.size() - sizeof(uint32_t);
  const uint32_t sum = Crc32c(block.substr(0, summed));
  return LoadFixed32(block.data() + summed) == ((sum >> 15) | (sum << 17)) + kMask;
}

// A table file, whose blocks are checked as they are read: LevelDB would, but not by the CPU's own
// instruction. Several threads may read at once, and a File belongs to one: each reader takes an
// idle handle or opens another, so that no lock is held while the disk works.
class RandomAccessDiskFile : public leveldb::RandomAccessFile {
 public:
  RandomAccessDiskFile(FileSystem* fs, std::string path, std::unique_ptr<File> file,
                       uint64_t file_bytes)
      : fs_(fs), path_(std::move(path)), file_bytes_(file_bytes) {
    idle_.push_back(std::move(file));
  }

  leveldb::Status Read(uint64_t offset, size_t size, leveldb::Slice* result,
                       char* scratch) const override {
    absl::StatusOr<std::unique_ptr<File>> file = TakeHandle();
    if (!file.ok()) return ToLevelDb(file.status());
    CachedOnly* const cached_only = CachedOnly::Current();
    const absl::StatusOr<size_t> read = cached_only != nullptr
                                            ? (*file)->ReadIfCached(offset, size, scratch)
                                            : (*file)->ReadInto(offset, size, scratch);
    if (cached_only != nullptr && absl::IsUnavailable(read.status())) cached_only->Miss();
    {
      std::lock_guard lock(mutex_);
      idle_.push_back(*std::move(file));
    }
    if (!read.ok()) return ToLevelDb(read.status());
    *result = leveldb::Slice(scratch, *read);
    if (IsFooter(offset, size) || IsIntact({scratch, *read})) return leveldb::Status::OK();
    return leveldb::Status::Corruption(fmt::format("{}: the block at {}", path_, offset));
  }

 private:
  // Which is known by a number of its own.
  bool IsFooter(uint64_t offset, size_t size) const {
    return size == kTableFooterBytes && offset + size == file_bytes_;
  }

  absl::StatusOr<std::unique_ptr<File>> TakeHandle() const {
    {
      std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<File> file = std::move(idle_.back());
        idle_.pop_back();
        return file;
      }
    }
    return fs_->Open(path_, OpenMode::kMustExist);
  }

  FileSystem* const fs_;
  const std::string path_;
  const uint64_t file_bytes_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<File>> idle_;  // guarded by mutex_
};

class HeldLock : public leveldb::FileLock {
 public:
  explicit HeldLock(std::unique_ptr<DirectoryLock> lock) : lock_(std::move(lock)) {}

 private:
  const std::unique_ptr<DirectoryLock> lock_;
};

}  // namespace

// A table or manifest being written.
class DiskFile : public leveldb::WritableFile {
 public:
  DiskFile(LevelDbEnv* env, std::string path, std::unique_ptr<File> file)
      : env_(env), path_(std::move(path)), file_(std::move(file)) {}

  leveldb::Status Append(const leveldb::Slice& bytes) override {
    buffer_.append(bytes.data(), bytes.size());
    return buffer_.size() < kWriteBufferBytes ? leveldb::Status::OK() : WriteBuffer();
  }
  // LevelDB asks for it after each block of a table, and needs it of none of its files: what must
  // be on the disk it syncs, and a table is read only once it is closed.
  leveldb::Status Flush() override { return leveldb::Status::OK(); }
  leveldb::Status Close() override { return WriteBuffer(); }
  leveldb::Status Sync() override {
    if (leveldb::Status status = WriteBuffer(); !status.ok()) return status;
    OrDie(file_->Sync());
    // The name of a new file as well: once LevelDB has synced a table it writes the manifest that
    // counts on it.
    if (!name_durable_ && !SEEDED_BUG(kEngineNamesNotSynced))
      OrDie(env_->fs_->SyncDirectory(DirectoryOf(path_)));
    name_durable_ = true;
    return leveldb::Status::OK();
  }

 private:
  leveldb::Status WriteBuffer() {
    if (buffer_.empty()) return leveldb::Status::OK();
    leveldb::Status status = env_->WithSpace([this] { return file_->WriteAt(written_, buffer_); });
    if (!status.ok()) return status;
    written_ += buffer_.size();
    buffer_.clear();
    env_->Resize(path_, written_);
    if (env_->sync_every_bytes_ != 0 && written_ - synced_ >= env_->sync_every_bytes_) {
      OrDie(file_->Sync());
      synced_ = written_;
    }
    return status;
  }

  LevelDbEnv* const env_;
  const std::string path_;
  const std::unique_ptr<File> file_;
  std::string buffer_;
  uint64_t written_ = 0;
  uint64_t synced_ = 0;  // of what was synced before its end
  bool name_durable_ = false;
};

// LevelDB's log: forgets what it is given.
class LogFile : public leveldb::WritableFile {
 public:
  leveldb::Status Append(const leveldb::Slice&) override { return leveldb::Status::OK(); }
  leveldb::Status Flush() override { return leveldb::Status::OK(); }
  leveldb::Status Close() override { return leveldb::Status::OK(); }
  leveldb::Status Sync() override { return leveldb::Status::OK(); }
};

void LevelDbEnv::SetWaitsForSpace(bool waits) {
  std::lock_guard lock(mutex_);
  waits_for_space_ = waits;
  waits_changed_.notify_all();
}

absl::Status LevelDbEnv::SpaceStatus() const {
  std::lock_guard lock(mutex_);
  return space_status_;
}

leveldb::Status LevelDbEnv::WithSpace(const std::function<absl::Status()>& operation) {
  for (;;) {
    absl::Status status = operation();
    if (!absl::IsResourceExhausted(status)) {
      OrDie(status);
      return leveldb::Status::OK();
    }
    std::unique_lock lock(mutex_);
    waits_changed_.wait_for(lock, kSpacePause, [this] { return !waits_for_space_; });
    if (waits_for_space_) continue;
    space_status_ = status;
    return ToLevelDb(status);
  }
}

uint64_t LevelDbEnv::SizeBytes() const {
  std::lock_guard lock(mutex_);
  return size_bytes_;
}

void LevelDbEnv::Resize(const std::string& path, uint64_t size) {
  std::lock_guard lock(mutex_);
  uint64_t& known = sizes_[path];
  size_bytes_ += size - known;
  known = size;
}

void LevelDbEnv::Forget(const std::string& path) {
  std::lock_guard lock(mutex_);
  const auto it = sizes_.find(path);
  if (it == sizes_.end()) return;
  size_bytes_ -= it->second;
  sizes_.erase(it);
}

leveldb::Status LevelDbEnv::NewSequentialFile(const std::string& path,
                                              leveldb::SequentialFile** file) {
  *file = nullptr;
  absl::StatusOr<std::unique_ptr<File>> opened = fs_->Open(path, OpenMode::kMustExist);
  if (!opened.ok()) return ToLevelDb(opened.status());
  uint64_t end = std::numeric_limits<uint64_t>::max();
  if (IsManifest(path)) {
    const absl::StatusOr<std::string> manifest = ReadFile(*fs_, path);
    if (!manifest.ok()) return ToLevelDb(manifest.status());
    end = EndOfManifest(*manifest);
  }
  *file = new SequentialDiskFile(*std::move(opened), end);
  return leveldb::Status::OK();
}

leveldb::Status LevelDbEnv::NewRandomAccessFile(const std::string& path,
                                                leveldb::RandomAccessFile** file) {
  *file = nullptr;
  // Opening reads several blocks, and LevelDB would do without a filter that it cannot read.
  if (CachedOnly* const cached_only = CachedOnly::Current(); cached_only != nullptr) {
    cached_only->Miss();
    return leveldb::Status::IOError(path, "not open");
  }
  absl::StatusOr<std::unique_ptr<File>> opened = fs_->Open(path, OpenMode::kMustExist);
  // LevelDB would take NotFound for the answer about the key.
  if (absl::IsNotFound(opened.status())) return leveldb::Status::Corruption(path, "is gone");
  if (!opened.ok()) return ToLevelDb(opened.status());
  const absl::StatusOr<uint64_t> size = (*opened)->Size();
  if (!size.ok()) return ToLevelDb(size.status());
  *file = new RandomAccessDiskFile(fs_, path, *std::move(opened), *size);
  return leveldb::Status::OK();
}

leveldb::Status LevelDbEnv::NewWritableFile(const std::string& path, leveldb::WritableFile** file) {
  Resize(path, 0);
  if (IsLog(path)) {
    *file = new LogFile();
    std::lock_guard lock(mutex_);
    ++logs_;
    TryHeldCompactionLocked();
    return leveldb::Status::OK();
  }
  *file = nullptr;
  std::unique_ptr<File> made;
  leveldb::Status status = WithSpace([&] {
    absl::StatusOr<std::unique_ptr<File>> opened = fs_->Open(path, OpenMode::kCreateOrKeep);
    if (!opened.ok()) return opened.status();
    made = *std::move(opened);
    return made->Truncate(0);
  });
  if (status.ok()) *file = new DiskFile(this, path, std::move(made));
  return status;
}

bool LevelDbEnv::FileExists(const std::string& path) { return fs_->Exists(path); }

leveldb::Status LevelDbEnv::GetChildren(const std::string& directory,
                                        std::vector<std::string>* names) {
  names->clear();
  std::unique_lock lock(mutex_);
  const bool known = knows_all_;
  // The logs in any case, so that LevelDB removes the ones it has flushed.
  for (const auto& [path, size] : sizes_) {
    if (known || IsLog(path)) names->push_back(path.substr(directory.size() + 1));
  }
  lock.unlock();
  if (known) return leveldb::Status::OK();
  absl::StatusOr<std::vector<std::string>> listed = fs_->List(directory);
  if (!listed.ok()) return ToLevelDb(listed.status());
  names->insert(names->end(), listed->begin(), listed->end());
  return leveldb::Status::OK();
}

leveldb::Status LevelDbEnv::LearnFiles(const std::string& directory) {
  std::vector<std::string> names;
  leveldb::Status status = GetChildren(directory, &names);
  for (const std::string& name : names) {
    uint64_t size = 0;
    if (!name.ends_with(".ldb")) continue;
    const leveldb::Status sized = GetFileSize(directory + "/" + name, &size);
    // A compaction may be removing some already.
    if (!sized.ok() && !sized.IsNotFound()) status = sized;
  }
  std::lock_guard lock(mutex_);
  knows_all_ = status.ok();
  return status;
}

leveldb::Status LevelDbEnv::RemoveFile(const std::string& path) {
  if (!IsLog(path)) {
    const absl::Status removed = fs_->RemoveGradually(path);
    if (removed.ok() || absl::IsNotFound(removed)) Forget(path);
    return ToLevelDb(removed);
  }
  Forget(path);
  std::lock_guard lock(mutex_);
  --logs_;
  changed_.notify_all();
  return leveldb::Status::OK();
}

leveldb::Status LevelDbEnv::CreateDir(const std::string& directory) {
  return ToLevelDb(fs_->CreateDirectory(directory));
}

leveldb::Status LevelDbEnv::RemoveDir(const std::string& directory) {
  return ToLevelDb(fs_->RemoveTree(directory));
}

leveldb::Status LevelDbEnv::GetFileSize(const std::string& path, uint64_t* size) {
  *size = 0;
  absl::StatusOr<std::unique_ptr<File>> file = fs_->Open(path, OpenMode::kMustExist);
  if (!file.ok()) return ToLevelDb(file.status());
  absl::StatusOr<uint64_t> bytes = (*file)->Size();
  if (!bytes.ok()) return ToLevelDb(bytes.status());
  *size = *bytes;
  Resize(path, *size);
  return leveldb::Status::OK();
}

leveldb::Status LevelDbEnv::RenameFile(const std::string& from, const std::string& to) {
  leveldb::Status status = WithSpace([&] { return fs_->Rename(from, to); });
  if (!status.ok()) return status;
  if (!SEEDED_BUG(kEngineNamesNotSynced)) OrDie(fs_->SyncDirectory(DirectoryOf(to)));
  std::lock_guard lock(mutex_);
  auto moved = sizes_.extract(from);
  if (moved.empty()) return leveldb::Status::OK();
  if (const auto replaced = sizes_.find(to); replaced != sizes_.end()) {
    size_bytes_ -= replaced->second;
    sizes_.erase(replaced);
  }
  moved.key() = to;
  sizes_.insert(std::move(moved));
  return leveldb::Status::OK();
}

leveldb::Status LevelDbEnv::LockFile(const std::string& path, leveldb::FileLock** lock) {
  *lock = nullptr;
  absl::StatusOr<std::unique_ptr<DirectoryLock>> held = fs_->Lock(DirectoryOf(path));
  if (!held.ok()) return ToLevelDb(held.status());
  *lock = new HeldLock(*std::move(held));
  return leveldb::Status::OK();
}

leveldb::Status LevelDbEnv::UnlockFile(leveldb::FileLock* lock) {
  delete lock;
  return leveldb::Status::OK();
}

void LevelDbEnv::Schedule(void (*work)(void*), void* argument) {
  std::lock_guard lock(mutex_);
  if (drained_ && !running_background_) {
    held_.push_back({work, argument});
  } else {
    Start({work, argument});
  }
}

void LevelDbEnv::Start(Work work) {
  if (background_ == nullptr)
    background_ = std::make_unique<PosixExecutor>("leveldb", Scheduling::kBulk);
  ++started_;
  background_->Post([this, work] { RunIfDue(work); });
}

void LevelDbEnv::RunIfDue(Work work) {
  std::unique_lock lock(mutex_);
  const uint64_t tries = gate_tries_;
  bool due = flushing() || !compaction_is_due_;
  lock.unlock();
  due = due || compaction_is_due_();
  if (due) work.run(work.argument);
  lock.lock();
  // Whatever has made it due since has also asked for another try.
  if (!due && tries != gate_tries_) {
    Start(work);
  } else if (!due) {
    at_gate_ = work;
  }
  if (--started_ == 0) changed_.notify_all();
}

void LevelDbEnv::SetCompactionGate(std::function<bool()> is_due) {
  std::lock_guard lock(mutex_);
  compaction_is_due_ = std::move(is_due);
}

void LevelDbEnv::TryHeldCompactionLocked() {
  ++gate_tries_;
  if (at_gate_) Start(*std::exchange(at_gate_, std::nullopt));
}

void LevelDbEnv::TryHeldCompaction() {
  std::lock_guard lock(mutex_);
  TryHeldCompactionLocked();
}

// LevelDB has work scheduled as long as there is something to flush, unless it has met an error.
void LevelDbEnv::AwaitFlush() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !flushing() || started_ == 0; });
}

void LevelDbEnv::RunHeld() {
  running_background_ = true;
  for (const Work& work : std::exchange(held_, {})) Start(work);
}

void LevelDbEnv::RunBackground() {
  if (!drained_) return;
  std::lock_guard lock(mutex_);
  RunHeld();
}

void LevelDbEnv::Drain() {
  if (!drained_) return;
  std::unique_lock lock(mutex_);
  RunHeld();
  // Work that LevelDB does in several steps schedules the next one before it ends.
  changed_.wait(lock, [this] { return started_ == 0; });
  running_background_ = false;
}

void LevelDbEnv::StartThread(void (*work)(void*), void* argument) {
  std::lock_guard lock(mutex_);
  threads_.push_back(std::make_unique<PosixExecutor>("leveldb", Scheduling::kBulk));
  threads_.back()->Post([work, argument] { work(argument); });
}

// How LevelDB slows its writer while compaction is behind: once a write, a millisecond.
void LevelDbEnv::SleepForMicroseconds(int microseconds) {
  absl::SleepFor(absl::Microseconds(microseconds));  // tidy: allow(determinism) LevelDB's own
}

leveldb::Status LevelDbEnv::GetTestDirectory(std::string*) {
  return leveldb::Status::NotSupported("no test directory");
}

leveldb::Status LevelDbEnv::NewLogger(const std::string&, leveldb::Logger**) {
  return leveldb::Status::NotSupported("the engine's options name the logger");
}

void LevelDbLogger::Logv(const char* format, std::va_list arguments) {
  if (!log_) return;
  char line[512];
  const int size = std::vsnprintf(line, sizeof(line), format, arguments);
  if (size < 0) return;
  std::string_view text(line, std::min<size_t>(size, sizeof(line) - 1));
  while (text.ends_with('\n')) text.remove_suffix(1);
  log_(text);
}

}  // namespace conclave::kv
