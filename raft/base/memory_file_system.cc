#include "raft/base/memory_file_system.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "raft/base/check.h"

namespace conclave {
namespace {

constexpr size_t kSectorBytes = 512;

// Writes `bytes` into `content`, growing it with zeros as needed.
void Overlay(std::string& content, uint64_t offset, std::string_view bytes) {
  if (content.size() < offset + bytes.size()) content.resize(offset + bytes.size());
  content.replace(offset, bytes.size(), bytes);
}

}  // namespace

// One file, whatever its names.
struct MemoryFileSystem::Node {
  struct Write {
    uint64_t number;  // ascending over all files
    uint64_t offset;
    std::string bytes;
    bool truncate = false;  // to `offset`
  };

  std::string content;  // as a program reads it
  std::string durable;
  std::vector<Write> unsynced;

  static void Apply(std::string& content, const Write& write) {
    if (write.truncate) {
      content.resize(write.offset);
    } else {
      Overlay(content, write.offset, write.bytes);
    }
  }
  void Add(Write write) {
    Apply(content, write);
    unsynced.push_back(std::move(write));
  }
  void Sync() {
    for (const Write& write : unsynced) Apply(durable, write);
    unsynced.clear();
  }
  // What is left after a crash is what is durable from then on.
  void Settle() {
    unsynced.clear();
    content = durable;
  }
};

struct MemoryFileSystem::Change {
  std::string from;  // removed, if not empty
  std::string to;    // made or replaced, if not empty
  std::shared_ptr<Node> node;
};

class MemoryFile : public File {
 public:
  MemoryFile(MemoryFileSystem* fs, std::string path, std::shared_ptr<MemoryFileSystem::Node> node)
      : fs_(fs), path_(std::move(path)), node_(std::move(node)), process_(fs->process_) {}

  absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t size) override {
    if (absl::Status status = Allow(Operation::kRead); !status.ok()) return status;
    if (offset >= node_->content.size()) return std::string();
    return node_->content.substr(offset, size);
  }

  absl::Status WriteAt(uint64_t offset, std::string_view bytes) override {
    if (absl::Status status = Allow(Operation::kWrite); !status.ok()) return status;
    node_->Add({++fs_->writes_, offset, std::string(bytes)});
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    if (absl::Status status = Allow(Operation::kSync); !status.ok()) return status;
    node_->Sync();
    ++fs_->syncs_;
    return absl::OkStatus();
  }

  void WriteAndSync(uint64_t offset, std::string bytes, Executor* lane, SyncDone done) override {
    CHECK_MSG(!*writing_, "one WriteAndSync per file at a time");
    *writing_ = true;
    absl::Status wrote = WriteAt(offset, bytes);
    // A copy of the file: the caller may let go of this one meanwhile.
    Task sync = [file = *this, writing = writing_, wrote = std::move(wrote),
                 done = std::move(done)]() mutable {
      if (!*file.process_) return;
      *writing = false;
      absl::Status status = wrote.ok() ? file.Sync() : wrote;
      if (*file.process_) done(std::move(status));  // a fault may have ended it meanwhile
    };
    if (fs_->hold_syncs_) {
      fs_->held_syncs_.push_back({lane, std::move(sync)});
    } else {
      lane->Post(std::move(sync));
    }
  }

  absl::StatusOr<uint64_t> Size() override {
    if (absl::Status status = Allow(Operation::kRead); !status.ok()) return status;
    return node_->content.size();
  }

  absl::Status Truncate(uint64_t size) override {
    if (absl::Status status = Allow(Operation::kTruncate); !status.ok()) return status;
    node_->Add({++fs_->writes_, size, {}, true});
    return absl::OkStatus();
  }

 private:
  using Operation = MemoryFileSystem::Operation;

  absl::Status Allow(Operation operation) {
    if (!*process_) return absl::UnavailableError(path_ + ": its process has ended");
    return fs_->Allow(operation, path_);
  }

  MemoryFileSystem* fs_;
  std::string path_;
  std::shared_ptr<MemoryFileSystem::Node> node_;
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

absl::Status MemoryFileSystem::Allow(Operation operation, const std::string& path) {
  return fault_ ? fault_(operation, path) : absl::OkStatus();
}

void MemoryFileSystem::ApplyChange(Names& names, const Change& change) {
  if (!change.from.empty()) names.erase(change.from);
  if (!change.to.empty()) names[change.to] = change.node;
}

void MemoryFileSystem::Record(Change change) {
  ApplyChange(names_, change);
  const std::string& path = change.to.empty() ? change.from : change.to;
  changes_[DirectoryOf(path)].push_back(std::move(change));
}

absl::StatusOr<std::unique_ptr<File>> MemoryFileSystem::Open(const std::string& path,
                                                             OpenMode mode) {
  if (absl::Status status = Allow(Operation::kOpen, path); !status.ok()) return status;
  auto it = names_.find(path);
  if (it != names_.end() && mode == OpenMode::kMustNotExist) {
    return absl::AlreadyExistsError(path + ": exists");
  }
  if (it == names_.end()) {
    if (mode == OpenMode::kMustExist || !directories_.contains(DirectoryOf(path))) {
      return absl::NotFoundError(path + ": no such file or directory");
    }
    Record({{}, path, std::make_shared<Node>()});
    it = names_.find(path);
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
  for (const auto& [path, node] : names_) add(path);
  for (const std::string& path : directories_) add(path);
  std::sort(found.begin(), found.end());
  return found;
}

absl::Status MemoryFileSystem::CreateDirectory(const std::string& directory) {
  for (std::string path = directory; directories_.insert(path).second; path = DirectoryOf(path)) {
    if (names_.contains(path)) return absl::AlreadyExistsError(path + ": is a file");
  }
  return absl::OkStatus();
}

absl::Status MemoryFileSystem::SyncDirectory(const std::string& directory) {
  if (absl::Status status = Allow(Operation::kSyncDirectory, directory); !status.ok()) {
    return status;
  }
  if (!directories_.contains(directory)) {
    return absl::NotFoundError(directory + ": no such directory");
  }
  for (const Change& change : changes_[directory]) ApplyChange(durable_names_, change);
  changes_.erase(directory);
  return absl::OkStatus();
}

absl::Status MemoryFileSystem::Rename(const std::string& from, const std::string& to) {
  if (absl::Status status = Allow(Operation::kRename, from); !status.ok()) return status;
  const auto it = names_.find(from);
  if (it == names_.end()) return absl::NotFoundError(from + ": no such file");
  CHECK_MSG(DirectoryOf(from) == DirectoryOf(to), "renames stay within a directory");
  Record({from, to, it->second});
  return absl::OkStatus();
}

absl::Status MemoryFileSystem::Remove(const std::string& path) {
  if (absl::Status status = Allow(Operation::kRemove, path); !status.ok()) return status;
  if (!names_.contains(path)) return absl::NotFoundError(path + ": no such file");
  Record({path, {}, nullptr});
  return absl::OkStatus();
}

absl::Status MemoryFileSystem::RemoveTree(const std::string& directory) {
  const auto inside = [&](const std::string& path) {
    return path == directory || path.starts_with(directory + "/");
  };
  std::erase_if(names_, [&](const auto& name) { return inside(name.first); });
  std::erase_if(durable_names_, [&](const auto& name) { return inside(name.first); });
  std::erase_if(changes_, [&](const auto& change) { return inside(change.first); });
  std::erase_if(directories_, inside);
  return absl::OkStatus();
}

bool MemoryFileSystem::Exists(const std::string& path) {
  return names_.contains(path) || directories_.contains(path);
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
  Task task = [work = std::move(work), done = std::move(done), process = process_]() mutable {
    if (!*process) return;
    absl::Status status = work();
    work = nullptr;
    if (*process) done(std::move(status));  // a fault may have ended it meanwhile
  };
  if (hold_background_) {
    held_background_.push_back({lane, std::move(task)});
  } else {
    lane->Post(std::move(task));
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
  for (const auto& [path, node] : names_) node->Settle();
}

void MemoryFileSystem::CrashAndKeepBytes(uint64_t bytes) {
  ForgetProcess();
  KeepChanges(nullptr);
  std::map<uint64_t, std::pair<Node*, const Node::Write*>> in_order;
  for (const auto& [path, node] : names_) {
    for (const Node::Write& write : node->unsynced) in_order[write.number] = {node.get(), &write};
  }
  for (const auto& [number, place] : in_order) {
    Node::Write kept = *place.second;
    kept.bytes.resize(std::min<uint64_t>(kept.bytes.size(), bytes));
    bytes -= kept.bytes.size();
    if (kept.truncate || !kept.bytes.empty()) Node::Apply(place.first->durable, kept);
  }
  for (const auto& [path, node] : names_) node->Settle();
}

void MemoryFileSystem::CrashAndKeepSome(Random& random) {
  ForgetProcess();
  KeepChanges(&random);
  // Some disks keep nearly all, some nearly nothing.
  const uint64_t lost_of_16 = random.Below(17);
  for (const auto& [path, node] : names_) {
    for (const Node::Write& write : node->unsynced) {
      for (uint64_t at = write.offset; at < write.offset + write.bytes.size();) {
        const uint64_t sector_end = (at / kSectorBytes + 1) * kSectorBytes;
        const uint64_t end = std::min<uint64_t>(sector_end, write.offset + write.bytes.size());
        if (random.Below(16) >= lost_of_16) {
          Overlay(node->durable, at,
                  std::string_view(write.bytes).substr(at - write.offset, end - at));
        }
        at = end;
      }
      if (write.truncate && random.OneIn(2)) Node::Apply(node->durable, write);
    }
    node->Settle();
  }
}

std::string MemoryFileSystem::Contents(const std::string& path) const {
  const auto it = names_.find(path);
  CHECK_MSG(it != names_.end(), path);
  return it->second->content;
}

uint64_t MemoryFileSystem::unsynced_bytes() const {
  uint64_t bytes = 0;
  for (const auto& [path, node] : names_) {
    for (const Node::Write& write : node->unsynced) bytes += write.bytes.size();
  }
  return bytes;
}

void MemoryFileSystem::FlipBits(const std::string& path, uint64_t offset, uint8_t mask) {
  const auto it = names_.find(path);
  CHECK_MSG(it != names_.end() && it->second->unsynced.empty(), path);
  for (std::string* content : {&it->second->content, &it->second->durable}) {
    CHECK(offset < content->size());
    (*content)[offset] = static_cast<char>((*content)[offset] ^ mask);
  }
}

}  // namespace conclave
