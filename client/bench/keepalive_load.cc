#include "client/bench/keepalive_load.h"

#include <deque>
#include <string>
#include <vector>

#include "client/load/unary_load.h"
#include "kvstore/proto/rpc.pb.h"
#include "raft/base/text.h"

namespace conclave::client {
namespace {

using SteadyClock = std::chrono::steady_clock;

const std::string kGrantMethod = "/etcdserverpb.Lease/LeaseGrant";
const std::string kKeepAliveMethod = "/etcdserverpb.Lease/LeaseKeepAlive";
constexpr std::int64_t kFirstLease = 0x6265'6e63'0000'0000;
constexpr std::int64_t kTtlS = 3'600;
constexpr std::chrono::milliseconds kPauseAfterFailure{20};
constexpr std::uint64_t kGrantFailuresMax = 1'000;

class Grants : public LoadWorkload {
 public:
  explicit Grants(const BenchOptions& options)
      : connections_(options.connections),
        leases_(options.leases),
        lease_of_slot_(options.outstanding) {}

  bool Next(std::size_t slot, LoadCall* call) override {
    if (!status_.ok()) return false;
    if (!again_.empty()) {
      lease_of_slot_[slot] = again_.back();
      again_.pop_back();
    } else if (next_ < leases_) {
      lease_of_slot_[slot] = next_++;
    } else {
      return false;
    }
    etcdserverpb::LeaseGrantRequest request;
    request.set_id(kFirstLease + lease_of_slot_[slot]);
    request.set_ttl(kTtlS);
    call->method = &kGrantMethod;
    call->connection = slot % connections_;
    request.SerializeToString(&call->request);
    return true;
  }
  // One that is there already serves as well; one that failed is granted again.
  void Done(std::size_t slot, const LoadOutcome& outcome) override {
    const bool there = outcome.status.code() == absl::StatusCode::kFailedPrecondition;
    if (outcome.status.ok() || there) return;
    again_.push_back(lease_of_slot_[slot]);
    if (++failures_ > kGrantFailuresMax) status_ = outcome.status;
  }

  const absl::Status& status() const { return status_; }

 private:
  const std::size_t connections_;
  const std::uint32_t leases_;
  std::uint32_t next_ = 0;
  std::vector<std::uint32_t> lease_of_slot_;
  std::vector<std::uint32_t> again_;
  std::uint64_t failures_ = 0;
  absl::Status status_;
};

// What the slots share.
struct KeepAlives {
  const std::uint32_t leases;
  Measurement& measurement;
  std::uint32_t next = 0;

  std::string NextRequest() {
    etcdserverpb::LeaseKeepAliveRequest request;
    request.set_id(kFirstLease + next++ % leases);
    return request.SerializeAsString();
  }
};

class KeepAliveSlot : public Http2Call {
 public:
  KeepAliveSlot(KeepAlives* shared, Http2Connection* connection)
      : shared_(shared), connection_(connection) {}

  // Opens the stream with its first renewal, unless it is open or was lost a moment ago.
  void OpenIfDue(SteadyClock::time_point now) {
    if (open() || now < open_at_) return;
    began_ = now;
    connection_->Start(this, kKeepAliveMethod, shared_->NextRequest(), /*last=*/false);
  }
  void Close() { connection_->Cancel(this, absl::CancelledError("the load is over")); }

  void OnMessage(std::string_view message) override {
    const auto now = SteadyClock::now();
    etcdserverpb::LeaseKeepAliveResponse response;
    if (response.ParseFromArray(message.data(), static_cast<int>(message.size())) &&
        response.ttl() > 0) {
      shared_->measurement.Succeeded(began_, now);
    } else {
      shared_->measurement.Failed("the lease is gone", now);
    }
    if (shared_->measurement.over()) return;
    began_ = now;
    connection_->Send(this, shared_->NextRequest());
  }
  void OnEnd(const absl::Status& status) override {
    if (shared_->measurement.over()) return;
    const auto now = SteadyClock::now();
    open_at_ = now + kPauseAfterFailure;
    shared_->measurement.Failed(status.ok() ? "the stream ended" : MessageOf(status), now);
  }

 private:
  KeepAlives* const shared_;
  Http2Connection* const connection_;
  SteadyClock::time_point open_at_{};
  SteadyClock::time_point began_;
};

}  // namespace

absl::Status RunKeepAliveLoad(Http2Loop& loop, const BenchOptions& options,
                              Measurement& measurement) {
  Grants grants(options);
  RunUnaryLoad(loop, {.outstanding = options.outstanding}, grants);
  if (!grants.status().ok()) return grants.status();
  KeepAlives shared{options.leases, measurement};
  std::deque<KeepAliveSlot> slots;
  for (std::size_t i = 0; i < options.outstanding; ++i) {
    slots.emplace_back(&shared, &loop.connection(i % loop.size()));
  }
  while (!measurement.over()) {
    const auto now = SteadyClock::now();
    for (KeepAliveSlot& slot : slots) slot.OpenIfDue(now);
    loop.Turn(kPauseAfterFailure);
    measurement.Advance(SteadyClock::now());
  }
  for (KeepAliveSlot& slot : slots) slot.Close();
  return absl::OkStatus();
}

}  // namespace conclave::client
