// conclave-bench: puts or reads at a fixed number of outstanding calls, and says how fast, how late
// and at what cost.

#include <fmt/format.h>

#include <cstdio>

#include "client/bench/bench_options.h"
#include "client/bench/bench_report.h"
#include "client/bench/bench_workload.h"
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

int Run(BenchOptions options) {
  if (options.target_leader) {
    const auto leader = FindLeader(options.endpoints);
    if (!leader.ok()) {
      fmt::print(stderr, "conclave-bench: {}\n", MessageOf(leader.status()));
      return 1;
    }
    options.endpoints = {*leader};
  }
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (std::size_t i = 0; i < options.connections; ++i) {
    channels.push_back(OpenChannel(options.endpoints[i % options.endpoints.size()]));
  }
  const LoadOptions load{.outstanding = options.outstanding};
  if (options.operation != BenchOperation::kPut) {
    FillWorkload fill(options);
    RunUnaryLoad(channels, load, fill);
  }
  BenchWorkload workload(options);
  RunUnaryLoad(channels, load, workload);
  const BenchResult& result = workload.result();
  fmt::print("{}", options.json ? ToJson(options, result) : ToTable(options, result));
  return result.operations == 0 ? 1 : 0;
}

}  // namespace
}  // namespace conclave::client

int main(int argc, char** argv) {
  auto options = conclave::client::ParseBenchOptions(argc, argv);
  if (options.status().code() == absl::StatusCode::kCancelled) {
    fmt::print("{}", conclave::MessageOf(options.status()));
    return 0;
  }
  if (!options.ok()) {
    fmt::print(stderr, "conclave-bench: {}\n", conclave::MessageOf(options.status()));
    return 1;
  }
  return conclave::client::Run(*std::move(options));
}
