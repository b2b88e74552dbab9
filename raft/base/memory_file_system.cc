#include "raft/base/memory_file_system.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "raft/base/check.h"

namespace conclave {

struct MemoryFileSystem::Change {
  std::string from;  // removed, if not empty
  std::string to;    // made or replaced, if not empty
  std::shared_ptr<MemoryFileContent> content;
};

// Where the end of the process goes from.
struct MemoryFileSystem::Frozen {
  std::set<std::string> directories;
  Names names;
  Names durable_names;
  std::map<std::string, std::vector<Change>> changes;
  uint64_t last_write = 0;
};

class MemoryFile : public File {
 public:
  MemoryFile(MemoryFileSystem* fs, std::string path, std::shared_ptr<MemoryFileContent> content)
      : fs_(fs), path_(std::move(path)), content_(std::move(content)), process_(fs->process_) {}

  absl::StatusOr<size_t> ReadInto(uint64_t offset, size_t size, char* out) override {
    if (absl::Status status = Begin({Operation::kRead, path_}); !status.ok()) return status;
    const std::string& bytes = content_->bytes();
    return offset >= bytes.size() ? 0 : bytes.copy(out, size, offset);
  }

  absl::StatusOr<size_t> ReadIfCached(uint64_t offset, size_t size, char* out) override {
    if (fs_->cold_) return absl::UnavailableError(path_ + ": not in memory");
    return ReadInto(offset, size, out);
  }

  absl::Status WriteAt(uint64_t offset, std::string_view bytes) override {
    const uint64_t size = content_->bytes().size();
    const uint64_t grows = std::max(offset + bytes.size(), size) - size;
    const Access access{Operation::kWrite, path_, offset, bytes, {}, grows};
    if (absl::Status status = Begin(access); !status.ok()) return status;
    content_->Write(++fs_->writes_, offset, bytes);
    fs_->After(access);
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    const Access access{Operation::kSync, path_};
    if (absl::Status status = Begin(access); !status.ok()) return status;
    if (!fs_->frozen()) content_->Sync();
    ++fs_->syncs_;
    fs_->After(access);
    return absl::OkStatus();
  }

  void WriteAndSync(uint64_t offset, std::string bytes, Executor* lane, SyncDone done) override {
    CHECK_MSG(!*writing_, "one WriteAndSync per file at a time");
    *writing_ = true;
    absl::Status wrote = WriteAt(offset, bytes);
    // A copy of the file: the caller may let go of this one meanwhile.
    fs_->StartSync(lane, [file = *this, writing = writing_, wrote = std::move(wrote),
                          done = std::move(done)]() mutable {
      if (!file.CanReport()) return;
      *writing = false;
      absl::Status status = wrote.ok() ? file.Sync() : wrote;
      if (file.CanReport()) done(std::move(status));  // a fault may have ended it meanwhile
    });
  }

  absl::StatusOr<uint64_t> Size() override {
    if (absl::Status status = Begin({Operation::kRead, path_}); !status.ok()) return status;
    return content_->bytes().size();
  }

  absl::Status Truncate(uint64_t size) override {
    const Access access{Operation::kTruncate, path_, size};
    if (absl::Status status = Begin(access); !status.ok()) return status;
    content_->Truncate(++fs_->writes_, size);
    fs_->After(access);
    return absl::OkStatus();
  }

 private:
  using Operation = MemoryFileSystem::Operation;
  using Access = MemoryFileSystem::Access;

  absl::Status Begin(const Access& access) {
    if (!*process_) return absl::UnavailableError(path_ + ": its process has ended");
    return fs_->Before(access);
  }
  bool CanReport() const { return *process_ && !fs_->frozen(); }

  MemoryFileSystem* fs_;
  std::string path_;
  std::shared_ptr<MemoryFileContent> content_;
  std::shared_ptr<bool> process_;
  std::shared_ptr<bool> writing_ = std::make_shared<bool>(false);
};

class MemoryLock : public DirectoryLock {
 public:
  MemoryLock(MemoryFileSystem* fs, std::string directory)
      : fs_(fs), directory_(std::move(directory)), process_(fs->process_) {}
  ~MemoryLock() override {
    if (*process_) fs_->locks_.erase(directory_);
  }

 private:
  MemoryFileSystem* const fs_;
  const std::string directory_;
  const std::shared_ptr<bool> process_;
};

MemoryFileSystem::MemoryFileSystem() : directories_{".", "/"} {}
MemoryFileSystem::~MemoryFileSystem() { *process_ = false; }

absl::Status MemoryFileSystem::Before(const Access& access) {
  return fault_ ? fault_(access.operation, access.path) : absl::OkStatus();
}

void MemoryFileSystem::ApplyChange(Names& names, const Change& change) {
  if (!change.from.empty()) names.erase(change.from);
  if (!change.to.empty()) names[change.to] = change.content;
}

void MemoryFileSystem::Record(Change change) {
  ApplyChange(names_, change);
  const std::string& path = change.to.empty() ? change.from : change.to;
  changes_[DirectoryOf(path)].push_back(std::move(change));
}

absl::StatusOr<std::unique_ptr<File>> MemoryFileSystem::Open(const std::string& path,
                                                             OpenMode mode) {
  if (absl::Status status = Before({Operation::kOpen, path}); !status.ok()) return status;
  auto it = names_.find(path);
  if (it != names_.end() && mode == OpenMode::kMustNotExist) {
    return absl::AlreadyExistsError(path + ": exists");
  }
  if (it == names_.end()) {
    const bool may_create = mode == OpenMode::kMustNotExist || mode == OpenMode::kCreateOrKeep;
    if (!may_create || !directories_.contains(DirectoryOf(path))) {
      return absl::NotFoundError(path + ": no such file or directory");
    }
    const Access access{Operation::kCreate, path};
    if (absl::Status status = Before(access); !status.ok()) return status;
    Record({{}, path, std::make_shared<MemoryFileContent>()});
    it = names_.find(path);
    After(access);
  }
  return std::make_unique<MemoryFile>(this, path, it->second);
}

absl::StatusOr<std::vector<std::string>> MemoryFileSystem::List(const std::string& directory) {
  if (!directories_.contains(directory)) {
    return absl::NotFoundError(directory + ": no such directory");
  }
  std::vector<std::string> found;
  const auto add = [&](const std::string& path) {
    if (path != directory && DirectoryOf(path) == directory) {
      found.push_back(path.substr(path.rfind('/') + 1));
    }
  };
  for (const auto& [path, content] : names_) add(path);
  for (const std::string& path : directories_) add(path);
  std::sort(found.begin(), found.end());
  return found;
}

absl::Status MemoryFileSystem::CreateDirectory(const std::string& directory) {
  const Access access{Operation::kCreateDirectory, directory};
  if (absl::Status status = Before(access); !status.ok()) return status;
  for (std::string path = directory; directories_.insert(path).second; path = DirectoryOf(path)) {
    if (names_.contains(path)) return absl::AlreadyExistsError(path + ": is a file");
  }
  After(access);
  return absl::OkStatus();
}

absl::Status MemoryFileSystem::SyncDirectory(const std::string& directory) {
  const Access access{Operation::kSyncDirectory, directory};
  if (absl::Status status = Before(access); !status.ok()) return status;
  if (!directories_.contains(directory)) {
    return absl::NotFoundError(directory + ": no such directory");
  }
  if (!frozen()) {
    for (const Change& change : changes_[directory]) ApplyChange(durable_names_, change);
    changes_.erase(directory);
  }
  After(access);
  return absl::OkStatus();
}

absl::Status MemoryFileSystem::Rename(const std::string& from, const std::string& to) {
  const Access access{Operation::kRename, from, 0, {}, to};
  if (absl::Status status = Before(access); !status.ok()) return status;
  const auto it = names_.find(from);
  if (it == names_.end()) return absl::NotFoundError(from + ": no such file");
  CHECK_MSG(DirectoryOf(from) == DirectoryOf(to), "renames stay within a directory");
  Record({from, to, it->second});
  After(access);
  return absl::OkStatus();
}

absl::Status MemoryFileSystem::Remove(const std::string& path) {
  const Access access{Operation::kRemove, path};
  if (absl::Status status = Before(access); !status.ok()) return status;
  if (!names_.contains(path)) return absl::NotFoundError(path + ": no such file");
  Record({path, {}, nullptr});
  After(access);
  return absl::OkStatus();
}

absl::Status MemoryFileSystem::RemoveGradually(const std::string& path) {
  const auto it = names_.find(path);
  const std::shared_ptr<MemoryFileContent> content = it == names_.end() ? nullptr : it->second;
  if (absl::Status status = Remove(path); !status.ok()) return status;
  const Access access{Operation::kTruncate, path, 0};
  if (!Before(access).ok()) return absl::OkStatus();  // then its space comes back some other day
  content->Truncate(++writes_, 0);
  After(access);
  return absl::OkStatus();
}

absl::Status MemoryFileSystem::RemoveTree(const std::string& directory) {
  const Access access{Operation::kRemoveTree, directory};
  if (absl::Status status = Before(access); !status.ok()) return status;
  const auto inside = [&](const std::string& path) {
    return path == directory || path.starts_with(directory + "/");
  };
  std::erase_if(names_, [&](const auto& name) { return inside(name.first); });
  std::erase_if(durable_names_, [&](const auto& name) { return inside(name.first); });
  std::erase_if(changes_, [&](const auto& change) { return inside(change.first); });
  std::erase_if(directories_, inside);
  After(access);
  return absl::OkStatus();
}

bool MemoryFileSystem::Exists(const std::string& path) {
  return names_.contains(path) || directories_.contains(path);
}

absl::StatusOr<uint64_t> MemoryFileSystem::FreeBytes(const std::string& directory) {
  if (!directories_.contains(directory)) {
    return absl::NotFoundError(directory + ": no such directory");
  }
  return free_bytes_;
}

absl::StatusOr<std::unique_ptr<DirectoryLock>> MemoryFileSystem::Lock(
    const std::string& directory) {
  if (!directories_.contains(directory)) {
    return absl::NotFoundError(directory + ": no such directory");
  }
  if (!locks_.insert(directory).second) {
    return absl::FailedPreconditionError(directory + ": in use");
  }
  return std::make_unique<MemoryLock>(this, directory);
}

void MemoryFileSystem::RunInBackground(Work work, Executor* lane, File::SyncDone done) {
  StartWork(lane,
            [this, work = std::move(work), done = std::move(done), process = process_]() mutable {
              if (!*process || frozen()) return;
              absl::Status status = work();
              work = nullptr;
              if (*process && !frozen())
                done(std::move(status));  // a fault may have ended it meanwhile
            });
}

void MemoryFileSystem::StartSync(Executor* lane, Task sync) {
  if (hold_syncs_) {
    held_syncs_.push_back({lane, std::move(sync)});
  } else {
    lane->Post(std::move(sync));
  }
}

void MemoryFileSystem::StartWork(Executor* lane, Task work) {
  if (hold_background_) {
    held_background_.push_back({lane, std::move(work)});
  } else {
    lane->Post(std::move(work));
  }
}

bool MemoryFileSystem::ReleaseSync() {
  if (held_syncs_.empty()) return false;
  Held held = std::move(held_syncs_.front());
  held_syncs_.pop_front();
  held.lane->Post(std::move(held.task));
  return true;
}

bool MemoryFileSystem::ReleaseBackground() {
  if (held_background_.empty()) return false;
  Held held = std::move(held_background_.front());
  held_background_.pop_front();
  held.lane->Post(std::move(held.task));
  return true;
}

void MemoryFileSystem::ForgetProcess() {
  *process_ = false;
  process_ = std::make_shared<bool>(true);
  locks_.clear();
  held_syncs_.clear();
  held_background_.clear();
  if (frozen()) Thaw();
  ProcessEnded();
}

void MemoryFileSystem::Freeze() {
  if (frozen()) return;
  frozen_ =
      std::make_unique<Frozen>(Frozen{directories_, names_, durable_names_, changes_, writes_});
}

void MemoryFileSystem::Thaw() {
  directories_ = std::move(frozen_->directories);
  names_ = std::move(frozen_->names);
  durable_names_ = std::move(frozen_->durable_names);
  changes_ = std::move(frozen_->changes);
  for (const Names* names : {&names_, &durable_names_}) {
    for (const auto& [path, content] : *names) content->TakeBackAfter(frozen_->last_write);
  }
  frozen_ = nullptr;
}

std::unique_ptr<MemoryFileSystem> MemoryFileSystem::Copy() const {
  CHECK(!frozen());
  auto copy = std::make_unique<MemoryFileSystem>();
  // One copy of each file, whatever its names.
  std::map<const MemoryFileContent*, std::shared_ptr<MemoryFileContent>> copies{{nullptr, nullptr}};
  const auto copy_of = [&](const std::shared_ptr<MemoryFileContent>& content) {
    std::shared_ptr<MemoryFileContent>& made = copies[content.get()];
    if (made == nullptr && content != nullptr) made = std::make_shared<MemoryFileContent>(*content);
    return made;
  };
  for (const auto& [path, content] : names_) copy->names_[path] = copy_of(content);
  for (const auto& [path, content] : durable_names_) copy->durable_names_[path] = copy_of(content);
  for (const auto& [directory, changes] : changes_) {
    for (const Change& change : changes) {
      copy->changes_[directory].push_back({change.from, change.to, copy_of(change.content)});
    }
  }
  copy->directories_ = directories_;
  copy->writes_ = writes_;
  return copy;
}

void MemoryFileSystem::KillProcess() { ForgetProcess(); }

void MemoryFileSystem::KeepChanges(Random* random) {
  for (const auto& [directory, changes] : changes_) {
    std::set<std::string> lost;
    for (const Change& change : changes) {
      const bool depends = lost.contains(change.from) || lost.contains(change.to);
      if (!depends && (random == nullptr || random->OneIn(2))) {
        ApplyChange(durable_names_, change);
        continue;
      }
      if (!change.from.empty()) lost.insert(change.from);
      if (!change.to.empty()) lost.insert(change.to);
    }
  }
  changes_.clear();
  names_ = durable_names_;
}

void MemoryFileSystem::CrashAndLose() {
  ForgetProcess();
  changes_.clear();
  names_ = durable_names_;
  for (const auto& [path, content] : names_) content->KeepNothing();
}

void MemoryFileSystem::CrashAndKeepBytes(uint64_t bytes) {
  ForgetProcess();
  KeepChanges(nullptr);
  std::map<uint64_t, uint64_t> sizes;  // of the writes, in their order
  for (const auto& [path, content] : names_) sizes.merge(content->unsynced_sizes());
  for (auto& [number, size] : sizes) {
    size = std::min(size, bytes);
    bytes -= size;
  }
  for (const auto& [path, content] : names_) content->KeepFirst(sizes);
}

void MemoryFileSystem::CrashAndKeepSome(Random& random) {
  ForgetProcess();
  KeepChanges(&random);
  // Some disks keep nearly all, some nearly nothing.
  const uint64_t lost_of_16 = random.Below(17);
  for (const auto& [path, content] : names_) content->KeepSome(random, lost_of_16);
}

const std::shared_ptr<MemoryFileContent>& MemoryFileSystem::Find(const std::string& path) const {
  const auto it = names_.find(path);
  CHECK_MSG(it != names_.end(), path);
  return it->second;
}

std::string MemoryFileSystem::Contents(const std::string& path) const {
  return Find(path)->bytes();
}

uint64_t MemoryFileSystem::unsynced_bytes() const {
  uint64_t bytes = 0;
  for (const auto& [path, content] : names_) {
    for (const auto& [number, size] : content->unsynced_sizes()) bytes += size;
  }
  return bytes;
}

void MemoryFileSystem::FlipBits(const std::string& path, uint64_t offset, uint8_t mask) {
  const char flipped = static_cast<char>(Find(path)->bytes().at(offset) ^ mask);
  Damage(path, offset, {&flipped, 1});
}

void MemoryFileSystem::Damage(const std::string& path, uint64_t offset, std::string_view bytes) {
  Find(path)->Damage(offset, bytes);
}

bool MemoryFileSystem::IsSynced(const std::string& path) const { return Find(path)->synced(); }

}  // namespace conclave
