// One RPC over the simulated network, both ends of it: ServedCall is what a service of server/api
// sees, ClientCall what the client holds. Messages travel in order, late or until the connection
// breaks; the window between the two is bounded, so a slow reader pushes back. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "jepsen-style-tests/sim/member_lane.h"
#include "jepsen-style-tests/sim/network.h"
#include "server/rpc/call.h"
#include "server/rpc/dispatch.h"

namespace conclave::sim {

class ServedCall;

// How a call ended, as its client saw it.
struct CallEnd {
  absl::Status status;
  // The server's own answer; else the client gave up, or the connection broke or was refused.
  bool answered = false;
  // The request certainly never reached a service.
  bool refused = false;
};

// The client's end. Kept by whoever made the call; the callbacks do not run after Cancel or the
// end.
class ClientCall : public std::enable_shared_from_this<ClientCall> {
 public:
  struct Events {
    std::function<void(std::string_view message)> message;
    std::function<void(const CallEnd& end)> end;
  };

  // Runs a task in the process that is there now, after all that reached it before; drops it if
  // there is none.
  using AtMember = std::function<void(std::function<void()> task)>;

  ClientCall(Network* network, End client, End member, AtMember at_member, Events events)
      : network_(network),
        client_(client),
        member_(member),
        at_member_(std::move(at_member)),
        events_(std::move(events)) {}

  // One more request message of a stream.
  void Send(std::string message);
  // Gives up; the server learns of it after a while. Not from within a callback.
  void Cancel();
  // The end, from whichever side; only the first counts.
  void Finish(const CallEnd& end);
  // A slow reader: messages that arrive are not taken (and the server's window not given back)
  // until it reads again.
  void PauseReading() { reading_ = false; }
  void ResumeReading();

  bool over() const { return over_; }
  End member() const { return member_; }
  End client() const { return client_; }

 private:
  friend class ServedCall;
  void Deliver(std::string message);
  void DeliverPart(std::string_view part, bool last);
  void Take(const std::string& message);
  void ToServer(std::function<void(ServedCall&)> then);

  Network* const network_;
  const End client_;
  const End member_;
  const AtMember at_member_;
  Events events_;
  bool over_ = false;
  bool reading_ = true;
  std::string parts_;  // of a message that is not whole
  std::deque<std::string> unread_;
  std::optional<CallEnd> unread_end_;  // it comes after what is unread
  std::weak_ptr<ServedCall> served_;   // set once the request has arrived
};

struct CallRequest {
  std::string path;
  std::string message;          // unary and server stream
  bool has_leader = false;      // metadata "hasleader": fail rather than wait without a leader
  std::string request_id = {};  // metadata "conclave-request-id"; empty is none
};

// The server's end; lives in the member's process and dies with it.
class ServedCall : public server::Call, public std::enable_shared_from_this<ServedCall> {
 public:
  // The request has arrived at the member: starts the method. Runs on the member's lane.
  static std::shared_ptr<ServedCall> Start(const server::DispatchTable& methods, MemberLane* lane,
                                           Network* network,
                                           const std::shared_ptr<ClientCall>& client,
                                           const CallRequest& request, size_t window_bytes);

  ServedCall(MemberLane* lane, Network* network, std::shared_ptr<ClientCall> client,
             const CallRequest& request, size_t window_bytes);

  std::optional<std::string_view> Metadata(std::string_view name) const override;
  Instant deadline() const override { return kNever; }
  bool open() const override { return !finished_ && !closed_; }
  void Send(const google::protobuf::MessageLite& message) override;
  void SendBytes(std::string_view message) override;
  void BeginMessage(size_t bytes) override;
  void SendPart(std::string_view part) override;
  void Finish(const absl::Status& status) override;
  void Abandon() override;
  size_t queued_bytes() const override { return queued_bytes_; }
  bool Writable() const override { return !blocked_; }
  void PauseReading() override { reading_ = false; }
  void ResumeReading() override;
  void SetHandler(std::unique_ptr<server::StreamHandler> handler) override;

  // The RPC is over, or its process is about to be: the handler goes.
  void Close();

 private:
  friend class ClientCall;

  void Receive(std::string message);
  void OnTaken(size_t bytes);  // the client took so much
  void ToClient(std::function<void(ClientCall&)> then);

  MemberLane* const lane_;
  Network* const network_;
  const std::shared_ptr<ClientCall> client_;
  const bool has_leader_;
  const std::string request_id_;
  const size_t window_bytes_;
  std::unique_ptr<server::StreamHandler> handler_;
  size_t queued_bytes_ = 0;
  size_t part_bytes_left_ = 0;  // of a message that is sent in parts
  bool blocked_ = false;        // since the window was full, until half of it is free
  bool finished_ = false;
  bool closed_ = false;
  bool reading_ = true;
  std::deque<std::string> unread_;
};

}  // namespace conclave::sim
