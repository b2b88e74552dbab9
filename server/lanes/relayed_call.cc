#include "server/lanes/relayed_call.h"

#include <utility>

#include "raft/base/check.h"
#include "raft/base/coding.h"
#include "raft/base/seeded_bug.h"
#include "server/http2/message_decoder.h"

namespace conclave::server {

namespace {

constexpr size_t kPieceHeaderBytes = 1 + sizeof(uint32_t);

}  // namespace

void RelayedCall::SetHandler(std::unique_ptr<StreamHandler> handler) {
  CHECK(handler_ == nullptr);
  handler_ = std::move(handler);
}

// --- The response --------------------------------------------------------------------------------

void RelayedCall::AppendPiece(Piece piece, size_t size) {
  CHECK(size <= UINT32_MAX);
  answer_.messages.push_back(static_cast<char>(piece));
  PutFixed32(answer_.messages, static_cast<uint32_t>(size));
}

void RelayedCall::SendTo(Call& client, std::string_view messages) {
  while (!messages.empty()) {
    const Piece piece = static_cast<Piece>(messages.front());
    const size_t size = LoadFixed32(messages.data() + 1);
    messages.remove_prefix(kPieceHeaderBytes);
    if (piece == Piece::kBegin) {
      client.BeginMessage(size);
      continue;
    }
    const std::string_view bytes = messages.substr(0, size);
    messages.remove_prefix(size);
    if (piece == Piece::kMessage) {
      client.SendBytes(bytes);
    } else {
      client.SendPart(bytes);
    }
  }
}

void RelayedCall::Send(const google::protobuf::MessageLite& message) {
  if (!open()) return;
  std::string& messages = answer_.messages;
  const size_t begin = messages.size();
  AppendPiece(Piece::kMessage, 0);
  CHECK(message.AppendToString(&messages));  // fails above 2 GiB only
  const size_t size = messages.size() - begin - kPieceHeaderBytes;
  StoreFixed32(messages.data() + begin + 1, static_cast<uint32_t>(size));
  AfterOutput(kMessagePrefixBytes + size);
}

void RelayedCall::SendBytes(std::string_view message) {
  if (!open()) return;
  AppendPiece(Piece::kMessage, message.size());
  answer_.messages.append(message);
  AfterOutput(kMessagePrefixBytes + message.size());
}

void RelayedCall::BeginMessage(size_t bytes) {
  if (!open()) return;
  AppendPiece(Piece::kBegin, bytes);
  AfterOutput(kMessagePrefixBytes);
}

void RelayedCall::SendPart(std::string_view part) {
  if (!open()) return;
  AppendPiece(Piece::kPart, part.size());
  answer_.messages.append(part);
  AfterOutput(part.size());
}

void RelayedCall::AfterOutput(size_t bytes) {
  sent_.store(sent_.load(std::memory_order_relaxed) + bytes, std::memory_order_release);
  if (!Writable()) OweWritable();
  MarkDirty();
}

size_t RelayedCall::queued_bytes() const {
  // Taken first: it never overtakes what was sent.
  const uint64_t taken = taken_.load();
  return sent_.load(std::memory_order_acquire) - taken;
}

// Each lane first says what it has done and then looks at what the other has, so one of the two
// sees that room is owed and there.
void RelayedCall::OweWritable() {
  owes_writable_ = true;
  if (QueueIsLow() && owes_writable_.exchange(false)) {
    owner_->home()->Post([call = shared_from_this()] { call->OnRoom(); });
  }
}

bool RelayedCall::OnTaken(size_t bytes) {
  taken_ += bytes;
  if (SEEDED_BUG(kRelayedRoomUntold)) return false;
  return owes_writable_ && QueueIsLow() && owes_writable_.exchange(false);
}

void RelayedCall::OnRoom() {
  if (!open() || handler_ == nullptr) return;
  if (!Writable()) return OweWritable();  // filled again since
  handler_->OnWritable();
}

void RelayedCall::Finish(const absl::Status& status) {
  if (!open()) return;
  finished_ = true;
  answer_.status = status;
  MarkDirty();
}

void RelayedCall::Abandon() {
  if (closed_) return;
  finished_ = true;
  answer_.abandoned = true;
  MarkDirty();
}

void RelayedCall::MarkDirty() {
  if (!std::exchange(dirty_, true)) owner_->MarkDirty(this);
}

RelayedAnswer RelayedCall::TakeAnswer() {
  dirty_ = false;
  answer_.has_handler = handler_ != nullptr;
  return std::exchange(answer_, {});
}

// --- The request ---------------------------------------------------------------------------------

void RelayedCall::OnMessage(std::string message) {
  if (!open() || handler_ == nullptr) return;
  if (paused_ || (!held_.empty() && !SEEDED_BUG(kHeldMessageOvertaken))) {
    Hold(std::move(message));
  } else {
    handler_->OnMessage(message);
  }
}

void RelayedCall::Hold(std::string message) {
  const bool fits = owner_->CountHeld(static_cast<int64_t>(message.size()));
  held_.push_back(std::move(message));
  if (fits) return;
  DropHeld();
  Finish(absl::ResourceExhaustedError("too many request bytes wait for paused calls"));
}

void RelayedCall::DropHeld() {
  int64_t bytes = 0;
  for (const std::string& message : held_) bytes += static_cast<int64_t>(message.size());
  held_.clear();
  (void)owner_->CountHeld(-bytes);
}

void RelayedCall::OnHalfClose() {
  if (!open() || handler_ == nullptr) return;
  if (paused_ || !held_.empty()) {
    end_held_ = true;
  } else {
    handler_->OnHalfClose();
  }
}

void RelayedCall::PauseReading() {
  if (!open() || std::exchange(paused_, true)) return;
  answer_.reading = RelayedAnswer::Reading::kPaused;
  MarkDirty();
}

void RelayedCall::ResumeReading() {
  if (!std::exchange(paused_, false) || !open()) return;
  // Not from here: the handler that resumes does not expect messages before it returns.
  owner_->home()->Post([call = shared_from_this()] { call->DeliverHeld(); });
}

void RelayedCall::DeliverHeld() {
  while (open() && !paused_ && !held_.empty()) {
    const std::string message = std::move(held_.front());
    held_.pop_front();
    (void)owner_->CountHeld(-static_cast<int64_t>(message.size()));
    handler_->OnMessage(message);
  }
  if (!open() || paused_) return;
  if (std::exchange(end_held_, false)) handler_->OnHalfClose();
  if (!open() || paused_) return;
  answer_.reading = RelayedAnswer::Reading::kResumed;
  MarkDirty();
}

void RelayedCall::OnClosed() {
  closed_ = true;
  DropHeld();
  if (handler_ == nullptr) return;
  const std::unique_ptr<StreamHandler> handler = std::move(handler_);
  handler->OnClosed();
}

}  // namespace conclave::server
