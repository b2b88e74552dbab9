#include "client/bench/bench_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

namespace conclave::client {
namespace {

constexpr std::pair<const char*, double> kPercentiles[] = {
    {"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}};

double Seconds(const BenchResult& result) {
  return std::chrono::duration<double>(result.elapsed).count();
}

double OperationsPerSecond(const BenchResult& result) {
  return result.elapsed.count() == 0 ? 0 : static_cast<double>(result.operations) / Seconds(result);
}

double Micros(std::int64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1000; }

std::optional<double> CpuMicrosPerOperation(const BenchResult& result) {
  if (!result.server_cpu || result.operations == 0) return std::nullopt;
  return static_cast<double>(result.server_cpu->count()) / static_cast<double>(result.operations);
}

}  // namespace

std::string ToTable(const BenchOptions& options, const BenchResult& result) {
  std::string text = fmt::format(
      "{} of {}-byte keys and {}-byte values, {} outstanding on {} connections\n"
      "  operations   {:>12} in {:.2f} s\n"
      "  per second   {:>12.0f}\n"
      "  errors       {:>12}{}\n",
      NameOf(options.operation), options.key_size, options.value_size, options.outstanding,
      options.connections, result.operations, Seconds(result), OperationsPerSecond(result),
      result.errors, result.first_error.empty() ? "" : "  first: " + result.first_error);
  for (const auto& [name, percent] : kPercentiles) {
    text +=
        fmt::format("  {:<12} {:>12.0f} us\n", name, Micros(result.latency.PercentileNs(percent)));
  }
  text += fmt::format("  {:<12} {:>12.0f} us\n", "max", Micros(result.latency.max_ns()));
  if (const auto cpu = CpuMicrosPerOperation(result)) {
    text += fmt::format("  {:<12} {:>12.1f} us per operation\n", "server CPU", *cpu);
  }
  return text;
}

std::string ToJson(const BenchOptions& options, const BenchResult& result) {
  nlohmann::ordered_json json{
      {"op", NameOf(options.operation)},    {"outstanding", options.outstanding},
      {"connections", options.connections}, {"key_size", options.key_size},
      {"value_size", options.value_size},   {"seconds", Seconds(result)},
      {"operations", result.operations},    {"errors", result.errors},
      {"first_error", result.first_error},  {"ops_per_s", OperationsPerSecond(result)},
  };
  for (const auto& [name, percent] : kPercentiles) {
    json["latency_us"][name] = Micros(result.latency.PercentileNs(percent));
  }
  json["latency_us"]["max"] = Micros(result.latency.max_ns());
  const auto cpu = CpuMicrosPerOperation(result);
  json["server_cpu_us_per_op"] = cpu ? nlohmann::ordered_json(*cpu) : nlohmann::ordered_json();
  return json.dump() + "\n";
}

}  // namespace conclave::client
