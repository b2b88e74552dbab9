#include "kvstore/watch/key_range.h"

namespace conclave::kv {
namespace {

// As a key the smallest there is; as a range end "no end".
constexpr std::string_view kZeroByte("\0", 1);

}  // namespace

KeyRange WatchedRange(std::string_view key, std::string_view range_end) {
  KeyRange range;
  range.begin = key.empty() ? kZeroByte : key;
  if (range_end.empty()) {
    range.single_key = true;
  } else if (range_end != kZeroByte) {
    range.end = range_end;
  }
  return range;
}

}  // namespace conclave::kv
