#include "client/bench/bench_options.h"

#include <CLI/CLI.hpp>
#include <map>

namespace conclave::client {
namespace {

// Longer than any key that a client should use, shorter than what a request may be.
constexpr std::size_t kKeySizeMax = 64 * 1024;
constexpr std::size_t kValueSizeMax = 16 * 1024 * 1024;
constexpr std::size_t kKeySizeMin = 8;
constexpr std::size_t kOutstandingMax = 100'000;
constexpr std::uint64_t kOperationsMax = 1'000'000'000'000;

constexpr std::size_t kWatchValueMin = 20;  // a number in decimal

const std::map<std::string, BenchOperation> kOperations{
    {"put", BenchOperation::kPut},     {"range", BenchOperation::kRange},
    {"txn", BenchOperation::kTxn},     {"mixed", BenchOperation::kMixed},
    {"watch", BenchOperation::kWatch}, {"keepalive", BenchOperation::kKeepAlive}};

void AddOptions(CLI::App& app, BenchOptions& options) {
  app.add_option("--endpoints", options.endpoints, "host:port, comma-separated")->delimiter(',');
  app.add_option(
         "--op", options.operation,
         "put, range, txn (compare and put), mixed, watch (puts of one key to --watchers) or "
         "keepalive")
      ->transform(CLI::CheckedTransformer(kOperations));
  app.add_option("--outstanding,--clients", options.outstanding, "calls in flight")
      ->check(CLI::Range(std::size_t{1}, kOutstandingMax));
  app.add_option("--connections", options.connections, "connections in all (0: one per endpoint)")
      ->check(CLI::Range(std::size_t{0}, kOutstandingMax));
  app.add_option("--rate", options.rate,
                 "calls a second, each charged from when it was due (0: as fast as answers come)")
      ->check(CLI::Range(0U, 10'000'000U));
  app.add_option("--watchers", options.watchers, "of a watch load, spread over the connections")
      ->check(CLI::Range(1U, 1'000'000U));
  app.add_option("--leases", options.leases, "of a keepalive load")
      ->check(CLI::Range(1U, 10'000'000U));
  app.add_option("--ops", options.operations, "how many calls (0: for the duration)")
      ->check(CLI::Range(std::uint64_t{0}, kOperationsMax));
  app.add_option("--key-size", options.key_size, "bytes")
      ->check(CLI::Range(kKeySizeMin, kKeySizeMax));
  app.add_option("--value-size", options.value_size, "bytes")
      ->check(CLI::Range(std::size_t{0}, kValueSizeMax));
  app.add_option("--key-space", options.key_space, "how many different keys")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}));
  app.add_option("--read-percent", options.read_percent, "reads of a mixed load")
      ->check(CLI::Range(0U, 100U));
  app.add_option("--seed", options.seed, "of the order of keys");
  app.add_option("--server-pids", options.server_pids,
                 "processes whose time and device bytes per operation are reported")
      ->delimiter(',');
  app.add_flag("--sequential", options.sequential, "keys in order instead of at random");
  app.add_flag("--serializable", options.serializable, "reads need no quorum");
  app.add_flag("--request-ids", options.request_ids, "every put has a request id of its own");
  app.add_flag("--filled", options.filled, "all keys are there: do not put them before reads");
  app.add_flag("--target-leader", options.target_leader, "all calls to the leader's endpoint");
  app.add_flag("--json", options.json, "print one JSON object instead of a table");
  app.add_option("--html", options.page, "also write a page with plots to this file");
}

std::chrono::milliseconds Millis(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

}  // namespace

const char* NameOf(BenchOperation operation) {
  for (const auto& [name, each] : kOperations) {
    if (each == operation) return name.c_str();
  }
  return "unknown";
}

absl::StatusOr<BenchOptions> ParseBenchOptions(int argc, const char* const* argv) {
  BenchOptions options;
  double call_timeout_s = 10;
  double duration_s = 10;
  double warm_up_s = 1;
  CLI::App app("Measures a cluster that serves etcd's v3 API.", "conclave-bench");
  AddOptions(app, options);
  app.add_option("--timeout", call_timeout_s, "seconds after which a call has failed")
      ->check(CLI::Range(0.001, 1e6));
  app.add_option("--duration", duration_s, "seconds to measure")->check(CLI::Range(0.01, 1e6));
  app.add_option("--warm-up", warm_up_s, "seconds before that")->check(CLI::Range(0.0, 1e6));
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return absl::CancelledError(app.help());
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(error.what());
  }
  if (options.operation == BenchOperation::kWatch && options.value_size < kWatchValueMin) {
    return absl::InvalidArgumentError(
        "--value-size: a watch load needs 20 bytes or more, for the time of the put");
  }
  options.call_timeout = Millis(call_timeout_s);
  options.duration = Millis(duration_s);
  options.warm_up = Millis(warm_up_s);
  if (options.connections == 0) {
    options.connections = options.target_leader ? 1 : options.endpoints.size();
  }
  return options;
}

}  // namespace conclave::client
