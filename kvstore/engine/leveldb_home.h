// The engine home on disk, around leveldb_engine.h. Layout of its directory:
//
//   db-<n>/      an engine; <n> counts up with every snapshot adopted
//   db-current   the number of the live one, in decimal; replaced as a whole (ReplaceFile)
//   db-damaged   the number of an engine of which something could not be read, until another one
//                has taken its place: what is damaged may be a table that opening does not look at
//
// All other engines are remains of a crash, or on their way in or out. What has another name is not
// the home's and stays. Opened by the server at start-up.
#pragma once

#include <memory>
#include <string>

#include "kvstore/engine/engine_home.h"
#include "kvstore/engine/leveldb_engine.h"
#include "raft/base/file_system.h"

namespace conclave::kv {

// `directory` is made if it is absent. `fs` must outlive the home and its engines and be usable
// from two threads.
std::unique_ptr<EngineHome> NewLevelDbHome(FileSystem* fs, std::string directory,
                                           const LevelDbOptions& options);

}  // namespace conclave::kv
