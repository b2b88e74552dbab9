#include "client/load/unary_load.h"

#include <grpcpp/alarm.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

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
  std::optional<grpc::Alarm> pause;
  LoadCall call;
  grpc::ByteBuffer response;
  grpc::Status status;
  SteadyClock::time_point began;
  bool pausing = false;
};

class UnaryLoad {
 public:
  UnaryLoad(const std::vector<std::shared_ptr<grpc::Channel>>& channels, const LoadOptions& options,
            LoadWorkload& workload)
      : options_(options), workload_(workload), slots_(options.outstanding) {
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
  void Begin(std::size_t index) {
    Slot& slot = slots_[index];
    if (!workload_.Next(index, &slot.call)) return;
    ++live_;
    Start(slot);
  }

  void Start(Slot& slot) {
    slot.context.emplace();
    slot.context->set_deadline(std::chrono::system_clock::now() + options_.call_timeout);
    slot.response.Clear();
    slot.began = SteadyClock::now();
    slot.reader = stubs_[slot.call.channel]->PrepareUnaryCall(&*slot.context, *slot.call.method,
                                                              slot.call.request, &queue_);
    slot.reader->StartCall();
    slot.reader->Finish(&slot.response, &slot.status, &slot);
  }

  // A call has ended or a pause is over.
  void Advance(std::size_t index) {
    Slot& slot = slots_[index];
    if (!slot.pausing) {
      const LoadOutcome outcome{slot.status, slot.response, slot.began, SteadyClock::now()};
      workload_.Done(index, outcome);
      if (!slot.status.ok()) {
        slot.pausing = true;
        slot.pause.emplace();
        slot.pause->Set(&queue_, std::chrono::system_clock::now() + options_.pause_after_failure,
                        &slot);
        return;
      }
    }
    slot.pausing = false;
    --live_;
    Begin(index);
  }

  const LoadOptions options_;
  LoadWorkload& workload_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  std::vector<Slot> slots_;
  std::size_t live_ = 0;  // slots that wait for a call or for the end of a pause
};

}  // namespace

void RunUnaryLoad(const std::vector<std::shared_ptr<grpc::Channel>>& channels,
                  const LoadOptions& options, LoadWorkload& workload) {
  UnaryLoad(channels, options, workload).Run();
}

}  // namespace conclave::client
