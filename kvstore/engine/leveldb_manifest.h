// Where the manifest of a LevelDB database ends. LevelDB appends a record to it for each flush and
// compaction, and takes a last record that was cut off by a crash for what it is, but not one that
// is torn: with a later sector of it on the disk and an earlier one not, it refuses to open. So our
// environment (leveldb_env.h) shows it the manifest without such an end. Any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace conclave::kv {

// How many bytes of `manifest` to go by: all of them, unless its end is the torn last record, which
// nothing was built on yet, since LevelDB syncs each. Damage anywhere else has whole records after
// it and stays for LevelDB to find; damage to the very last record cannot be told apart from a torn
// one. (Then the engine falls back by one flush, and who opens the log finds that it starts later.)
uint64_t EndOfManifest(std::string_view manifest);

}  // namespace conclave::kv
