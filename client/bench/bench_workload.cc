#include "client/bench/bench_workload.h"

#include <fmt/format.h>

#include <random>

#include "raft/base/text.h"

namespace conclave::client {
namespace {

const std::string kPutMethod = "/etcdserverpb.KV/Put";
const std::string kRangeMethod = "/etcdserverpb.KV/Range";
const std::string kTxnMethod = "/etcdserverpb.KV/Txn";

std::uint64_t RandomNumber() {
  std::random_device random;
  return std::uint64_t{random()} << 32 | random();
}

}  // namespace

PairShape ShapeOf(const BenchOptions& options) {
  return {"b/", options.key_size, options.value_size};
}

FillWorkload::FillWorkload(const BenchOptions& options)
    : connections_(options.connections),
      key_space_(options.key_space),
      puts_(RequestTemplate::ForPut(ShapeOf(options))),
      key_of_slot_(options.outstanding) {}

bool FillWorkload::Next(std::size_t slot, LoadCall* call) {
  if (!again_.empty()) {
    key_of_slot_[slot] = again_.back();
    again_.pop_back();
  } else if (next_ < key_space_) {
    key_of_slot_[slot] = next_++;
  } else {
    return false;
  }
  call->method = &kPutMethod;
  call->connection = slot % connections_;
  call->request = puts_.Serialize(key_of_slot_[slot]);
  return true;
}

void FillWorkload::Done(std::size_t slot, const LoadOutcome& outcome) {
  if (!outcome.status.ok()) again_.push_back(key_of_slot_[slot]);
}

BenchWorkload::BenchWorkload(const BenchOptions& options, Measurement& measurement)
    : options_(options),
      measurement_(measurement),
      puts_(RequestTemplate::ForPut(ShapeOf(options))),
      ranges_(RequestTemplate::ForRange(ShapeOf(options), options.serializable)),
      txns_(RequestTemplate::ForCompareAndPut(ShapeOf(options))),
      random_(options.seed * 2 + 1),
      request_ids_(fmt::format("{:016x}-", RandomNumber())) {}

// Marsaglia's xorshift64: cheap, and the same keys for the same seed.
std::uint64_t BenchWorkload::NextRandom() {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_;
}

std::uint64_t BenchWorkload::NextKey() {
  if (options_.sequential) return sequence_++ % options_.key_space;
  return (NextRandom() >> 8) % options_.key_space;
}

std::string BenchWorkload::NextRequestId() {
  return options_.request_ids ? request_ids_ + std::to_string(++request_id_) : std::string();
}

bool BenchWorkload::Next(std::size_t slot, LoadCall* call) {
  if (measurement_.over()) return false;
  const std::uint64_t key = NextKey();
  const bool read =
      options_.operation == BenchOperation::kRange ||
      (options_.operation == BenchOperation::kMixed && NextRandom() % 100 < options_.read_percent);
  call->connection = slot % options_.connections;
  call->request_id = read ? std::string() : NextRequestId();
  if (read) {
    call->method = &kRangeMethod;
    call->request = ranges_.Serialize(key);
  } else if (options_.operation == BenchOperation::kTxn) {
    call->method = &kTxnMethod;
    call->request = txns_.Serialize(key);
  } else {
    call->method = &kPutMethod;
    call->request = puts_.Serialize(key);
  }
  return true;
}

void BenchWorkload::Done(std::size_t, const LoadOutcome& outcome) {
  if (outcome.status.ok()) {
    measurement_.Succeeded(outcome.began, outcome.ended);
  } else {
    measurement_.Failed(MessageOf(outcome.status), outcome.ended);
  }
}

}  // namespace conclave::client
