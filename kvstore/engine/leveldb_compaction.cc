#include "kvstore/engine/leveldb_compaction.h"

#include <cstdint>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace conclave::kv {
namespace {

constexpr int64_t kTablesMax = 4;
constexpr int64_t kMebibytesMax = 10;

}  // namespace

bool IsSizeCompactionDue(std::string_view stats) {
  for (const absl::string_view line :
       absl::StrSplit(absl::string_view(stats.data(), stats.size()), '\n')) {
    const std::vector<absl::string_view> columns = absl::StrSplit(line, ' ', absl::SkipEmpty());
    int level = 0;
    int64_t tables = 0;
    int64_t mebibytes = 0;
    if (columns.size() < 3 || !absl::SimpleAtoi(columns[0], &level) ||
        !absl::SimpleAtoi(columns[1], &tables) || !absl::SimpleAtoi(columns[2], &mebibytes)) {
      continue;  // a title
    }
    int64_t mebibytes_max = kMebibytesMax;
    for (int next = 1; next < level; ++next) mebibytes_max *= 10;
    if (level == 0 ? tables >= kTablesMax : mebibytes >= mebibytes_max) return true;
  }
  return false;
}

}  // namespace conclave::kv
