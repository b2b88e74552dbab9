// What a checker found: how often it looked at a rule, and the words for each breach. Several
// checkers may share one. Words are made only when a rule is broken, so that looking is cheap.
// Tests and simulation only; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"

namespace conclave::raft {

class Findings {
 public:
  // Returns `holds`; if it is false, the formatted words become a problem.
  template <typename... Args>
  bool Expect(bool holds, fmt::format_string<Args...> words, Args&&... args) {
    ++checked_;
    if (!holds) Report(fmt::format(words, std::forward<Args>(args)...));
    return holds;
  }

  void Report(std::string problem) {
    // One breach is often seen again after every event.
    if (problems_.size() < kProblemsMax) problems_.push_back(std::move(problem));
  }

  // Empty if all is well.
  const std::vector<std::string>& problems() const { return problems_; }
  uint64_t checked() const { return checked_; }

 private:
  static constexpr size_t kProblemsMax = 1000;

  std::vector<std::string> problems_;
  uint64_t checked_ = 0;
};

}  // namespace conclave::raft
