// The system's words for an errno, in the lower case that our messages use. For server/net's
// errors; any lane. Every failed system call is reported through here, so that the words are the
// same everywhere.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace conclave::server {

// "address already in use".
std::string SystemWords(int error);

// Unavailable: "<what>: <words>".
absl::Status SystemError(std::string_view what, int error);

}  // namespace conclave::server
