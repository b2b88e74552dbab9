// A line of the log on its way from the caller to the thread that writes it: encoded cheaply on the
// caller's lane, formatted on the other side. Used by log_session.cc only. Pure functions, any
// lane.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "fmt/format.h"
#include "server/logging/log.h"

namespace conclave::server {

using RecordBuffer = fmt::basic_memory_buffer<char, 512>;

// Appends the record of one line to `buffer`.
void EncodeRecord(LogLevel level, std::string_view message, std::initializer_list<LogField> fields,
                  RecordBuffer& buffer);

enum class LineFormat {
  kHuman,  // 2026-01-02T03:04:05.678Z INFO  became leader term=5
  kJson,   // {"ts":"2026-01-02T03:04:05.678Z","level":"info","msg":"became leader","term":5}
};

// The line of a record, with its newline; one line whatever the texts hold, and valid UTF-8.
std::string FormatRecord(std::string_view record, std::chrono::system_clock::time_point when,
                         LineFormat format);

}  // namespace conclave::server
