// Everything of a member that is on disk, opened in the right order at start-up: data directory,
// log, engine, state machine. Made by main on the main thread before the loop runs; opening blocks.
// Destroyed after everything that uses it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kvstore/engine/engine.h"
#include "kvstore/engine/engine_home.h"
#include "kvstore/store.h"
#include "raft/base/executor.h"
#include "raft/base/file_system.h"
#include "raft/core/core.h"
#include "raft/wal/wal.h"
#include "server/bootstrap/data_dir.h"
#include "server/config/config.h"
#include "server/stages/recovery.h"

namespace conclave::server {

struct Storage {
  FileSystem* file_system = nullptr;  // that all of it is on
  std::unique_ptr<DataDir> data_dir;
  std::unique_ptr<raft::Wal> wal;
  std::unique_ptr<kv::EngineHome> engine_home;
  std::shared_ptr<kv::Engine> engine;  // the live one (NodeParts::engine)
  std::unique_ptr<kv::Store> store;
  Recovered recovered;             // what the core starts from
  std::vector<std::string> notes;  // worth a log line each
};

// Errors are one line for the user. `lane` is where the log's completions will run; `new_identity`
// is asked if there is no data.
absl::StatusOr<Storage> OpenStorage(FileSystem& fs, const ServerConfig& config,
                                    DataDir::NewIdentity new_identity, Executor* lane,
                                    uint64_t seed);

// The members that the cluster was started with, as the member list of an empty store: names and
// client URLs come when they publish them.
std::vector<etcdserverpb::Member> InitialMembers(const Identity& identity);

}  // namespace conclave::server
