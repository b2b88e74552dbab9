// The members that this one knew last, with their peer URLs, in a file of the data directory. The
// state machine and the log know them too; but a member whose state is lost, and whose log starts
// later, would look for the others where they were when the cluster began. A hint, no more: who is
// a member is decided elsewhere. On the lane of who made it.
#pragma once

#include <string>
#include <vector>

#include "raft/base/executor.h"
#include "raft/base/file_system.h"
#include "server/bootstrap/identity.h"

namespace conclave::server {

class LastMembers {
 public:
  // Reads what an earlier run has kept: nothing if there is no such file, or if it is damaged.
  // Blocks. Neither is owned.
  LastMembers(FileSystem* fs, std::string path, Executor* lane);

  const std::vector<InitialMember>& members() const { return members_; }

  // Keeps these instead. They are written in the background, if they are others than before; then
  // `done` runs on the lane.
  void Keep(std::vector<InitialMember> members, File::SyncDone done);

 private:
  FileSystem* const fs_;
  const std::string path_;
  Executor* const lane_;
  std::vector<InitialMember> members_;
};

}  // namespace conclave::server
