#include "jepsen-style-tests/crash/journal.h"

#include <fmt/format.h>

#include <sstream>
#include <unordered_set>
#include <utility>

namespace conclave::crash {

absl::StatusOr<JournalWriter> JournalWriter::Create(const std::string& path) {
  std::ofstream file(path, std::ios::trunc);
  if (!file) return absl::UnavailableError("cannot write " + path);
  return JournalWriter(std::move(file));
}

void JournalWriter::Acknowledge(std::uint64_t number, std::int64_t revision,
                                std::chrono::steady_clock::time_point began,
                                std::chrono::steady_clock::time_point ended) {
  using std::chrono::duration_cast;
  using std::chrono::microseconds;
  file_ << number << ' ' << revision << ' '
        << duration_cast<microseconds>(ended.time_since_epoch()).count() << ' '
        << duration_cast<microseconds>(ended - began).count() << '\n';
  if (ended - flushed_ < kFlushEvery) return;
  flushed_ = ended;
  Flush();
}

void JournalWriter::Flush() { file_.flush(); }

absl::StatusOr<std::unordered_map<std::uint64_t, std::int64_t>> ReadJournal(
    const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError("no journal " + path);
  std::unordered_map<std::uint64_t, std::int64_t> revisions;
  std::unordered_set<std::int64_t> seen;
  std::string line;
  while (std::getline(file, line) && !file.eof()) {
    std::uint64_t number = 0;
    std::int64_t revision = 0;
    if (!(std::istringstream(line) >> number >> revision)) {
      return absl::DataLossError(fmt::format("not a line of a journal: '{}'", line));
    }
    if (!revisions.emplace(number, revision).second) {
      return absl::DataLossError(fmt::format("write {} was acknowledged twice", number));
    }
    if (!seen.insert(revision).second) {
      return absl::DataLossError(
          fmt::format("two writes were acknowledged with revision {}", revision));
    }
  }
  return revisions;
}

}  // namespace conclave::crash
