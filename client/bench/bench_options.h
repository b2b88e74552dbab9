// What conclave-bench is asked to do, and how that is read from its command line. Used once, at its
// start.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace conclave::client {

enum class BenchOperation { kPut, kRange, kTxn, kMixed, kWatch, kKeepAlive };

struct BenchOptions {
  std::vector<std::string> endpoints{"127.0.0.1:2379"};
  BenchOperation operation = BenchOperation::kPut;
  std::size_t outstanding = 64;  // calls in flight, over all connections
  std::size_t connections = 0;   // 0: one per endpoint
  std::uint32_t rate = 0;  // calls a second, however late the answers; 0: as fast as they come
  std::chrono::milliseconds call_timeout{10'000};
  std::chrono::milliseconds duration{10'000};
  std::uint64_t operations =
      0;  // 0: until the duration is over; else as many, however long they take
  std::chrono::milliseconds warm_up{1'000};  // before what is counted
  std::size_t key_size = 16;                 // bytes
  std::size_t value_size = 256;              // bytes
  std::uint64_t key_space = 10'000;          // how many different keys
  std::uint32_t read_percent = 50;           // of a mixed load
  bool sequential = false;                   // keys in order, not at random
  bool serializable = false;                 // reads
  bool request_ids = false;                  // puts carry ids, all different
  bool filled = false;                       // every key is there: reads need not put them first
  bool target_leader = false;                // all calls to the leader, found among the endpoints
  std::uint64_t seed = 1;                    // of the order of keys
  std::uint32_t watchers = 1'000;            // of the one key of a watch load
  std::uint32_t leases = 10'000;             // of a keepalive load
  std::vector<int> server_pids;              // whose processor time and writes are reported
  bool json = false;
  std::string page;  // where an HTML page is written; empty: none
};

// Reads the command line. Cancelled with the help text when that was asked for; InvalidArgument
// with one line that says what is wrong.
absl::StatusOr<BenchOptions> ParseBenchOptions(int argc, const char* const* argv);

// As on the command line: "put", "range", "txn", "mixed", "watch" or "keepalive".
const char* NameOf(BenchOperation operation);

}  // namespace conclave::client
