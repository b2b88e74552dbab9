#include "raft/base/posix_file_system.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "raft/base/text.h"

namespace conclave {
namespace {

absl::Status ErrnoStatus(int error, std::string_view call, const std::string& path) {
  const std::string text =
      fmt::format("{}: {}: {}", path, call, std::system_category().message(error));
  switch (error) {
    case ENOENT:
      return absl::NotFoundError(text);
    case EEXIST:
      return absl::AlreadyExistsError(text);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(text);
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(text);
    case EAGAIN:
      return absl::UnavailableError(text);
    case EOPNOTSUPP:
      return absl::UnimplementedError(text);
    default:
      return absl::InternalError(text);
  }
}

// Makes the system call again as long as a signal interrupts it.
template <typename Call>
auto Uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

}  // namespace

// An open file or directory that closes itself. Shared, so that a sync under way outlives the File
// that asked for it.
class PosixDescriptor {
 public:
  PosixDescriptor(int fd, std::string path, bool sync)
      : fd_(fd), path_(std::move(path)), sync_(sync) {}
  ~PosixDescriptor() { ::close(fd_); }
  PosixDescriptor(const PosixDescriptor&) = delete;
  PosixDescriptor& operator=(const PosixDescriptor&) = delete;

  int fd() const { return fd_; }
  const std::string& path() const { return path_; }

  absl::Status WriteAll(uint64_t offset, std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t wrote = Uninterrupted(
          [&] { return ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
      if (wrote < 0) return ErrnoStatus(errno, "pwrite", path_);
      bytes.remove_prefix(static_cast<size_t>(wrote));
      offset += static_cast<uint64_t>(wrote);
    }
    return absl::OkStatus();
  }

  // Never made again after an error, not even EINTR: what a failed sync left on the disk is
  // unknown.
  absl::Status SyncContent() const {
    if (!sync_) return absl::OkStatus();
    return ::fdatasync(fd_) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "fdatasync", path_);
  }

 private:
  const int fd_;
  const std::string path_;
  const bool sync_;
};

namespace {

class PosixDirectoryLock : public DirectoryLock {
 public:
  PosixDirectoryLock(int fd, std::string path) : descriptor_(fd, std::move(path), /*sync=*/false) {}

 private:
  PosixDescriptor descriptor_;  // closing it lets the flock go
};

}  // namespace

class PosixFile : public File {
 public:
  PosixFile(PosixFileSystem* fs, int fd, const std::string& path)
      : fs_(fs), file_(std::make_shared<PosixDescriptor>(fd, path, fs->options_.sync)) {}

  absl::StatusOr<size_t> ReadInto(uint64_t offset, size_t size, char* out) override {
    return Read(offset, size, out, /*flags=*/0);
  }

  absl::StatusOr<size_t> ReadIfCached(uint64_t offset, size_t size, char* out) override {
    absl::StatusOr<size_t> read = Read(offset, size, out, RWF_NOWAIT);
    // Not every file system can tell.
    return absl::IsUnimplemented(read.status()) ? ReadInto(offset, size, out) : read;
  }

  absl::Status WriteAt(uint64_t offset, std::string_view bytes) override {
    return file_->WriteAll(offset, bytes);
  }

  absl::Status Sync() override { return file_->SyncContent(); }

  void WriteAndSync(uint64_t offset, std::string bytes, Executor* lane, SyncDone done) override {
    fs_->sync_lane().Post(
        [file = file_, offset, bytes = std::move(bytes), lane, done = std::move(done)]() mutable {
          absl::Status status = file->WriteAll(offset, bytes);
          if (status.ok()) status = file->SyncContent();
          lane->Post([done = std::move(done), status = std::move(status)]() mutable {
            done(std::move(status));
          });
        });
  }

  absl::StatusOr<uint64_t> Size() override {
    struct stat stat;
    if (::fstat(file_->fd(), &stat) != 0) return ErrnoStatus(errno, "fstat", file_->path());
    return static_cast<uint64_t>(stat.st_size);
  }

  absl::Status Truncate(uint64_t size) override {
    if (Uninterrupted([&] { return ::ftruncate(file_->fd(), static_cast<off_t>(size)); }) != 0) {
      return ErrnoStatus(errno, "ftruncate", file_->path());
    }
    return absl::OkStatus();
  }

 private:
  // `flags` are preadv2's.
  absl::StatusOr<size_t> Read(uint64_t offset, size_t size, char* out, int flags) const {
    size_t got = 0;
    while (got < size) {
      const iovec rest{.iov_base = out + got, .iov_len = size - got};
      const ssize_t read = Uninterrupted([&] {
        return ::preadv2(file_->fd(), &rest, 1, static_cast<off_t>(offset + got), flags);
      });
      if (read < 0) return ErrnoStatus(errno, "preadv2", file_->path());
      if (read == 0) break;
      got += static_cast<size_t>(read);
    }
    return got;
  }

  PosixFileSystem* const fs_;
  const std::shared_ptr<PosixDescriptor> file_;
};

PosixFileSystem::PosixFileSystem(const PosixFileSystemOptions& options) : options_(options) {}

PosixFileSystem::~PosixFileSystem() {
  // The threads end outside the mutex: what they still run may ask for the other one.
  std::unique_ptr<PosixExecutor> sync_lane;
  std::unique_ptr<PosixExecutor> background_lane;
  std::lock_guard<std::mutex> lock(mutex_);
  sync_lane = std::move(sync_lane_);
  background_lane = std::move(background_lane_);
}

Executor& PosixFileSystem::sync_lane() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (sync_lane_ == nullptr)
    sync_lane_ = std::make_unique<PosixExecutor>("disk-sync", Scheduling::kPrompt);
  return *sync_lane_;
}

GradualRemoval& PosixFileSystem::removal() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (removal_ == nullptr) removal_ = std::make_unique<GradualRemoval>();
  return *removal_;
}

absl::StatusOr<std::unique_ptr<File>> PosixFileSystem::Open(const std::string& path,
                                                            OpenMode mode) {
  int flags = O_CLOEXEC | (mode == OpenMode::kReadOnly ? O_RDONLY : O_RDWR);
  const bool may_create = mode == OpenMode::kMustNotExist || mode == OpenMode::kCreateOrKeep;
  if (may_create) flags |= O_CREAT;
  if (mode == OpenMode::kMustNotExist) flags |= O_EXCL;
  const int fd = Uninterrupted([&] { return ::open(path.c_str(), flags, 0600); });
  if (fd < 0) return ErrnoStatus(errno, "open", path);
  return std::make_unique<PosixFile>(this, fd, path);
}

absl::StatusOr<std::vector<std::string>> PosixFileSystem::List(const std::string& directory) {
  std::error_code error;
  std::vector<std::string> names;
  std::filesystem::directory_iterator it(directory, error);
  while (!error && it != std::filesystem::directory_iterator()) {
    names.push_back(it->path().filename().string());
    it.increment(error);
  }
  if (error) return ErrnoStatus(error.value(), "list", directory);
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status PosixFileSystem::CreateDirectory(const std::string& directory) {
  struct stat stat;
  if (::stat(directory.c_str(), &stat) == 0 && S_ISDIR(stat.st_mode)) return absl::OkStatus();
  const std::string parent = DirectoryOf(directory);
  if (parent != directory && !Exists(parent)) {
    if (absl::Status status = CreateDirectory(parent); !status.ok()) return status;
  }
  if (::mkdir(directory.c_str(), 0700) != 0) return ErrnoStatus(errno, "mkdir", directory);
  return SyncDirectory(parent);
}

absl::Status PosixFileSystem::SyncDirectory(const std::string& directory) {
  if (!options_.sync) return absl::OkStatus();
  const int fd =
      Uninterrupted([&] { return ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0) return ErrnoStatus(errno, "open", directory);
  const PosixDescriptor descriptor(fd, directory, options_.sync);
  if (::fsync(fd) != 0) return ErrnoStatus(errno, "fsync", directory);
  return absl::OkStatus();
}

absl::Status PosixFileSystem::Rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return ErrnoStatus(errno, "rename", from);
  return absl::OkStatus();
}

absl::Status PosixFileSystem::Remove(const std::string& path) {
  if (::unlink(path.c_str()) != 0) return ErrnoStatus(errno, "unlink", path);
  return absl::OkStatus();
}

// Cuts nothing that has another name: somebody may keep a copy of the store by hard links.
absl::Status PosixFileSystem::RemoveGradually(const std::string& path) {
  const int fd =
      Uninterrupted([&] { return ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW); });
  absl::Status removed = Remove(path);
  if (fd < 0) return removed;
  struct stat stat;
  const bool is_large = removed.ok() && ::fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) &&
                        stat.st_nlink == 0 &&
                        static_cast<uint64_t>(stat.st_size) > GradualRemoval::kPartBytes;
  if (!is_large) {
    ::close(fd);
    return removed;
  }
  removal().Take(fd, static_cast<uint64_t>(stat.st_size));
  return removed;
}

absl::Status PosixFileSystem::RemoveTree(const std::string& directory) {
  std::error_code error;
  std::filesystem::remove_all(directory, error);
  return error ? ErrnoStatus(error.value(), "remove", directory) : absl::OkStatus();
}

bool PosixFileSystem::Exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

absl::StatusOr<uint64_t> PosixFileSystem::FreeBytes(const std::string& directory) {
  struct statvfs disk;
  if (::statvfs(directory.c_str(), &disk) != 0) return ErrnoStatus(errno, "statvfs", directory);
  return static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
}

absl::StatusOr<std::unique_ptr<DirectoryLock>> PosixFileSystem::Lock(const std::string& directory) {
  const std::string path = directory + "/LOCK";
  const int fd =
      Uninterrupted([&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600); });
  if (fd < 0) return ErrnoStatus(errno, "open", path);
  auto lock = std::make_unique<PosixDirectoryLock>(fd, path);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "flock", path);
    return absl::FailedPreconditionError(
        fmt::format("{}: in use by another process, or twice by this one", directory));
  }
  return lock;
}

void PosixFileSystem::RunInBackground(Work work, Executor* lane, File::SyncDone done) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (background_lane_ == nullptr) background_lane_ = std::make_unique<PosixExecutor>("disk-work");
  background_lane_->Post([work = std::move(work), lane, done = std::move(done)]() mutable {
    absl::Status status = work();
    work = nullptr;  // its files are closed before anybody hears that it is over
    lane->Post([done = std::move(done), status = std::move(status)]() mutable {
      done(std::move(status));
    });
  });
}

}  // namespace conclave
