#include "jepsen-style-tests/checker/register_operation.h"

#include <fmt/format.h>

namespace conclave::checker {

RegisterValue StoredBy(const RegisterOperation& operation) {
  return operation.kind == RegisterKind::kDelete ? std::nullopt : operation.value;
}

bool StoredNothing(const RegisterOperation& operation) {
  return operation.kind == RegisterKind::kRead ||
         (operation.kind == RegisterKind::kCompareAndSet && operation.outcome == Outcome::kOk &&
          !operation.succeeded);
}

std::string Quoted(const RegisterValue& value) {
  return value.has_value() ? fmt::format("\"{}\"", *value) : "nothing";
}

std::string ToString(const RegisterOperation& operation) {
  std::string what;
  switch (operation.kind) {
    case RegisterKind::kRead:
      what = operation.outcome == Outcome::kOk ? "read " + Quoted(operation.value) : "read";
      break;
    case RegisterKind::kWrite:
      what = "write " + Quoted(operation.value);
      break;
    case RegisterKind::kDelete:
      what = "delete";
      break;
    case RegisterKind::kCompareAndSet:
      what = fmt::format("compare-and-set {} to {}", Quoted(operation.expected),
                         Quoted(operation.value));
      if (operation.outcome == Outcome::kOk) what += operation.succeeded ? ": done" : ": refused";
      break;
  }
  return fmt::format("#{} process {}: {}, {}", operation.id, operation.process, what,
                     ToString(operation.outcome, operation.called_ns, operation.returned_ns));
}

}  // namespace conclave::checker
