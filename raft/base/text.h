// Between std::string_view, which we use everywhere, and the absl::string_view of Debian's Abseil,
// which is a type of its own there. Any lane.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "raft/base/types.h"

namespace conclave {

inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view FromAbsl(absl::string_view text) { return {text.data(), text.size()}; }

// The words of a status; valid as long as it is.
inline std::string_view MessageOf(const absl::Status& status) { return FromAbsl(status.message()); }

// Member and cluster ids as etcd's tools write them: lower-case hex without leading zeros.
inline std::string HexId(uint64_t id) {
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof(digits), id, 16).ptr;
  return std::string(digits, end);
}
inline std::string HexId(raft::NodeId id) { return HexId(id.value()); }

}  // namespace conclave
