// For tests that damage valid histories and want the damage found and named: a table of damages,
// each tried on many seeds. Test code.
#pragma once

#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "jepsen-style-tests/checker/generated_history.h"
#include "jepsen-style-tests/checker/verdict.h"
#include "raft/base/random.h"

namespace conclave::checker {

struct Damage {
  const char* name;     // of the test
  const char* anomaly;  // what it must be found as
  // Damages the history and returns true, or leaves it alone if there is nothing to damage.
  std::function<bool(GeneratedHistory&, Random&)> inflict;
};

inline std::ostream& operator<<(std::ostream& out, const Damage& damage) {
  return out << damage.name;
}

inline std::string NameOf(const testing::TestParamInfo<Damage>& info) { return info.param.name; }

inline const std::vector<GeneratedHistory>& ValidHistories() {
  static const auto* const kHistories = [] {
    auto* histories = new std::vector<GeneratedHistory>;
    for (uint64_t seed = 0; seed < 40; ++seed) histories->push_back(GenerateHistory(seed));
    return histories;
  }();
  return *kHistories;
}

// Every damage must be possible on a good part of the seeds, and found on all of those.
template <typename Check>
void ExpectFound(const Damage& damage, Check check) {
  constexpr int kInflictedMin = 10;
  int inflicted = 0;
  for (size_t seed = 0; seed < ValidHistories().size(); ++seed) {
    GeneratedHistory history = ValidHistories()[seed];
    Random random(seed);
    if (!damage.inflict(history, random)) continue;
    ++inflicted;
    const Report report = check(history);
    EXPECT_EQ(report.verdict, Verdict::kFail) << "seed " << seed;
    EXPECT_EQ(report.anomaly, damage.anomaly) << "seed " << seed << "\n" << report.explanation;
    EXPECT_NE(report.explanation, "");
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GE(inflicted, kInflictedMin);
}

// A random one of `items` that `suits`, or null.
template <typename T, typename Suits>
T* Pick(std::vector<T>& items, Random& random, Suits suits) {
  std::vector<T*> suitable;
  for (T& item : items) {
    if (suits(item)) suitable.push_back(&item);
  }
  return suitable.empty() ? nullptr : suitable[random.Below(suitable.size())];
}

// `log` with the events of one revision changed by `edit`.
inline EventLog Edited(const EventLog& log, int64_t revision,
                       const std::function<void(std::vector<KvEvent>&)>& edit) {
  EventLog edited;
  for (int64_t at = 2; at <= log.last_revision(); ++at) {
    std::vector<KvEvent> events = log.At(at);
    if (at == revision) edit(events);
    edited.Add(at, std::move(events), log.applied_ns(at));
  }
  return edited;
}

}  // namespace conclave::checker
