// A Call without a network, for the tests of services: it records what the service sends and lets
// the test play the client. Nothing happens by itself; the test says when a message, a half-close,
// room in the window or the end arrives.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "raft/base/check.h"
#include "server/rpc/call.h"
#include "server/rpc/dispatch.h"

namespace conclave::server {

class FakeCall : public Call {
 public:
  explicit FakeCall(std::map<std::string, std::string, std::less<>> metadata = {},
                    Instant deadline = kNever)
      : metadata_(std::move(metadata)), deadline_(deadline) {}

  // Starts `path` of `table` as a transport would and returns the call. `request` is for unary and
  // server-stream methods.
  static std::shared_ptr<FakeCall> Start(
      const DispatchTable& table, std::string_view path, std::string_view request = {},
      std::map<std::string, std::string, std::less<>> metadata = {}) {
    auto call = std::make_shared<FakeCall>(std::move(metadata));
    const Method* method = table.Find(path);
    CHECK_MSG(method != nullptr, path);
    if (method->kind == MethodKind::kBidirectional) {
      method->on_start(call);
    } else {
      method->on_request(call, request);
    }
    return call;
  }
  template <typename Message>
  static std::shared_ptr<FakeCall> StartWith(
      const DispatchTable& table, std::string_view path, const Message& request,
      std::map<std::string, std::string, std::less<>> metadata = {}) {
    return Start(table, path, request.SerializeAsString(), std::move(metadata));
  }

  // Call, as the service sees it.
  std::optional<std::string_view> Metadata(std::string_view name) const override {
    const auto it = metadata_.find(name);
    if (it == metadata_.end()) return std::nullopt;
    return it->second;
  }
  Instant deadline() const override { return deadline_; }
  bool open() const override { return !closed_ && !status_.has_value(); }
  void Send(const google::protobuf::MessageLite& message) override {
    SendBytes(message.SerializeAsString());
  }
  void SendBytes(std::string_view message) override {
    if (!open()) return;
    sent_.emplace_back(message);
    BlockIfDue();
  }
  void BeginMessage(size_t bytes) override {
    if (!open()) return;
    CHECK(part_bytes_left_ == 0);
    parts_.clear();
    part_bytes_left_ = bytes;
  }
  void SendPart(std::string_view part) override {
    if (!open()) return;
    CHECK(!part.empty() && part.size() <= part_bytes_left_);
    largest_part_ = std::max(largest_part_, part.size());
    parts_ += part;
    part_bytes_left_ -= part.size();
    if (part_bytes_left_ == 0) sent_.push_back(std::move(parts_));
    BlockIfDue();
  }
  void Finish(const absl::Status& status) override {
    if (open()) status_ = status;
  }
  void Abandon() override {
    abandoned_ = true;
    Finish(absl::ResourceExhaustedError("abandoned"));
  }
  size_t queued_bytes() const override { return queued_bytes_; }
  bool Writable() const override { return writable_; }
  void PauseReading() override { reading_paused_ = true; }
  void ResumeReading() override { reading_paused_ = false; }
  void SetHandler(std::unique_ptr<StreamHandler> handler) override {
    CHECK(handler_ == nullptr);
    handler_ = std::move(handler);
  }

  // The client's side.
  void Receive(std::string_view message) {
    CHECK(handler_ != nullptr);
    handler_->OnMessage(message);
  }
  template <typename Message>
  void ReceiveMessage(const Message& message) {
    Receive(message.SerializeAsString());
  }
  void HalfClose() { handler_->OnHalfClose(); }
  // The client stops taking bytes, or takes them again (OnWritable).
  void BlockOutput(size_t queued_bytes) {
    writable_ = false;
    queued_bytes_ = queued_bytes;
  }
  // Likewise, but it takes one more message or part.
  void BlockOutputAfterSend(size_t queued_bytes) { block_at_send_ = queued_bytes; }
  void UnblockOutput() {
    writable_ = true;
    queued_bytes_ = 0;
    if (handler_ != nullptr && open()) handler_->OnWritable();
  }
  // The end of the RPC: after Finish, or because the client left.
  void Close() {
    if (std::exchange(closed_, true)) return;
    if (handler_ != nullptr) handler_->OnClosed();
    handler_.reset();
  }

  // What the service did.
  const std::vector<std::string>& sent() const { return sent_; }
  // Takes the messages sent since the last call, parsed. CHECKs that they parse.
  template <typename Message>
  std::vector<Message> TakeSent() {
    std::vector<Message> messages(sent_.size());
    for (size_t i = 0; i < sent_.size(); ++i) CHECK(messages[i].ParseFromString(sent_[i]));
    sent_.clear();
    return messages;
  }
  // nullopt until the service has finished the call.
  const std::optional<absl::Status>& status() const { return status_; }
  bool abandoned() const { return abandoned_; }
  // Of all messages sent in parts; 0 if there was none.
  size_t largest_part() const { return largest_part_; }
  bool reading_paused() const { return reading_paused_; }
  StreamHandler* handler() const { return handler_.get(); }

 private:
  void BlockIfDue() {
    if (block_at_send_) BlockOutput(*std::exchange(block_at_send_, std::nullopt));
  }

  const std::map<std::string, std::string, std::less<>> metadata_;
  const Instant deadline_;
  std::unique_ptr<StreamHandler> handler_;
  std::vector<std::string> sent_;
  std::string parts_;  // of a message that is not whole
  size_t part_bytes_left_ = 0;
  size_t largest_part_ = 0;
  std::optional<absl::Status> status_;
  size_t queued_bytes_ = 0;
  bool writable_ = true;
  std::optional<size_t> block_at_send_;
  bool reading_paused_ = false;
  bool abandoned_ = false;
  bool closed_ = false;
};

}  // namespace conclave::server
