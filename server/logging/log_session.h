// The life of the log: from Start, called by main once the flags are known, until its destruction,
// lines of Log (log.h) are written by a thread of their own. Between callers and that thread is a
// queue with a bound: when the thread cannot keep up, the oldest lines are dropped, counted, and
// their number is logged. One session at a time in a process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "raft/base/time.h"
#include "server/logging/log.h"
#include "server/logging/log_output.h"

namespace conclave::server {

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  bool json = false;
  std::vector<std::string> outputs = {"default"};  // see OpenLogOutput
  size_t queue_lines_max = 8192;                   // about 400 bytes each, taken at the start
};

class LogSession {
 public:
  // Opens the outputs and becomes the process's log; a failed CHECK or Fatal (raft/base/check.h) is
  // from then on logged and flushed before the process ends. InvalidArgument if an output cannot be
  // opened.
  static absl::StatusOr<std::unique_ptr<LogSession>> Start(const LogOptions& options);
  // Likewise, on outputs of the caller's.
  static std::unique_ptr<LogSession> StartOn(const LogOptions& options,
                                             std::vector<std::unique_ptr<LogOutput>> outputs);

  // Writes what is queued, but waits no longer than a few seconds for an output that hangs. All
  // other threads that log must have ended, or they risk to log into a session that is gone.
  ~LogSession();
  LogSession(const LogSession&) = delete;
  LogSession& operator=(const LogSession&) = delete;

  // Waits until all lines so far are written or dropped; false if that takes longer than `limit`.
  // Any thread.
  bool Flush(Duration limit);

  // Lines lost so far because the queue was full. Any thread.
  uint64_t dropped_total() const;

 private:
  friend bool LogEnabled(LogLevel level);
  friend void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields);
  struct Backend;

  LogSession(const LogOptions& options, std::vector<std::unique_ptr<LogOutput>> outputs);

  const LogLevel level_;
  std::unique_ptr<Backend> backend_;
};

}  // namespace conclave::server
