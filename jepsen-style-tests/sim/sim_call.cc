#include "jepsen-style-tests/sim/sim_call.h"

#include <utility>

#include "kvstore/request_identity.h"
#include "raft/base/check.h"

namespace conclave::sim {

// ---- The client's end. ----

void ClientCall::ToServer(std::function<void(ServedCall&)> then) {
  network_->Send(client_, member_, Carriage::kStream,
                 [self = shared_from_this(), then = std::move(then)] {
                   self->at_member_([self, then] {
                     // Null if the call never began there, or its process is gone.
                     const std::shared_ptr<ServedCall> served = self->served_.lock();
                     if (served != nullptr) then(*served);
                   });
                 });
}

void ClientCall::Send(std::string message) {
  if (over_) return;
  ToServer([message = std::move(message)](ServedCall& served) { served.Receive(message); });
}

void ClientCall::Cancel() {
  if (std::exchange(over_, true)) return;
  events_ = {};
  ToServer([](ServedCall& served) { served.Close(); });
}

void ClientCall::Deliver(std::string message) {
  if (over_) return;
  if (!reading_) {
    unread_.push_back(std::move(message));
    return;
  }
  Take(message);
}

// Only answers of unary calls come in parts, and those are read as they come.
void ClientCall::DeliverPart(std::string_view part, bool last) {
  if (over_) return;
  CHECK(reading_);
  ToServer([bytes = part.size()](ServedCall& served) { served.OnTaken(bytes); });
  parts_ += part;
  if (last && events_.message) events_.message(std::exchange(parts_, {}));
}

void ClientCall::Take(const std::string& message) {
  ToServer([bytes = message.size()](ServedCall& served) { served.OnTaken(bytes); });
  if (events_.message) events_.message(message);
}

void ClientCall::ResumeReading() {
  reading_ = true;
  while (reading_ && !over_ && !unread_.empty()) {
    const std::string message = std::move(unread_.front());
    unread_.pop_front();
    Take(message);
  }
  if (unread_.empty() && unread_end_) Finish(*std::exchange(unread_end_, std::nullopt));
}

void ClientCall::Finish(const CallEnd& end) {
  if (over_) return;
  if (!unread_.empty() && end.answered) {
    unread_end_ = end;
    return;
  }
  over_ = true;
  const Events events = std::exchange(events_, {});
  if (events.end) events.end(end);
}

// ---- The server's end. ----

std::shared_ptr<ServedCall> ServedCall::Start(const server::DispatchTable& methods,
                                              MemberLane* lane, Network* network,
                                              const std::shared_ptr<ClientCall>& client,
                                              const CallRequest& request, size_t window_bytes) {
  auto call = std::make_shared<ServedCall>(lane, network, client, request, window_bytes);
  client->served_ = call;
  const server::Method* method = methods.Find(request.path);
  CHECK_MSG(method != nullptr, request.path);
  if (method->kind == server::MethodKind::kBidirectional) {
    method->on_start(call);
  } else {
    method->on_request(call, request.message);
  }
  return call;
}

ServedCall::ServedCall(MemberLane* lane, Network* network, std::shared_ptr<ClientCall> client,
                       const CallRequest& request, size_t window_bytes)
    : lane_(lane),
      network_(network),
      client_(std::move(client)),
      has_leader_(request.has_leader),
      request_id_(request.request_id),
      window_bytes_(window_bytes) {}

std::optional<std::string_view> ServedCall::Metadata(std::string_view name) const {
  if (name == "hasleader" && has_leader_) return "true";
  if (name == kv::kRequestIdMetadata && !request_id_.empty()) return request_id_;
  return std::nullopt;
}

void ServedCall::ToClient(std::function<void(ClientCall&)> then) {
  if (lane_->silent()) return;
  network_->Send(client_->member(), client_->client(), Carriage::kStream,
                 [client = client_, then = std::move(then)] { then(*client); });
}

void ServedCall::Send(const google::protobuf::MessageLite& message) {
  SendBytes(message.SerializeAsString());
}

void ServedCall::SendBytes(std::string_view message) {
  if (!open()) return;
  queued_bytes_ += message.size();
  blocked_ |= queued_bytes_ >= window_bytes_;
  ToClient([message = std::string(message)](ClientCall& client) { client.Deliver(message); });
}

void ServedCall::BeginMessage(size_t bytes) {
  if (!open()) return;
  CHECK(part_bytes_left_ == 0);
  part_bytes_left_ = bytes;
}

void ServedCall::SendPart(std::string_view part) {
  if (!open()) return;
  CHECK(!part.empty() && part.size() <= part_bytes_left_);
  part_bytes_left_ -= part.size();
  queued_bytes_ += part.size();
  blocked_ |= queued_bytes_ >= window_bytes_;
  ToClient([part = std::string(part), last = part_bytes_left_ == 0](ClientCall& client) {
    client.DeliverPart(part, last);
  });
}

void ServedCall::Abandon() {
  Finish(absl::ResourceExhaustedError("the client does not take the response"));
}

void ServedCall::Finish(const absl::Status& status) {
  if (!open()) return;
  finished_ = true;
  ToClient([status](ClientCall& client) { client.Finish({.status = status, .answered = true}); });
  lane_->Post([self = shared_from_this()] { self->Close(); });
}

void ServedCall::SetHandler(std::unique_ptr<server::StreamHandler> handler) {
  CHECK(handler_ == nullptr);
  handler_ = std::move(handler);
}

void ServedCall::Receive(std::string message) {
  if (handler_ == nullptr || closed_) return;
  if (!reading_) {
    unread_.push_back(std::move(message));
    return;
  }
  handler_->OnMessage(message);
}

void ServedCall::ResumeReading() {
  reading_ = true;
  while (reading_ && !closed_ && !unread_.empty()) {
    const std::string message = std::move(unread_.front());
    unread_.pop_front();
    handler_->OnMessage(message);
  }
}

void ServedCall::OnTaken(size_t bytes) {
  queued_bytes_ -= bytes;
  if (!blocked_ || queued_bytes_ > window_bytes_ / 2) return;
  blocked_ = false;
  if (handler_ != nullptr && open()) handler_->OnWritable();
}

void ServedCall::Close() {
  if (std::exchange(closed_, true)) return;
  if (handler_ != nullptr) handler_->OnClosed();
  handler_.reset();
}

}  // namespace conclave::sim
