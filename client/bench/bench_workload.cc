#include "client/bench/bench_workload.h"

#include "client/load/process_cpu.h"
#include "kvstore/proto/rpc.pb.h"
#include "raft/base/text.h"

namespace conclave::client {
namespace {

const std::string kPutMethod = "/etcdserverpb.KV/Put";
const std::string kRangeMethod = "/etcdserverpb.KV/Range";
constexpr std::string_view kKeyPrefix = "b/";

std::optional<std::chrono::microseconds> ServerCpu(const std::vector<int>& pids) {
  if (pids.empty()) return std::nullopt;
  auto used = CpuTimeOf(pids);
  if (!used.ok()) return std::nullopt;
  return *used;
}

}  // namespace

FillWorkload::FillWorkload(const BenchOptions& options)
    : connections_(options.connections),
      key_space_(options.key_space),
      puts_(kKeyPrefix, options.key_size, options.value_size),
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
  call->channel = slot % connections_;
  call->request = puts_.Serialize(key_of_slot_[slot]);
  return true;
}

void FillWorkload::Done(std::size_t slot, const LoadOutcome& outcome) {
  if (!outcome.status.ok()) again_.push_back(key_of_slot_[slot]);
}

BenchWorkload::BenchWorkload(const BenchOptions& options)
    : options_(options),
      puts_(kKeyPrefix, options.key_size, options.value_size),
      random_(options.seed * 2 + 1),
      phase_ends_(std::chrono::steady_clock::now() + options.warm_up) {}

// Marsaglia's xorshift64: cheap, and the same keys for the same seed.
std::uint64_t BenchWorkload::NextRandom() {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_;
}

grpc::ByteBuffer BenchWorkload::RangeOf(std::uint64_t number) {
  etcdserverpb::RangeRequest request;
  request.set_key(puts_.KeyOf(number));
  request.set_serializable(options_.serializable);
  return ToByteBuffer(request.SerializeAsString());
}

bool BenchWorkload::Next(std::size_t slot, LoadCall* call) {
  if (phase_ == Phase::kOver) return false;
  const std::uint64_t random = NextRandom();
  const std::uint64_t key = (random >> 8) % options_.key_space;
  const bool read =
      options_.operation == BenchOperation::kRange ||
      (options_.operation == BenchOperation::kMixed && NextRandom() % 100 < options_.read_percent);
  call->method = read ? &kRangeMethod : &kPutMethod;
  call->channel = slot % options_.connections;
  call->request = read ? RangeOf(key) : puts_.Serialize(key);
  return true;
}

void BenchWorkload::Done(std::size_t, const LoadOutcome& outcome) {
  // A call counts in the phase in which it ended.
  if (phase_ == Phase::kMeasuring && outcome.status.ok()) {
    ++result_.operations;
    result_.latency.Record((outcome.ended - outcome.began).count());
  }
  if (!outcome.status.ok()) {
    if (result_.first_error.empty()) result_.first_error = outcome.status.error_message();
    if (phase_ == Phase::kMeasuring) ++result_.errors;
  }
  Advance(outcome.ended);
}

void BenchWorkload::Advance(Instant now) {
  if (phase_ == Phase::kWarmUp && now >= phase_ends_) {
    phase_ = Phase::kMeasuring;
    measuring_began_ = now;
    phase_ends_ = now + options_.duration;
    server_cpu_before_ = ServerCpu(options_.server_pids);
    return;
  }
  if (phase_ != Phase::kMeasuring) return;
  const std::uint64_t ended = result_.operations + result_.errors;
  if (options_.operations != 0 ? ended < options_.operations : now < phase_ends_) return;
  phase_ = Phase::kOver;
  result_.elapsed = now - measuring_began_;
  const auto server_cpu_after = ServerCpu(options_.server_pids);
  if (server_cpu_before_ && server_cpu_after) {
    result_.server_cpu = *server_cpu_after - *server_cpu_before_;
  }
}

}  // namespace conclave::client
