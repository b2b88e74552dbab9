// Room set aside for the day the disk is full: a file in the log's directory that is removed then,
// so that the log, and whoever else must write to free more, can go on. Blocks; the WAL calls these
// in the background, and when it is created.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "raft/base/file_system.h"

namespace conclave::raft {

// Sees to it that the reserve is there, of `bytes` bytes. ResourceExhausted if the disk would have
// less than as much again left: what frees room needs some first.
absl::Status KeepReserve(FileSystem& fs, const std::string& directory, uint64_t bytes);

// Removes it, durably. NotFound if it is not there.
absl::Status GiveUpReserve(FileSystem& fs, const std::string& directory);

}  // namespace conclave::raft
