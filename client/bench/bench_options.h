// What conclave-bench is asked to do, and how that is read from its command line. Used once, at its
// start.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace conclave::client {

enum class BenchOperation { kPut, kRange, kMixed };

struct BenchOptions {
  std::vector<std::string> endpoints{"127.0.0.1:2379"};
  BenchOperation operation = BenchOperation::kPut;
  std::size_t outstanding = 64;  // calls in flight, over all connections
  std::size_t connections = 0;   // 0: one per endpoint
  std::chrono::milliseconds duration{10'000};
  std::uint64_t operations =
      0;  // 0: until the duration is over; else as many, however long they take
  std::chrono::milliseconds warm_up{1'000};  // before what is counted
  std::size_t key_size = 16;                 // bytes
  std::size_t value_size = 256;              // bytes
  std::uint64_t key_space = 10'000;          // how many different keys
  std::uint32_t read_percent = 50;           // of a mixed load
  bool serializable = false;                 // reads
  bool target_leader = false;                // all calls to the leader, found among the endpoints
  std::uint64_t seed = 1;                    // of the order of keys
  std::vector<int> server_pids;              // whose processor time is reported per operation
  bool json = false;
};

// Reads the command line. Cancelled with the help text when that was asked for; InvalidArgument
// with one line that says what is wrong.
absl::StatusOr<BenchOptions> ParseBenchOptions(int argc, const char* const* argv);

// "put", "range" or "mixed".
const char* NameOf(BenchOperation operation);

}  // namespace conclave::client
