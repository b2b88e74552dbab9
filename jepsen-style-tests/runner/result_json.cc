#include "jepsen-style-tests/runner/result_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace conclave::sim {

using nlohmann::json;

std::string ToJson(const RunResult& result) {
  const json object = {{"seed", result.seed},
                       {"verdict", static_cast<int>(result.verdict)},
                       {"verdict_name", std::string(checker::ToString(result.verdict))},
                       {"failed_by", result.failed_by},
                       {"explanation", result.explanation},
                       {"last_lines", result.last_lines},
                       {"trace_hash", result.trace_hash},
                       {"simulated_s", result.simulated_s},
                       {"events", result.events},
                       {"operations", result.operations},
                       {"faults", result.faults},
                       {"probes", result.probes}};
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

absl::StatusOr<RunResult> ResultFromJson(const std::string& text) {
  RunResult result;
  int verdict = 0;
  try {
    const json object = json::parse(text);
    object.at("seed").get_to(result.seed);
    object.at("verdict").get_to(verdict);
    object.at("failed_by").get_to(result.failed_by);
    object.at("explanation").get_to(result.explanation);
    object.at("last_lines").get_to(result.last_lines);
    object.at("trace_hash").get_to(result.trace_hash);
    object.at("simulated_s").get_to(result.simulated_s);
    object.at("events").get_to(result.events);
    object.at("operations").get_to(result.operations);
    object.at("faults").get_to(result.faults);
    object.at("probes").get_to(result.probes);
  } catch (const json::exception& wrong) {
    return absl::InvalidArgumentError(fmt::format("no result of a run: {}", wrong.what()));
  }
  if (verdict < 0 || verdict > static_cast<int>(checker::Verdict::kInvalid)) {
    return absl::InvalidArgumentError(fmt::format("no result of a run: verdict {}", verdict));
  }
  result.verdict = static_cast<checker::Verdict>(verdict);
  return result;
}

}  // namespace conclave::sim
