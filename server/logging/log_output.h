// Where lines of the log end up: a terminal, a pipe, a file. Written by the log's own thread only
// (log_session.h), which may wait for it as long as it takes.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace conclave::server {

class LogOutput {
 public:
  virtual ~LogOutput() = default;
  // One whole line. What cannot be written is lost: there is nobody to tell.
  virtual void Write(std::string_view line) = 0;
};

// `name` is one of --log-outputs: default, stderr, stdout, or the path of a file to append to.
// InvalidArgument names the flag if the file cannot be opened.
absl::StatusOr<std::unique_ptr<LogOutput>> OpenLogOutput(const std::string& name);

}  // namespace conclave::server
