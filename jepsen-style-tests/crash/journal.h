// The record of acknowledged writes that the crash test holds the cluster to. Written by one thread
// while members are killed, read back afterwards. A line is "<number> <revision> <time> <took>":
// which write, the revision it was acknowledged with, when, in microseconds of the machine's
// monotonic clock, and how many microseconds after it was sent. gaps.py reads it too.
#pragma once

#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <unordered_map>

#include "absl/status/statusor.h"

namespace conclave::crash {

class JournalWriter {
 public:
  // Begins an empty journal in the file. Unavailable: it cannot be written.
  static absl::StatusOr<JournalWriter> Create(const std::string& path);

  // Notes an acknowledgement. It reaches the file within kFlushEvery of the next one, or at Flush.
  void Acknowledge(std::uint64_t number, std::int64_t revision,
                   std::chrono::steady_clock::time_point began,
                   std::chrono::steady_clock::time_point ended);
  void Flush();

  static constexpr std::chrono::milliseconds kFlushEvery{50};

 private:
  explicit JournalWriter(std::ofstream file) : file_(std::move(file)) {}

  std::ofstream file_;
  std::chrono::steady_clock::time_point flushed_;
};

// Revision by number of each acknowledged write. DataLoss: two writes were acknowledged with one
// revision, or one twice; NotFound: no such file. A last line without its end is not part of the
// journal.
absl::StatusOr<std::unordered_map<std::uint64_t, std::int64_t>> ReadJournal(
    const std::string& path);

}  // namespace conclave::crash
