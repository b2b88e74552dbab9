// One RPC as a service sees it, whatever carries it: server/http2 implements it over an HTTP/2
// stream, server/lanes over a Call of another lane, the simulator over nothing. A Call lives on one
// lane; all functions are called there, and its handler's callbacks run there.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "google/protobuf/message_lite.h"
#include "raft/base/time.h"

namespace conclave::server {

// What a streaming method does with what arrives. Owned by the call; destroyed after OnClosed.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  // One request message; valid during the call only.
  virtual void OnMessage(std::string_view message) = 0;
  // The client will send no more.
  virtual void OnHalfClose() {}
  // queued_bytes() fell to half its limit after Writable() was false. Never from within the Call.
  virtual void OnWritable() {}
  // The client has taken so many bytes of the response, frames included. From within the transport:
  // nothing may be called on the Call. For who carries calls from lane to lane.
  virtual void OnTaken(size_t /*bytes*/) {}
  // The RPC is over: finished by us, cancelled by the client, past its deadline, or its connection
  // is gone. Nothing may be sent any more; Send and Finish are then ignored. The last call, and
  // never made from within a function of the Call, Finish included.
  virtual void OnClosed() {}
};

class Call {
 public:
  virtual ~Call() = default;

  // A request header by its lower-case name ("hasleader", "token"); nullopt if the client did not
  // send it.
  virtual std::optional<std::string_view> Metadata(std::string_view name) const = 0;
  // When the client stops waiting (grpc-timeout); kNever if it did not say.
  virtual Instant deadline() const = 0;
  // False after the RPC is over; a cheap way to skip work for clients that have gone.
  virtual bool open() const = 0;

  // Queues one response message, serialized straight into its frame.
  virtual void Send(const google::protobuf::MessageLite& message) = 0;
  // Likewise, for a message that is already bytes.
  virtual void SendBytes(std::string_view message) = 0;
  // Queues one response message in parts, for one that is never in memory as a whole: its size in
  // bytes first, then SendPart until that many have come, none of them empty, and nothing else in
  // between but Finish.
  virtual void BeginMessage(size_t bytes) = 0;
  virtual void SendPart(std::string_view part) = 0;
  // Ends the RPC with `status` after what is queued. Only the first call counts.
  virtual void Finish(const absl::Status& status) = 0;
  // Ends the RPC and drops what is queued, also after Finish, for a client that does not take it.
  // All it can still be told is ResourceExhausted.
  virtual void Abandon() = 0;

  // Response bytes not yet taken by the client's flow control window.
  virtual size_t queued_bytes() const = 0;
  // False once queued_bytes() is at its limit: a well-behaved handler then waits for OnWritable.
  virtual bool Writable() const = 0;
  // Tells the transport not to grant the client more request bytes until Resume (back-pressure on
  // request streams).
  virtual void PauseReading() = 0;
  virtual void ResumeReading() = 0;

  // Sets who is told of later events; at most once, from the method's start function.
  virtual void SetHandler(std::unique_ptr<StreamHandler> handler) = 0;

  // Unary convenience: the one response and OK, or the error.
  void Reply(const google::protobuf::MessageLite& message) {
    Send(message);
    Finish(absl::OkStatus());
  }
};

using CallRef = std::shared_ptr<Call>;

}  // namespace conclave::server
