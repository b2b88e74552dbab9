// What the server writes to its log: a message and named values. Any thread, any lane: a call
// copies its arguments into a bounded queue and returns; it never waits for a disk or a terminal
// (log_session.h), and lines are formatted elsewhere. Before a session is started and after it has
// ended, lines go nowhere. Not to repeat a line in a loop is up to the caller.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace conclave::server {

// Those of etcd's --log-level.
enum class LogLevel : uint8_t { kDebug, kInfo, kWarn, kError, kPanic, kFatal };

std::optional<LogLevel> ParseLogLevel(std::string_view name);
std::string_view LogLevelName(LogLevel level);

// A value of a field; texts are only read during the call of Log.
using LogScalar = std::variant<bool, int64_t, uint64_t, double, std::string_view>;

class LogValue {
 public:
  LogValue(bool value) : scalar_(value) {}
  template <std::signed_integral T>
  LogValue(T value) : scalar_(int64_t{value}) {}
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) LogValue(T value) : scalar_(uint64_t{value}) {}
  LogValue(double value) : scalar_(value) {}
  LogValue(const char* value) : scalar_(std::string_view(value)) {}
  LogValue(std::string_view value) : scalar_(value) {}
  LogValue(const std::string& value) : scalar_(std::string_view(value)) {}

  const LogScalar& scalar() const { return scalar_; }

 private:
  LogScalar scalar_;
};

struct LogField {
  std::string_view key;
  LogValue value;
};

// Whether a line of this level is written at all; a cheap way to skip the work of a debug line.
bool LogEnabled(LogLevel level);

// Log(LogLevel::kInfo, "became leader", {{"term", 5}, {"member", "8e9e05c52164694d"}});
void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

}  // namespace conclave::server
