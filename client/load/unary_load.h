// Keeps a fixed number of unary calls outstanding on one thread, or makes them at a fixed rate: the
// engine of conclave-bench and of the crash test's writer.
//
// The client must cost less than the servers it measures, so: connections of its own (Http2Loop),
// no Protobuf in the loop (requests are bytes, responses are handed on as bytes), and a fixed slot
// per outstanding call whose buffers are used again.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "client/load/http2_client.h"

namespace conclave::client {

// The next call of a slot.
struct LoadCall {
  const std::string* method = nullptr;  // "/package.Service/Method"; must outlive the call
  std::size_t connection = 0;           // number in the loop
  std::string request;                  // kept from call to call for its capacity
  std::string request_id = {};          // metadata "conclave-request-id"; empty: none
};

// How a call ended. Times are of std::chrono::steady_clock.
struct LoadOutcome {
  const absl::Status& status;
  std::string_view response;                    // valid when the status is OK
  std::chrono::steady_clock::time_point began;  // or, if no slot was free then, was to begin
  std::chrono::steady_clock::time_point ended;
};

// What a load calls and what it makes of the answers. Called on the thread that runs the load only.
class LoadWorkload {
 public:
  virtual ~LoadWorkload() = default;

  // Fills in the slot's next call; false when the slot has nothing more to do.
  virtual bool Next(std::size_t slot, LoadCall* call) = 0;
  virtual void Done(std::size_t slot, const LoadOutcome& outcome) = 0;
};

struct LoadOptions {
  std::size_t outstanding = 64;
  std::chrono::milliseconds call_timeout{10'000};
  // How long a slot rests after a failed call, so that a cluster without leader is asked again and
  // not hammered.
  std::chrono::milliseconds pause_after_failure{20};
  // An open load: so many calls are due each second whatever becomes of the earlier ones, so that
  // a server that stands still is charged for all that came meanwhile. 0: a slot's next call
  // begins when its last one has ended.
  std::uint32_t calls_per_second = 0;
};

// Runs the workload to its end: returns when every slot's Next has said false.
void RunUnaryLoad(Http2Loop& loop, const LoadOptions& options, LoadWorkload& workload);

}  // namespace conclave::client
