// The vocabulary of the history checkers: how an operation ended, what a checker concludes, and the
// report it hands back. Included by every checker and by whatever records histories (simulated or
// real clusters). Plain values, any lane. Nothing here prints or stops anything.
//
// Times of a history are nanoseconds of one true clock, the recorder's. An operation precedes
// another only if it returned strictly before the other was called: ties count as concurrent, which
// can hide an anomaly but never invents one.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace conclave::checker {

// How an operation ended, as its client saw it.
enum class Outcome {
  kOk,    // acknowledged
  kFail,  // certainly not applied, neither now nor later
  kInfo,  // unknown: it may apply at any time after its call, or never
};

enum class Verdict {
  kPass,
  kFail,
  kUnknown,  // the budget ran out before an answer
  kInvalid,  // too little happened, or the workload broke a rule of the checker: it means nothing
};

// `returned_ns` of an operation whose outcome is kInfo.
inline constexpr int64_t kNeverReturned = std::numeric_limits<int64_t>::max();

// What a checker says about one history. Only kPass is green.
struct Report {
  std::string checker;  // its stable name, such as "linearizability"
  Verdict verdict = Verdict::kInvalid;
  std::string anomaly;      // stable short name, such as "G1c" or "stale-read"; empty unless kFail
  std::string explanation;  // for people, several lines: the operations involved; empty on kPass
  uint64_t checked = 0;     // how much was checked, in `unit`
  std::string unit;         // "operations", "transactions", "events", ...

  bool passed() const { return verdict == Verdict::kPass; }
};

std::string_view ToString(Outcome outcome);  // "ok", "fail", "info"
std::string_view ToString(Verdict verdict);  // "PASS", "FAIL", "UNKNOWN", "INVALID"
// One line without the explanation: "linearizability: FAIL stale-read (812 operations)".
std::string ToString(const Report& report);
// How and when an operation ended: "ok, from 1200 ns to 1900 ns", "info, from 1200 ns".
std::string ToString(Outcome outcome, int64_t called_ns, int64_t returned_ns);

}  // namespace conclave::checker
