// Between an I/O lane, where clients' connections live, and the home lane, where the services and
// all they need do: calls started there are served here, each batch of a turn in one hand-over.
// Neither side knows of it: over there is a table of methods, here are Calls.
// The home lane takes all that there is in each of its turns, and has bounds of its own for what it
// then holds. If it does not get to that, the I/O lane waits once it is some MiB ahead, and its
// clients with it, as they would without lanes. Answers are bounded as without a relay: by
// Call::Writable, and by what a connection may leave untaken.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "server/http2/http_route.h"
#include "server/lanes/mailbox.h"
#include "server/lanes/relayed_call.h"
#include "server/net/event_loop.h"
#include "server/rpc/dispatch.h"
#include "server/rpc/rpc_observer.h"

namespace conclave::server {

class CallRelay {
 public:
  // Nothing is owned. `served` is complete; `observer`, which may be nullptr, is told on the home
  // lane. `output_high_mark` as in RelayedCall.
  CallRelay(EventLoop* io, EventLoop* home, const DispatchTable* served, RpcObserver* observer,
            size_t output_high_mark);
  // Home lane, once the I/O lane's server is gone and nothing runs there any more: what it has told
  // by then is still heard, so that every call has seen OnClosed.
  ~CallRelay();
  // Home lane, before it waits for the I/O lane's thread: that does not wait for it any more.
  void Unbound();
  CallRelay(const CallRelay&) = delete;
  CallRelay& operator=(const CallRelay&) = delete;

  // For the I/O lane's server.
  const DispatchTable* methods() const { return &methods_; }
  RpcObserver* observer();
  HttpRoute Relay(const HttpRoute& route) const;

 private:
  // What a client has done.
  struct Event {
    enum class Kind { kStart, kMessage, kHalfClose, kRoom, kClosed };
    Kind kind;
    std::shared_ptr<RelayedCall> call;
    const Method* method = nullptr;  // of kStart
    std::string message = {};        // of kMessage, and of kStart unless bidirectional
  };
  // What an RpcObserver is told.
  struct Observed {
    enum class Kind { kStarted, kReceived, kSent, kHandled, kConnectionClosed };
    Kind kind;
    const Method* method = nullptr;
    absl::StatusCode code = absl::StatusCode::kOk;
    size_t bytes = 0;       // received, of kConnectionClosed
    size_t bytes_sent = 0;  // of kConnectionClosed
    Duration elapsed{};
  };
  class Client;
  class Observer;
  class Answers;

  void AddMethod(const Method& served);
  void Receive(Event& event);              // on the home lane
  void Observe(const Observed& observed);  // likewise
  void Carry(RelayedAnswer& answer);       // on the I/O lane

  EventLoop* const io_;
  EventLoop* const home_;
  RpcObserver* const told_;
  const size_t output_high_mark_;
  DispatchTable methods_;
  const std::shared_ptr<bool> alive_;  // the home lane's

  Mailbox<Event> events_;
  Mailbox<Observed> observed_;
  Mailbox<RelayedAnswer> answers_;
  Outbox<Event> events_out_;
  Outbox<Observed> observed_out_;
  const std::shared_ptr<Answers> answers_out_;
  const std::unique_ptr<Observer> observer_;
};

}  // namespace conclave::server
