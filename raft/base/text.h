// Between std::string_view, which we use everywhere, and the absl::string_view of Debian's Abseil, which is a type of its own
// there. Any lane.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace conclave {

inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view FromAbsl(absl::string_view text) { return {text.data(), text.size()}; }

// The words of a status; valid as long as it is.
inline std::string_view MessageOf(const absl::Status& status) { return FromAbsl(status.message()); }

}  // namespace conclave
