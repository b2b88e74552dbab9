#include "client/bench/watch_load.h"

#include <fmt/format.h>

#include "client/bench/bench_workload.h"
#include "kvstore/proto/rpc.pb.h"
#include "raft/base/text.h"

namespace conclave::client {
namespace {

using SteadyClock = std::chrono::steady_clock;

const std::string kWatchMethod = "/etcdserverpb.Watch/Watch";
const std::string kPutMethod = "/etcdserverpb.KV/Put";
constexpr std::chrono::seconds kCreateTime{60};

// Protobuf's wire format: a varint of up to 64 bits; 0 at the end of the bytes.
std::uint64_t TakeVarint(std::string_view* bytes) {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64 && !bytes->empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes->front());
    bytes->remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  return value;
}

std::uint64_t NowNs() {
  return static_cast<std::uint64_t>(SteadyClock::now().time_since_epoch().count());
}

// One stream and its watchers.
class WatchStreamCall : public Http2Call {
 public:
  WatchStreamCall(std::size_t value_size, Measurement& measurement)
      : value_size_(value_size), measurement_(measurement) {}

  void OnMessage(std::string_view message) override {
    const WatchCounts counts = CountWatchResponse(message);
    created_ += counts.created && !counts.canceled;
    if (counts.canceled) status_ = absl::UnavailableError("a watcher was cancelled");
    if (counts.events == 0) return;
    // The value is the last field of the pair, and the pair of its event. The events of one
    // response are charged like its last.
    const std::uint64_t put_at =
        NumberOfValue(counts.last_event.substr(counts.last_event.size() - value_size_));
    const SteadyClock::time_point began{SteadyClock::duration(put_at)};
    measurement_.Succeeded(began, SteadyClock::now(), counts.events);
  }
  void OnEnd(const absl::Status& status) override {
    status_ = status.ok() ? absl::UnavailableError("the stream ended") : status;
  }

  std::uint64_t created() const { return created_; }
  const absl::Status& status() const { return status_; }

 private:
  const std::size_t value_size_;
  Measurement& measurement_;
  std::uint64_t created_ = 0;
  absl::Status status_;  // not OK: it has ended
};

// Puts of the one key, with the time as value.
class TimedPuts : public LoadWorkload {
 public:
  TimedPuts(const BenchOptions& options, Measurement& measurement)
      : connections_(options.connections),
        measurement_(measurement),
        puts_(RequestTemplate::ForPut(ShapeOf(options))) {}

  bool Next(std::size_t slot, LoadCall* call) override {
    if (measurement_.over()) return false;
    call->method = &kPutMethod;
    call->connection = slot % connections_;
    call->request = puts_.Serialize(0, NowNs());
    return true;
  }
  void Done(std::size_t, const LoadOutcome& outcome) override {
    if (!outcome.status.ok()) {
      return measurement_.Failed(MessageOf(outcome.status), outcome.ended);
    }
    measurement_.Advance(outcome.ended);
  }

 private:
  const std::size_t connections_;
  Measurement& measurement_;
  RequestTemplate puts_;
};

absl::Status MakeWatchers(Http2Loop& loop, const BenchOptions& options,
                          std::deque<WatchStreamCall>& streams) {
  etcdserverpb::WatchRequest request;
  request.mutable_create_request()->set_key(ShapeOf(options).KeyOf(0));
  const std::string wire = request.SerializeAsString();
  for (std::uint32_t i = 0; i < options.watchers; ++i) {
    const std::size_t at = i % streams.size();
    if (i < streams.size()) {
      loop.connection(at).Start(&streams[at], kWatchMethod, wire, /*last=*/false);
    } else {
      loop.connection(at).Send(&streams[at], wire);
    }
  }
  const auto deadline = SteadyClock::now() + kCreateTime;
  for (std::uint64_t created = 0; created < options.watchers;) {
    loop.Turn(std::chrono::milliseconds(20));
    created = 0;
    for (const WatchStreamCall& stream : streams) {
      if (!stream.status().ok()) return stream.status();
      created += stream.created();
    }
    if (SteadyClock::now() > deadline) {
      return absl::UnavailableError(fmt::format("{} of {} watchers after {} s", created,
                                                options.watchers, kCreateTime.count()));
    }
  }
  return absl::OkStatus();
}

}  // namespace

WatchCounts CountWatchResponse(std::string_view response) {
  constexpr std::uint64_t kCreated = 3 << 3;
  constexpr std::uint64_t kCanceled = 4 << 3;
  constexpr std::uint64_t kEvents = 11 << 3 | 2;
  WatchCounts counts;
  while (!response.empty()) {
    const std::uint64_t tag = TakeVarint(&response);
    const std::uint64_t value = TakeVarint(&response);  // or a size: all fields are one or other
    if (tag == kCreated) counts.created = value != 0;
    if (tag == kCanceled) counts.canceled = value != 0;
    if ((tag & 7) != 2) continue;
    const std::string_view field = response.substr(0, value);
    response.remove_prefix(field.size());
    if (tag != kEvents) continue;
    ++counts.events;
    counts.last_event = field;
  }
  return counts;
}

absl::Status RunWatchLoad(Http2Loop& loop, const BenchOptions& options, Measurement& measurement) {
  std::deque<WatchStreamCall> streams;
  const std::size_t used = std::min<std::size_t>(loop.size(), options.watchers);
  for (std::size_t i = 0; i < used; ++i) streams.emplace_back(options.value_size, measurement);
  absl::Status made = MakeWatchers(loop, options, streams);
  if (made.ok()) {
    TimedPuts puts(options, measurement);
    RunUnaryLoad(loop, {.outstanding = options.outstanding, .calls_per_second = options.rate},
                 puts);
  }
  for (std::size_t i = 0; i < used; ++i) {
    if (made.ok() && !streams[i].open()) made = streams[i].status();
    loop.connection(i).Cancel(&streams[i], absl::CancelledError("the load is over"));
  }
  return made;
}

}  // namespace conclave::client
