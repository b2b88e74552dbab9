// From what a user typed to a checked ServerConfig: Go's flag syntax, ETCD_* and CONCLAVE_*
// variables, the YAML file (reference: behaviour section 14.1). Called by main before anything
// else; a pure function, so that tests drive it with plain values.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/config/config.h"

namespace conclave::server {

// The environment, by name. Only the names ETCD_* and CONCLAVE_* are looked at.
using Environment = std::map<std::string, std::string>;

// The bytes of a file; the error carries the system's words.
using FileReader = std::function<absl::StatusOr<std::string>(const std::string& path)>;

struct ParseOutcome {
  // Not empty after --help and --version: to be written to standard output, and then the program is
  // done with status 0.
  std::string print;
  // Otherwise: completed and checked (validate.h).
  ServerConfig config;
  // One line each, to be logged once there is a log.
  std::vector<std::string> warnings;
};

// `arguments` come without the program's name. An error (InvalidArgument) is one line that names
// the flag and what was expected, to be written to standard error before exit with status 1.
absl::StatusOr<ParseOutcome> ParseCommandLine(const std::vector<std::string>& arguments,
                                              const Environment& environment,
                                              const FileReader& read_file);

}  // namespace conclave::server
