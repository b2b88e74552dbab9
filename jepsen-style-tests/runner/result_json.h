// A run's result as JSON, for programs and for the way from a child process to its parent. Called
// by the swarm, the mutants and the program itself. Any thread.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "jepsen-style-tests/runner/run.h"

namespace conclave::sim {

std::string ToJson(const RunResult& result);
// InvalidArgument if it is not what ToJson wrote. Reports and options do not travel.
absl::StatusOr<RunResult> ResultFromJson(const std::string& text);

}  // namespace conclave::sim
