// The data directory of a member: where things are in it, whose it is, and that nobody else uses
// it. Opened by main before anything is read; blocks, main thread. Layout:
//
//   <data-dir>/member/identity.json  written last: with it, the directory is complete
//   <data-dir>/member/last_members.json  whom the member knew last (last_members.h)
//   <data-dir>/member/creating       there while it is made: what a crash leaves is worthless
//   <data-dir>/member/wal/           the raft log, unless --wal-dir says otherwise
//   <data-dir>/member/db/            the state machine (kvstore/engine/leveldb_home.h)
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "raft/base/file_system.h"
#include "server/bootstrap/identity.h"
#include "server/config/config.h"

namespace conclave::server {

class DataDir {
 public:
  // Who a member without data is, or why it must not start. May ask the other members and so take
  // seconds.
  using NewIdentity = absl::FunctionRef<absl::StatusOr<Identity>()>;

  // Locks the directory and finds out whose it is; makes a new one if it is absent or empty, or if
  // making it was interrupted. `config` is completed, and not kept. Errors are one line
  // that names the flag and what was expected: FailedPrecondition if another process has the
  // directory, if it belongs to another member, to etcd or to nobody known; InvalidArgument if a
  // new member's initial-* settings are wrong (validate.h); others are `new_identity`'s or the
  // disk's.
  static absl::StatusOr<std::unique_ptr<DataDir>> Open(FileSystem& fs, const ServerConfig& config,
                                                       NewIdentity new_identity);

  // True until Commit if the directory is a new one: the caller first fills wal() and db().
  bool is_new() const { return is_new_; }
  // Makes a new directory the member's for good: everything in it must be durable already.
  absl::Status Commit();

  const Identity& identity() const { return identity_; }
  // One line each, to be logged.
  const std::vector<std::string>& warnings() const { return warnings_; }

  const std::string& wal() const { return wal_; }
  const std::string& db() const { return db_; }
  std::string last_members() const { return member_ + "/last_members.json"; }

 private:
  DataDir(FileSystem& fs, const ServerConfig& config);

  absl::Status Load(const ServerConfig& config);
  absl::Status CheckOwner(const ServerConfig& config, const Identity& stored);
  absl::Status StartNew(Identity identity);
  absl::Status RemoveRemains();

  FileSystem& fs_;
  const std::string root_;
  const std::string member_;
  const std::string identity_path_;
  const std::string creating_path_;
  const std::string db_;
  const std::string wal_;
  const bool wal_is_apart_;
  std::unique_ptr<DirectoryLock> lock_;
  bool is_new_ = false;
  Identity identity_;
  std::vector<std::string> warnings_;
};

}  // namespace conclave::server
