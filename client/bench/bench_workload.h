// The unary calls of conclave-bench: which key and which method comes next, and the account of what
// came of it. RunUnaryLoad calls them, on its one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/bench/bench_options.h"
#include "client/bench/measurement.h"
#include "client/load/request_template.h"
#include "client/load/unary_load.h"

namespace conclave::client {

// Puts every key of a bench once, so that its reads find something.
class FillWorkload : public LoadWorkload {
 public:
  explicit FillWorkload(const BenchOptions& options);
  bool Next(std::size_t slot, LoadCall* call) override;
  // A put that failed is made again.
  void Done(std::size_t slot, const LoadOutcome& outcome) override;

 private:
  const std::size_t connections_;
  const std::uint64_t key_space_;
  RequestTemplate puts_;
  std::vector<std::uint64_t> key_of_slot_;
  std::vector<std::uint64_t> again_;
  std::uint64_t next_ = 0;
};

// Puts, ranges, transactions, or puts and ranges mixed.
class BenchWorkload : public LoadWorkload {
 public:
  BenchWorkload(const BenchOptions& options, Measurement& measurement);
  bool Next(std::size_t slot, LoadCall* call) override;
  void Done(std::size_t slot, const LoadOutcome& outcome) override;

 private:
  std::uint64_t NextRandom();
  std::uint64_t NextKey();
  std::string NextRequestId();

  const BenchOptions options_;
  Measurement& measurement_;
  RequestTemplate puts_;
  RequestTemplate ranges_;
  RequestTemplate txns_;
  std::uint64_t random_;
  std::uint64_t sequence_ = 0;
  const std::string request_ids_;  // what all of this run begin with
  std::uint64_t request_id_ = 0;
};

// The pairs that a bench works on.
PairShape ShapeOf(const BenchOptions& options);

}  // namespace conclave::client
