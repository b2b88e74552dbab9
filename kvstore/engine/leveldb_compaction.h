// When LevelDB should compact. By itself it does so for two reasons: a level has become too large,
// or a table has often been looked at in vain. The second is mostly a loss: with Bloom filters such
// a look costs a microsecond, and some hundred of them have a table of 8 MiB merged with what
// overlaps it, so that a load of gets, or of puts in a large store, keeps the disk and a core busy
// for nothing. The engine lets the first kind through, and of the second one for so many lookups.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace conclave::kv {

// A merge of some 40 MiB takes 0.3 s of a core.
inline constexpr uint64_t kLookupsRepayingCompaction = 300'000;

// Deleted rows of history for which their space is asked back: some 6 MiB of events of 256 bytes,
// about what a full write buffer has. Level 0 and 1 are merged for it, some 40 MiB, as they would
// be soon anyway.
inline constexpr size_t kReclaimedRowsMin = 20'000;

// By LevelDB's "leveldb.stats" property, which has a line for each level that has tables, its sizes
// in whole MiB: level 0 is due with 4 tables, level 1 with 10 MiB, each next one with ten times as
// many (LevelDB, doc/impl.md).
bool IsSizeCompactionDue(std::string_view stats);

}  // namespace conclave::kv
