// The YAML (or JSON) form of the flags: the same names, some in sections (reference: behaviour
// section 14.5). Used by command_line.cc only; a pure function.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "server/config/config.h"

namespace conclave::server {

// Takes every setting of `text` into `config`. Unknown keys are warned of and otherwise ignored, as
// in etcd. InvalidArgument names `path`, the line, the flag and what was expected.
absl::Status ReadConfigFile(const std::string& path, std::string_view text, ServerConfig& config,
                            std::vector<std::string>& warnings);

}  // namespace conclave::server
