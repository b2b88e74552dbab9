#include "client/load/unary_load.h"

#include <grpcpp/alarm.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "raft/base/check.h"

namespace conclave::client {
namespace {

using SteadyClock = std::chrono::steady_clock;

// What one outstanding call needs. A context serves one call only, so it is made anew in the same
// place.
struct Slot {
  std::optional<grpc::ClientContext> context;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  std::optional<grpc::Alarm> alarm;
  LoadCall call;
  grpc::ByteBuffer response;
  grpc::Status status;
  SteadyClock::time_point began;
  enum class State : std::uint8_t { kWaiting, kCalling, kPausing } state = State::kCalling;
};

class UnaryLoad {
 public:
  UnaryLoad(const std::vector<std::shared_ptr<grpc::Channel>>& channels, const LoadOptions& options,
            LoadWorkload& workload)
      : options_(options),
        workload_(workload),
        slots_(options.outstanding),
        interval_(std::chrono::nanoseconds(std::chrono::seconds(1)) /
                  std::max(options.calls_per_second, 1U)),
        due_(SteadyClock::now()) {
    CHECK(!channels.empty());
    for (const auto& channel : channels)
      stubs_.push_back(std::make_unique<grpc::GenericStub>(channel));
  }

  void Run() {
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) Begin(slot);
    void* tag = nullptr;
    bool unused_ok = false;  // a unary call's outcome is in its status, and an alarm's in its time
    while (live_ > 0 && queue_.Next(&tag, &unused_ok)) {
      Advance(static_cast<std::size_t>(static_cast<Slot*>(tag) - slots_.data()));
    }
    queue_.Shutdown();
    while (queue_.Next(&tag, &unused_ok)) {
    }
  }

 private:
  // The slot is free.
  void Begin(std::size_t index) {
    const SteadyClock::time_point now = SteadyClock::now();
    if (options_.calls_per_second == 0) return Call(index, now);
    const SteadyClock::time_point due = std::exchange(due_, due_ + interval_);
    if (due <= now) return Call(index, due);
    ++live_;
    WakeAfter(slots_[index], due - now, Slot::State::kWaiting);
  }

  void WakeAfter(Slot& slot, SteadyClock::duration wait, Slot::State state) {
    slot.state = state;
    slot.alarm.emplace();
    slot.alarm->Set(&queue_, std::chrono::system_clock::now() + wait, &slot);
  }

  void Call(std::size_t index, SteadyClock::time_point began) {
    Slot& slot = slots_[index];
    if (!workload_.Next(index, &slot.call)) return;
    ++live_;
    slot.state = Slot::State::kCalling;
    slot.began = began;
    Start(slot);
  }

  void Start(Slot& slot) {
    slot.context.emplace();
    slot.context->set_deadline(std::chrono::system_clock::now() + options_.call_timeout);
    slot.response.Clear();
    slot.reader = stubs_[slot.call.channel]->PrepareUnaryCall(&*slot.context, *slot.call.method,
                                                              slot.call.request, &queue_);
    slot.reader->StartCall();
    slot.reader->Finish(&slot.response, &slot.status, &slot);
  }

  // A call has ended or an alarm has gone off.
  void Advance(std::size_t index) {
    Slot& slot = slots_[index];
    if (slot.state == Slot::State::kCalling) {
      const LoadOutcome outcome{slot.status, slot.response, slot.began, SteadyClock::now()};
      workload_.Done(index, outcome);
      if (!slot.status.ok()) {
        return WakeAfter(slot, options_.pause_after_failure, Slot::State::kPausing);
      }
    }
    --live_;
    // Of an alarm that was late, not the server is guilty.
    if (slot.state == Slot::State::kWaiting) return Call(index, SteadyClock::now());
    Begin(index);
  }

  const LoadOptions options_;
  LoadWorkload& workload_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  std::vector<Slot> slots_;
  std::size_t live_ = 0;  // slots that wait for a call or for an alarm
  const SteadyClock::duration interval_;
  SteadyClock::time_point due_;  // of the next call of an open load
};

}  // namespace

void RunUnaryLoad(const std::vector<std::shared_ptr<grpc::Channel>>& channels,
                  const LoadOptions& options, LoadWorkload& workload) {
  UnaryLoad(channels, options, workload).Run();
}

}  // namespace conclave::client
