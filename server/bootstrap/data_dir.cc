#include "server/bootstrap/data_dir.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "fmt/format.h"
#include "raft/base/check.h"
#include "raft/base/text.h"
#include "server/config/validate.h"

namespace conclave::server {
namespace {

template <typename... Parts>
absl::Status Refuse(fmt::format_string<Parts...> format, Parts&&... parts) {
  return absl::FailedPreconditionError(fmt::format(format, std::forward<Parts>(parts)...));
}

// The disk's error, with the flag that led there.
absl::Status Under(std::string_view flag, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), ToAbsl(fmt::format("--{}: {}", flag, MessageOf(status))));
}

// The names in a directory; none if it is absent.
absl::StatusOr<std::vector<std::string>> ListIfThere(FileSystem& fs, const std::string& path) {
  absl::StatusOr<std::vector<std::string>> names = fs.List(path);
  if (absl::IsNotFound(names.status())) return std::vector<std::string>();
  return names;
}

// etcd keeps member/snap/db and member/wal/*.wal; our log has other names.
bool IsOfEtcd(FileSystem& fs, const std::string& member) {
  if (fs.Exists(member + "/snap/db")) return true;
  const absl::StatusOr<std::vector<std::string>> names = fs.List(member + "/wal");
  return names.ok() && fs.Exists(member + "/snap") &&
         std::any_of(names->begin(), names->end(),
                     [](const std::string& name) { return name.ends_with(".wal"); });
}

std::string Describe(const Identity& identity) {
  return fmt::format("member {} ({}) of cluster {}", HexId(identity.member_id.value()),
                     identity.name, HexId(identity.cluster_id));
}

}  // namespace

DataDir::DataDir(FileSystem& fs, const ServerConfig& config)
    : fs_(fs),
      root_(config.data_dir),
      member_(root_ + "/member"),
      identity_path_(member_ + "/identity.json"),
      creating_path_(member_ + "/creating"),
      db_(member_ + "/db"),
      wal_(config.wal_dir.empty() ? member_ + "/wal" : config.wal_dir),
      wal_is_apart_(!config.wal_dir.empty()) {}

absl::StatusOr<std::unique_ptr<DataDir>> DataDir::Open(FileSystem& fs, const ServerConfig& config,
                                                       NewIdentity new_identity) {
  std::unique_ptr<DataDir> opened(new DataDir(fs, config));
  if (IsOfEtcd(fs, opened->member_)) {
    return Refuse(
        "--data-dir: {} holds data of etcd, which conclave cannot read: expected an empty "
        "directory or "
        "one of conclave's",
        opened->root_);
  }
  // Before anything is made, so that a mistyped setting leaves nothing behind.
  const bool has_data = fs.Exists(opened->identity_path_);
  absl::StatusOr<Identity> identity = Identity();
  if (!has_data) {
    if (absl::Status s = CheckInitialCluster(config); !s.ok()) return s;
    identity = new_identity();
    if (!identity.ok()) return identity.status();
  }
  if (absl::Status s = fs.CreateDirectory(opened->root_); !s.ok()) {
    return Refuse("--data-dir: {}: expected a directory that can be made and written",
                  MessageOf(s));
  }
  absl::StatusOr<std::unique_ptr<DirectoryLock>> lock = fs.Lock(opened->root_);
  if (absl::IsFailedPrecondition(lock.status())) {
    return Refuse("--data-dir: {} is in use by another process: expected one directory per member",
                  opened->root_);
  }
  if (!lock.ok()) return Under("data-dir", lock.status());
  opened->lock_ = *std::move(lock);
  absl::Status status = has_data ? opened->Load(config) : opened->StartNew(*std::move(identity));
  if (!status.ok()) return status;
  return opened;
}

absl::Status DataDir::Load(const ServerConfig& config) {
  const absl::StatusOr<std::string> text = ReadFile(fs_, identity_path_);
  if (!text.ok()) return Under("data-dir", text.status());
  absl::StatusOr<Identity> stored = DecodeIdentity(*text);
  if (!stored.ok()) {
    return absl::DataLossError(
        fmt::format("--data-dir: {} {}", identity_path_, MessageOf(stored.status())));
  }
  if (absl::Status status = CheckOwner(config, *stored); !status.ok()) return status;
  if (stored->name != config.name) {
    // As in etcd, a member may be renamed; its id is what it is known by.
    warnings_.push_back(fmt::format("--name: {} was called {} when its data directory was made",
                                    config.name, stored->name));
    stored->name = config.name;
  }
  identity_ = *std::move(stored);
  // The crash came between the two last steps of Commit.
  if (fs_.Exists(creating_path_)) return Under("data-dir", fs_.Remove(creating_path_));
  return absl::OkStatus();
}

// The initial-* settings are ignored when there is data (reference: behaviour section 9.3): members
// come, go and move, and whoever restarts one may write down the cluster as it is now. But a user
// who gives a new member the directory of another has mixed up directories.
absl::Status DataDir::CheckOwner(const ServerConfig& config, const Identity& stored) {
  const bool starts_anew =
      config.IsGiven("initial-cluster") && config.initial_cluster_state == "new";
  if (!starts_anew || stored.joined()) return absl::OkStatus();
  const absl::StatusOr<Identity> configured = InitialIdentity(config);
  if (!configured.ok()) return configured.status();
  if (configured->member_id == stored.member_id && configured->cluster_id == stored.cluster_id) {
    return absl::OkStatus();
  }
  if (configured->member_id == stored.member_id || config.name == stored.name) {
    warnings_.push_back(fmt::format("--initial-cluster: ignored, for --data-dir has the data of {}",
                                    Describe(stored)));
    return absl::OkStatus();
  }
  return Refuse(
      "--data-dir: {} belongs to {}, but --initial-cluster makes this {}: expected a directory of "
      "its own",
      root_, Describe(stored), Describe(*configured));
}

absl::Status DataDir::StartNew(Identity identity) {
  if (absl::Status status = RemoveRemains(); !status.ok()) return status;

  if (absl::Status s = Under("data-dir", fs_.CreateDirectory(member_)); !s.ok()) return s;
  if (absl::Status s = Under("data-dir", ReplaceFile(fs_, creating_path_, wal_)); !s.ok()) {
    return s;
  }
  if (absl::Status s = Under("data-dir", fs_.CreateDirectory(db_)); !s.ok()) return s;
  identity_ = std::move(identity);
  is_new_ = true;
  return absl::OkStatus();
}

// Clears away what an interrupted creation left, but for its mark: a crash in here is one more
// interruption. Without the mark, whatever is there may be somebody's only copy.
absl::Status DataDir::RemoveRemains() {
  const bool interrupted = fs_.Exists(creating_path_);
  const absl::StatusOr<std::vector<std::string>> names = ListIfThere(fs_, member_);
  if (!names.ok()) return Under("data-dir", names.status());
  const bool mark_begun = *names == std::vector<std::string>{"creating.tmp"};
  if (!interrupted && !mark_begun && !names->empty()) {
    return Refuse(
        "--data-dir: {} has files but no identity.json: expected an empty directory or one of "
        "conclave's",
        member_);
  }
  if (wal_is_apart_) {
    // The directory itself stays: it may be where a disk is mounted.
    const absl::StatusOr<std::vector<std::string>> segments = ListIfThere(fs_, wal_);
    if (!segments.ok()) return Under("wal-dir", segments.status());
    const bool ours = interrupted && ReadFile(fs_, creating_path_).value_or("") == wal_;
    if (!ours && !segments->empty()) {
      return Refuse("--wal-dir: {} is not empty: expected an empty directory for a new member",
                    wal_);
    }
    for (const std::string& segment : *segments) {
      if (absl::Status s = Under("wal-dir", fs_.Remove(wal_ + "/" + segment)); !s.ok()) return s;
    }
  }
  if (absl::Status s = Under("data-dir", fs_.RemoveTree(member_ + "/wal")); !s.ok()) return s;
  return Under("data-dir", fs_.RemoveTree(db_));
}

absl::Status DataDir::Commit() {
  CHECK(is_new_);
  if (absl::Status s =
          Under("data-dir", ReplaceFile(fs_, identity_path_, EncodeIdentity(identity_)));
      !s.ok()) {
    return s;
  }
  is_new_ = false;
  return Under("data-dir", fs_.Remove(creating_path_));
}

}  // namespace conclave::server
