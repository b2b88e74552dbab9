// What a run did, in two forms: a hash over everything, so that two runs can be compared to the
// last byte, and terse lines about what a person would want to know. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "raft/base/time.h"

namespace conclave::sim {

class Trace {
 public:
  // `print` gets every line as it comes; may be empty.
  explicit Trace(std::function<void(std::string_view line)> print = {})
      : print_(std::move(print)) {}

  void Mix(uint64_t value) { hash_ = (hash_ ^ value) * 0x9e3779b97f4a7c15u ^ (hash_ >> 29); }
  void Mix(std::string_view bytes);
  uint64_t hash() const { return hash_; }

  // A notable event at simulated time `now`. Part of the hash.
  void Note(Instant now, std::string_view text);
  // The last lines, oldest first.
  const std::deque<std::string>& last_lines() const { return lines_; }

 private:
  static constexpr size_t kLinesKept = 60;

  std::function<void(std::string_view line)> print_;
  uint64_t hash_ = 0x2545f4914f6cdd1du;
  std::deque<std::string> lines_;
};

}  // namespace conclave::sim
