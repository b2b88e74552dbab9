// A report in the making: keeps the first failure, because later ones are often its consequences.
// Used by the checkers; any lane.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "jepsen-style-tests/checker/verdict.h"

namespace conclave::checker {

class ReportDraft {
 public:
  ReportDraft(std::string_view checker, std::string_view unit) {
    report_.checker = checker;
    report_.verdict = Verdict::kPass;
    report_.unit = unit;
  }

  bool failed() const { return report_.verdict == Verdict::kFail; }
  void Fail(std::string_view anomaly, std::string explanation) {
    if (failed()) return;
    report_.verdict = Verdict::kFail;
    report_.anomaly = anomaly;
    report_.explanation = std::move(explanation);
  }
  // A failure stands all the same.
  void Invalidate(std::string explanation) {
    if (report_.verdict != Verdict::kPass) return;
    report_.verdict = Verdict::kInvalid;
    report_.explanation = std::move(explanation);
  }

  Report Finish(uint64_t checked) && {
    report_.checked = checked;
    return std::move(report_);
  }

 private:
  Report report_;
};

}  // namespace conclave::checker
