// A FileSystem that several threads may share, around one that belongs to a single thread: lets
// LevelDB, which works in the background, run on the memory file system and its crashes. For tests
// and the simulator.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "raft/base/check.h"
#include "raft/base/file_system.h"

namespace conclave {

class LockedFileSystem : public FileSystem {
 public:
  explicit LockedFileSystem(FileSystem* inner) : inner_(inner) {}

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    absl::StatusOr<std::unique_ptr<File>> file = inner_->Open(path, mode);
    if (!file.ok()) return file.status();
    return std::make_unique<LockedFile>(&mutex_, *std::move(file));
  }
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    return Locked([&] { return inner_->List(directory); });
  }
  absl::Status CreateDirectory(const std::string& directory) override {
    return Locked([&] { return inner_->CreateDirectory(directory); });
  }
  absl::Status SyncDirectory(const std::string& directory) override {
    return Locked([&] { return inner_->SyncDirectory(directory); });
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return Locked([&] { return inner_->Rename(from, to); });
  }
  absl::Status Remove(const std::string& path) override {
    return Locked([&] { return inner_->Remove(path); });
  }
  absl::Status RemoveGradually(const std::string& path) override {
    return Locked([&] { return inner_->RemoveGradually(path); });
  }
  absl::Status RemoveTree(const std::string& directory) override {
    return Locked([&] { return inner_->RemoveTree(directory); });
  }
  bool Exists(const std::string& path) override {
    return Locked([&] { return inner_->Exists(path); });
  }
  absl::StatusOr<uint64_t> FreeBytes(const std::string& directory) override {
    return Locked([&] { return inner_->FreeBytes(directory); });
  }
  absl::StatusOr<std::unique_ptr<DirectoryLock>> Lock(const std::string& directory) override {
    return Locked([&] { return inner_->Lock(directory); });
  }
  void RunInBackground(Work, Executor*, File::SyncDone) override { CHECK(false); }

 private:
  class LockedFile : public File {
   public:
    LockedFile(std::mutex* mutex, std::unique_ptr<File> inner)
        : mutex_(mutex), inner_(std::move(inner)) {}
    ~LockedFile() override {
      const std::lock_guard<std::mutex> lock(*mutex_);
      inner_.reset();
    }
    absl::StatusOr<size_t> ReadInto(uint64_t offset, size_t size, char* out) override {
      const std::lock_guard<std::mutex> lock(*mutex_);
      return inner_->ReadInto(offset, size, out);
    }
    absl::StatusOr<size_t> ReadIfCached(uint64_t offset, size_t size, char* out) override {
      const std::lock_guard<std::mutex> lock(*mutex_);
      return inner_->ReadIfCached(offset, size, out);
    }
    absl::Status WriteAt(uint64_t offset, std::string_view bytes) override {
      const std::lock_guard<std::mutex> lock(*mutex_);
      return inner_->WriteAt(offset, bytes);
    }
    absl::Status Sync() override {
      const std::lock_guard<std::mutex> lock(*mutex_);
      return inner_->Sync();
    }
    void WriteAndSync(uint64_t, std::string, Executor*, SyncDone) override { CHECK(false); }
    absl::StatusOr<uint64_t> Size() override {
      const std::lock_guard<std::mutex> lock(*mutex_);
      return inner_->Size();
    }
    absl::Status Truncate(uint64_t size) override {
      const std::lock_guard<std::mutex> lock(*mutex_);
      return inner_->Truncate(size);
    }

   private:
    std::mutex* const mutex_;
    std::unique_ptr<File> inner_;
  };

  template <typename Call>
  std::invoke_result_t<Call> Locked(Call call) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return call();
  }

  FileSystem* const inner_;
  std::mutex mutex_;
};

}  // namespace conclave
