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

template <typename T>
std::optional<double> PerOperation(const std::optional<T>& total, const BenchResult& result) {
  if (!total || result.operations == 0) return std::nullopt;
  return static_cast<double>(*total) / static_cast<double>(result.operations);
}

std::optional<double> ServerCpuPerOperation(const BenchResult& result) {
  if (!result.server_cpu) return std::nullopt;
  return PerOperation(std::optional(result.server_cpu->count()), result);
}

std::optional<double> ClientCpuPerOperation(const BenchResult& result) {
  return PerOperation(std::optional(result.client_cpu.count()), result);
}

// What one operation is.
std::string Description(const BenchOptions& options) {
  switch (options.operation) {
    case BenchOperation::kWatch:
      return fmt::format("events of one key to {} watchers, {}-byte values", options.watchers,
                         options.value_size);
    case BenchOperation::kKeepAlive:
      return fmt::format("keepalive of {} leases", options.leases);
    default:
      return fmt::format("{} of {}-byte keys and {}-byte values", NameOf(options.operation),
                         options.key_size, options.value_size);
  }
}

nlohmann::ordered_json OrNull(const std::optional<double>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

}  // namespace

std::string ToTable(const BenchOptions& options, const BenchResult& result) {
  std::string text = fmt::format(
      "{}, {} outstanding on {} connections\n"
      "  operations   {:>12} in {:.2f} s\n"
      "  per second   {:>12.0f}\n"
      "  errors       {:>12}{}\n",
      Description(options), options.outstanding, options.connections, result.operations,
      Seconds(result), OperationsPerSecond(result), result.errors,
      result.first_error.empty() ? "" : "  first: " + result.first_error);
  for (const auto& [name, percent] : kPercentiles) {
    text +=
        fmt::format("  {:<12} {:>12.0f} us\n", name, Micros(result.latency.PercentileNs(percent)));
  }
  text += fmt::format("  {:<12} {:>12.0f} us\n", "max", Micros(result.latency.max_ns()));
  text += fmt::format("  {:<12} {:>12.1f} ms\n", "longest gap",
                      Micros(result.longest_gap.count()) / 1000);
  if (const auto cpu = ServerCpuPerOperation(result)) {
    text += fmt::format("  {:<12} {:>12.1f} us per operation\n", "server CPU", *cpu);
  }
  if (const auto bytes = PerOperation(result.device_bytes, result)) {
    text += fmt::format("  {:<12} {:>12.0f} bytes per operation\n", "device", *bytes);
  }
  if (const auto cpu = ClientCpuPerOperation(result)) {
    text += fmt::format("  {:<12} {:>12.1f} us per operation\n", "client CPU", *cpu);
  }
  return text;
}

std::string ToProgressLine(const BenchResult& result) {
  const BenchInterval last = result.intervals.empty() ? BenchInterval() : result.intervals.back();
  return fmt::format(
      "{:6.1f} s  {:>12} operations  {:>9.0f}/s  p50 {:.0f} us  p99 {:.0f} us  {} errors",
      Seconds(result), result.operations, OperationsPerSecond(result), Micros(last.p50_ns),
      Micros(last.p99_ns), result.errors);
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
  json["longest_gap_ms"] = Micros(result.longest_gap.count()) / 1000;
  json["server_cpu_us_per_op"] = OrNull(ServerCpuPerOperation(result));
  json["device_bytes_per_op"] = OrNull(PerOperation(result.device_bytes, result));
  json["client_cpu_us_per_op"] = OrNull(ClientCpuPerOperation(result));
  return json.dump() + "\n";
}

}  // namespace conclave::client
