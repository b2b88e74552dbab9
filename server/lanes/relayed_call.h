// A Call as its service sees it, on the home lane, while its client's connection lives on an I/O
// lane. What the service does with it in a turn is gathered here and carried over by the relay; the
// client's own Call, over there, does it. Made by CallRelay.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "raft/base/executor.h"
#include "server/rpc/call.h"

namespace conclave::server {

class RelayedCall;

// What a service has done with a call in one turn, in the order in which it is carried out.
struct RelayedAnswer {
  std::shared_ptr<RelayedCall> call;
  std::string messages;  // encoded: RelayedCall::SendTo
  std::optional<absl::Status> status;
  bool abandoned = false;
  bool has_handler = false;  // on the home lane: to be told of the end
  enum class Reading : uint8_t { kAsBefore, kPaused, kResumed } reading = Reading::kAsBefore;
};

// The relay, as its calls on the home lane see it: a service may hold one for longer than it is.
class RelayedCallOwner {
 public:
  virtual ~RelayedCallOwner() = default;
  // The call has an answer to be taken at the end of the turn.
  virtual void MarkDirty(RelayedCall* call) = 0;
  // Calls whose reading is paused hold so many bytes more, or less. False if all of them together
  // hold too many now.
  [[nodiscard]] virtual bool CountHeld(int64_t change) = 0;
  virtual Executor* home() const = 0;
};

class RelayedCall final : public Call, public std::enable_shared_from_this<RelayedCall> {
 public:
  // `client` is the I/O lane's. `output_high_mark` in bytes: Http2Options::call_output_high_mark.
  RelayedCall(std::shared_ptr<RelayedCallOwner> owner, CallRef client, size_t output_high_mark)
      : owner_(std::move(owner)), client_(std::move(client)), output_high_mark_(output_high_mark) {}

  // Call. Metadata and deadline do not change once a method has started, so both lanes may read.
  std::optional<std::string_view> Metadata(std::string_view name) const override {
    return client_->Metadata(name);
  }
  Instant deadline() const override { return client_->deadline(); }
  bool open() const override { return !finished_ && !closed_; }
  void Send(const google::protobuf::MessageLite& message) override;
  void SendBytes(std::string_view message) override;
  void BeginMessage(size_t bytes) override;
  void SendPart(std::string_view part) override;
  void Finish(const absl::Status& status) override;
  void Abandon() override;
  size_t queued_bytes() const override;
  bool Writable() const override { return open() && queued_bytes() < output_high_mark_; }
  void PauseReading() override;
  void ResumeReading() override;
  void SetHandler(std::unique_ptr<StreamHandler> handler) override;

  // What follows is the relay's, on the home lane.
  RelayedAnswer TakeAnswer();
  // What the client does, in order.
  void OnMessage(std::string message);
  void OnHalfClose();
  void OnRoom();
  void OnClosed();

  // On the I/O lane.
  const CallRef& client() const { return client_; }
  static void SendTo(Call& client, std::string_view messages);
  // The client has taken bytes of the response. True if the service is to be told of the room.
  [[nodiscard]] bool OnTaken(size_t bytes);
  // Whether the service need not be told of the end: it has answered, and has no handler.
  bool end_is_known = false;

 private:
  enum class Piece : char { kMessage, kBegin, kPart };

  void AppendPiece(Piece piece, size_t size);
  void AfterOutput(size_t bytes);
  void OweWritable();
  bool QueueIsLow() const { return queued_bytes() < output_high_mark_ / 2; }
  void Hold(std::string message);
  void DeliverHeld();
  void DropHeld();
  void MarkDirty();

  const std::shared_ptr<RelayedCallOwner> owner_;
  const CallRef client_;
  const size_t output_high_mark_;

  // The home lane's.
  std::unique_ptr<StreamHandler> handler_;
  RelayedAnswer answer_;
  bool dirty_ = false;
  bool finished_ = false;
  bool closed_ = false;
  bool paused_ = false;
  // What was on its way when reading was paused: the I/O lane has granted its window again before
  // it heard. It reads on only once nothing is held here.
  std::list<std::string> held_;
  bool end_held_ = false;

  // Of both. Bytes of the response in their frames: sent here, and taken by the client there.
  std::atomic<uint64_t> sent_ = 0;
  std::atomic<uint64_t> taken_ = 0;
  std::atomic<bool> owes_writable_ = false;
};

}  // namespace conclave::server
