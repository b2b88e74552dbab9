#include "raft/base/file_system.h"

#include <utility>

namespace conclave {

absl::Status ReplaceFile(FileSystem& fs, const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".tmp";
  {
    absl::StatusOr<std::unique_ptr<File>> file = fs.Open(temporary, OpenMode::kCreateOrKeep);
    if (!file.ok()) return file.status();
    // A crash may have left a longer one of these.
    if (absl::Status status = (*file)->Truncate(0); !status.ok()) return status;
    if (absl::Status status = (*file)->WriteAt(0, bytes); !status.ok()) return status;
    if (absl::Status status = (*file)->Sync(); !status.ok()) return status;
  }
  if (absl::Status status = fs.Rename(temporary, path); !status.ok()) return status;
  return fs.SyncDirectory(DirectoryOf(path));
}

absl::StatusOr<std::string> File::ReadAt(uint64_t offset, size_t size) {
  std::string bytes(size, '\0');
  const absl::StatusOr<size_t> read = ReadInto(offset, size, bytes.data());
  if (!read.ok()) return read.status();
  bytes.resize(*read);
  return bytes;
}

absl::StatusOr<std::string> ReadFile(FileSystem& fs, const std::string& path) {
  absl::StatusOr<std::unique_ptr<File>> file = fs.Open(path, OpenMode::kReadOnly);
  if (!file.ok()) return file.status();
  absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  return (*file)->ReadAt(0, *size);
}

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace conclave
