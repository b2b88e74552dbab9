#include "jepsen-style-tests/checker/linearizability.h"

#include <absl/container/flat_hash_map.h>
#include <fmt/format.h>

#include <map>
#include <string_view>
#include <utility>

#include "jepsen-style-tests/checker/register_anomalies.h"
#include "jepsen-style-tests/checker/register_search.h"
#include "raft/base/check.h"

namespace conclave::checker {
namespace {

using Guard = Transition::Guard;
using Operations = std::vector<const RegisterOperation*>;

// How many operations of the longest order an explanation shows.
constexpr size_t kPrefixShown = 12;

// Numbers for the values of one key.
class ValueIds {
 public:
  // Gives numbers to what the operations compare the register with; all else is kUnobserved.
  explicit ValueIds(const Operations& operations) {
    for (const RegisterOperation* operation : operations) {
      if (operation->kind == RegisterKind::kCompareAndSet) {
        Add(operation->expected);
      } else if (operation->kind == RegisterKind::kRead && operation->outcome == Outcome::kOk) {
        Add(operation->value);
      }
    }
  }

  ValueId Of(const RegisterValue& value) const {
    if (!value.has_value()) return kAbsent;
    const auto it = ids_.find(*value);
    return it == ids_.end() ? kUnobserved : it->second;
  }
  size_t count() const { return kFirstValue + ids_.size(); }

 private:
  void Add(const RegisterValue& value) {
    if (value.has_value()) ids_.try_emplace(*value, static_cast<ValueId>(count()));
  }

  absl::flat_hash_map<std::string_view, ValueId> ids_;
};

// The effect of an operation that is not kFail; without guard and store if it has none.
Transition TransitionOf(const RegisterOperation& operation, const ValueIds& ids) {
  Transition transition;
  const bool certain = operation.outcome == Outcome::kOk;
  switch (operation.kind) {
    case RegisterKind::kRead:
      if (certain) transition.guard = Guard::kEquals;
      transition.guarded = ids.Of(operation.value);
      break;
    case RegisterKind::kWrite:
    case RegisterKind::kDelete:
      transition.stored = ids.Of(StoredBy(operation));
      break;
    case RegisterKind::kCompareAndSet:
      transition.guarded = ids.Of(operation.expected);
      if (certain && !operation.succeeded) {
        transition.guard = Guard::kDiffers;
      } else {
        transition.guard = Guard::kEquals;
        if (operation.value != operation.expected) transition.stored = ids.Of(operation.value);
      }
      break;
  }
  transition.called_ns = operation.called_ns;
  transition.returned_ns = certain ? operation.returned_ns : kNeverReturned;
  return transition;
}

SearchResult SearchKey(const Operations& operations, uint64_t steps_max) {
  const ValueIds ids(operations);
  std::vector<Transition> transitions;
  transitions.reserve(operations.size());
  for (size_t i = 0; i < operations.size(); ++i) {
    if (operations[i]->outcome == Outcome::kFail) continue;
    transitions.push_back(TransitionOf(*operations[i], ids));
    transitions.back().source = i;
  }
  return SearchLinearization(transitions, ids.count(), steps_max);
}

// The register's value after the operations took effect in this order.
RegisterValue ValueAfter(const Operations& order) {
  RegisterValue value;
  for (const RegisterOperation* operation : order) {
    if (!StoredNothing(*operation)) value = StoredBy(*operation);
  }
  return value;
}

std::string ExplainPrefix(const Operations& operations, const SearchResult& result) {
  Operations order;
  for (size_t source : result.prefix) order.push_back(operations[source]);
  std::string text = fmt::format("the longest order found places {} of {} operations:\n",
                                 order.size(), operations.size());
  const size_t first = order.size() > kPrefixShown ? order.size() - kPrefixShown : 0;
  if (first > 0) text += fmt::format("  ... {} more before\n", first);
  for (size_t i = first; i < order.size(); ++i) text += "  " + ToString(*order[i]) + "\n";
  text += fmt::format("then the register holds {}, and there is no place for\n",
                      Quoted(ValueAfter(order)));
  for (size_t source : result.stuck) text += "  " + ToString(*operations[source]) + "\n";
  return text;
}

// Sets verdict, anomaly and explanation; leaves a report that this key does not worsen as it is.
void JudgeKey(const std::string& key, const Operations& operations, uint64_t steps_max,
              Report* report) {
  const SearchResult result = SearchKey(operations, steps_max);
  if (result.verdict == Verdict::kPass) return;
  const std::optional<RegisterAnomaly> anomaly = NameRegisterAnomaly(operations);
  const bool failed = result.verdict == Verdict::kFail || anomaly.has_value();
  if (!failed && report->verdict == Verdict::kUnknown) return;
  report->verdict = failed ? Verdict::kFail : Verdict::kUnknown;
  report->explanation = fmt::format("key \"{}\":\n", key);
  if (anomaly.has_value()) report->explanation += anomaly->proof;
  if (failed) report->anomaly = anomaly.has_value() ? anomaly->name : "nonlinearizable";
  if (!failed) report->explanation += fmt::format("no answer in {} steps\n", result.steps);
  report->explanation += ExplainPrefix(operations, result);
}

}  // namespace

Report CheckLinearizable(const std::vector<RegisterOperation>& history,
                         const LinearizabilityOptions& options) {
  Report report{.checker = "linearizability",
                .verdict = Verdict::kPass,
                .anomaly = {},
                .explanation = {},
                .checked = 0,
                .unit = "operations"};
  std::map<std::string_view, Operations> all;  // with those that failed, for the names
  uint64_t ok_operations = 0;
  for (const RegisterOperation& operation : history) {
    all[operation.key].push_back(&operation);
    if (operation.outcome != Outcome::kFail) ++report.checked;
    if (operation.outcome != Outcome::kOk) continue;
    ++ok_operations;
    CHECK(operation.called_ns <= operation.returned_ns && operation.returned_ns != kNeverReturned);
  }
  for (const auto& [key, operations] : all) {
    JudgeKey(std::string(key), operations, options.steps_max, &report);
    if (report.verdict == Verdict::kFail) return report;
  }
  if (report.passed() && ok_operations < options.ok_operations_min) {
    report.verdict = Verdict::kInvalid;
    report.explanation = fmt::format("only {} operations were acknowledged, {} are needed\n",
                                     ok_operations, options.ok_operations_min);
  }
  return report;
}

}  // namespace conclave::checker
