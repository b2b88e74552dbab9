// conclave-bench: a load on a cluster that serves etcd's v3 API, and how fast, how late and at what
// cost it was served.

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "client/bench/bench_options.h"
#include "client/bench/bench_page.h"
#include "client/bench/bench_report.h"
#include "client/bench/bench_workload.h"
#include "client/bench/keepalive_load.h"
#include "client/bench/watch_load.h"
#include "client/client.h"
#include "raft/base/text.h"

namespace conclave::client {
namespace {

// The endpoint whose member leads.
absl::StatusOr<std::string> FindLeader(const std::vector<std::string>& endpoints) {
  for (const std::string& endpoint : endpoints) {
    auto client = Client::Connect({.endpoints = {endpoint}});
    if (!client.ok()) return client.status();
    const auto status = (*client)->Status();
    if (!status.ok()) return status.status();
    if (status->leader() == status->header().member_id()) return endpoint;
  }
  return absl::NotFoundError("none of the endpoints leads the cluster");
}

bool Reads(BenchOperation operation) {
  return operation == BenchOperation::kRange || operation == BenchOperation::kMixed ||
         operation == BenchOperation::kTxn;
}

absl::Status Load(const BenchOptions& options, Measurement& measurement) {
  Http2Loop loop(options.endpoints, options.connections);
  if (options.operation == BenchOperation::kWatch) return RunWatchLoad(loop, options, measurement);
  if (options.operation == BenchOperation::kKeepAlive) {
    return RunKeepAliveLoad(loop, options, measurement);
  }
  if (Reads(options.operation) && !options.filled) {
    FillWorkload fill(options);
    RunUnaryLoad(loop, {.outstanding = options.outstanding}, fill);
  }
  BenchWorkload workload(options, measurement);
  RunUnaryLoad(loop,
               {.outstanding = options.outstanding,
                .call_timeout = options.call_timeout,
                .calls_per_second = options.rate},
               workload);
  return absl::OkStatus();
}

absl::Status Run(BenchOptions options) {
  if (options.target_leader) {
    const auto leader = FindLeader(options.endpoints);
    if (!leader.ok()) return leader.status();
    options.endpoints = {*leader};
  }
  Measurement::Progress progress;
  if (isatty(STDERR_FILENO) != 0) {
    progress = [](const BenchResult& result) {
      fmt::print(stderr, "\r\x1b[K{}", ToProgressLine(result));
    };
  }
  Measurement measurement(options, progress);
  const absl::Status ran = Load(options, measurement);
  if (progress) fmt::print(stderr, "\r\x1b[K");
  if (!ran.ok()) return ran;
  const BenchResult& result = measurement.result();
  fmt::print("{}", options.json ? ToJson(options, result) : ToTable(options, result));
  if (!options.page.empty() && !(std::ofstream(options.page) << ToPage(options, result))) {
    return absl::InvalidArgumentError("--html: cannot write " + options.page);
  }
  if (result.operations == 0) {
    return absl::UnavailableError("no operation succeeded: " + result.first_error);
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace conclave::client

int main(int argc, char** argv) {
  auto options = conclave::client::ParseBenchOptions(argc, argv);
  if (options.status().code() == absl::StatusCode::kCancelled) {
    fmt::print("{}", conclave::MessageOf(options.status()));
    return 0;
  }
  const absl::Status status =
      options.ok() ? conclave::client::Run(*std::move(options)) : options.status();
  if (status.ok()) return 0;
  fmt::print(stderr, "conclave-bench: {}\n", conclave::MessageOf(status));
  return 1;
}
