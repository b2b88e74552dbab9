#include "jepsen-style-tests/checker/verdict.h"

#include <fmt/format.h>

#include "raft/base/check.h"

namespace conclave::checker {

std::string_view ToString(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOk:
      return "ok";
    case Outcome::kFail:
      return "fail";
    case Outcome::kInfo:
      return "info";
  }
  CHECK_MSG(false, "no such outcome");
}

std::string_view ToString(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "PASS";
    case Verdict::kFail:
      return "FAIL";
    case Verdict::kUnknown:
      return "UNKNOWN";
    case Verdict::kInvalid:
      return "INVALID";
  }
  CHECK_MSG(false, "no such verdict");
}

std::string ToString(const Report& report) {
  return fmt::format("{}: {}{}{} ({} {})", report.checker, ToString(report.verdict),
                     report.anomaly.empty() ? "" : " ", report.anomaly, report.checked,
                     report.unit);
}

std::string ToString(Outcome outcome, int64_t called_ns, int64_t returned_ns) {
  if (outcome == Outcome::kInfo || returned_ns == kNeverReturned) {
    return fmt::format("{}, from {} ns", ToString(outcome), called_ns);
  }
  return fmt::format("{}, from {} ns to {} ns", ToString(outcome), called_ns, returned_ns);
}

}  // namespace conclave::checker
