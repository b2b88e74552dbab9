#include "server/http2/stream_call.h"

#include <utility>

#include "raft/base/check.h"
#include "server/http2/session.h"

namespace conclave::server {

StreamCall::StreamCall(Session* session, int32_t stream_id, std::string output_buffer)
    : session_(session),
      stream_id_(stream_id),
      headers_(session->context().methods),
      decoder_(session->context().http2.receive_message_bytes_max),
      output_(std::move(output_buffer)) {}

StreamCall::~StreamCall() { CHECK(session_ == nullptr); }

std::optional<std::string_view> StreamCall::Metadata(std::string_view name) const {
  return headers_.Metadata(name);
}

void StreamCall::SetHandler(std::unique_ptr<StreamHandler> handler) {
  CHECK(handler_ == nullptr);
  handler_ = std::move(handler);
}

// --- The request ---------------------------------------------------------------------------------

void StreamCall::Start() {
  if (const auto refusal = headers_.Check()) {
    return Refuse(refusal->http_status, refusal->status);
  }
  method_ = headers_.method();
  EventLoop* const loop = session_->context().loop;
  started_at_ = loop->Now();
  if (RpcObserver* observer = session_->context().observer) observer->OnStarted(*method_);
  if (const std::optional<Duration> timeout = headers_.timeout()) {
    // What would overflow is as good as never.
    if (*timeout < kNever - started_at_) {
      deadline_ = started_at_ + *timeout;
      deadline_timer_ = loop->RunAt(deadline_, [this] { OnDeadline(); });
    }
  }
  if (method_->kind == MethodKind::kBidirectional) method_->on_start(shared_from_this());
}

void StreamCall::Refuse(int http_status, const absl::Status& status) {
  http_status_ = http_status;
  Finish(status);
}

void StreamCall::Receive(std::string_view chunk) {
  unconsumed_ += chunk.size();
  if (open()) {
    decoder_.Add(chunk);
    Deliver();
    if (open()) {
      decoder_.Keep();
    } else {
      decoder_.Drop();  // nobody wants the rest, but its window goes back
    }
  }
  AfterDelivery();
}

void StreamCall::Deliver() {
  while (open() && !paused_) {
    std::string_view message;
    switch (decoder_.Next(&message)) {
      case MessageDecoder::Result::kMessage:
        DeliverMessage(message);
        break;
      case MessageDecoder::Result::kNeedMore:
        return;
      case MessageDecoder::Result::kError:
        return Finish(decoder_.status());
    }
  }
}

void StreamCall::DeliverMessage(std::string_view message) {
  if (RpcObserver* observer = session_->context().observer) {
    observer->OnMessageReceived(*method_, message.size());
  }
  if (method_->kind == MethodKind::kBidirectional) {
    if (handler_ != nullptr) handler_->OnMessage(message);
  } else if (!std::exchange(request_given_, true)) {
    // At once, without waiting for the client's END_STREAM: one request is all there can be.
    method_->on_request(shared_from_this(), message);
  }
}

void StreamCall::EndInput() {
  input_ended_ = true;
  DeliverEnd();
}

void StreamCall::DeliverEnd() {
  if (!input_ended_ || !open() || paused_ || std::exchange(end_told_, true)) return;
  if (decoder_.pending_bytes() > 0) return Finish(absl::InternalError("unexpected EOF"));
  if (method_->kind == MethodKind::kBidirectional) {
    if (handler_ != nullptr) handler_->OnHalfClose();
  } else if (!request_given_) {
    Finish(absl::InternalError("the client sent no request message"));
  }
}

void StreamCall::AfterDelivery() {
  if (closed_) return;
  if (!session_->CountInput(kept_reported_, decoder_.kept_bytes())) {
    Finish(absl::ResourceExhaustedError("too many unfinished request bytes on this connection"));
    decoder_.Drop();
    session_->CountInput(kept_reported_, 0);
  }
  kept_reported_ = decoder_.kept_bytes();
  if (paused_ && open()) return;
  const size_t consumed = std::exchange(unconsumed_, 0);
  if (!input_ended_ && consumed > 0) session_->GrantStream(stream_id_, consumed);
}

void StreamCall::PauseReading() { paused_ = true; }

void StreamCall::ResumeReading() {
  if (!std::exchange(paused_, false) || !open()) return;
  // Not from here: the handler that resumes does not expect messages before it returns.
  session_->context().loop->Post([call = shared_from_this()] {
    if (!call->open() || call->paused_) return;
    call->Deliver();
    call->DeliverEnd();
    if (!call->open()) call->decoder_.Drop();
    call->AfterDelivery();
  });
}

// --- The response --------------------------------------------------------------------------------

void StreamCall::Send(const google::protobuf::MessageLite& message) {
  if (open()) AfterSend(output_.Append(message));
}

void StreamCall::SendBytes(std::string_view message) {
  if (open()) AfterSend(output_.Append(message));
}

void StreamCall::AfterSend(size_t message_bytes) {
  if (RpcObserver* observer = session_->context().observer) {
    observer->OnMessageSent(*method_, message_bytes);
  }
  AfterOutput(message_bytes + kMessagePrefixBytes);
}

void StreamCall::AfterOutput(size_t bytes) {
  session_->CountOutput(static_cast<int64_t>(bytes));
  if (!Writable()) owes_writable_ = true;
  session_->MarkDirty(this);
}

void StreamCall::BeginMessage(size_t bytes) {
  if (!open()) return;
  CHECK(part_bytes_left_ == 0);
  part_bytes_left_ = bytes;
  output_.AppendPrefix(bytes);
  AfterSend(bytes);
  session_->CountOutput(-static_cast<int64_t>(bytes));  // they come with the parts
}

void StreamCall::SendPart(std::string_view part) {
  if (!open()) return;
  CHECK(!part.empty() && part.size() <= part_bytes_left_);
  part_bytes_left_ -= part.size();
  output_.AppendPart(part);
  AfterOutput(part.size());
}

bool StreamCall::Writable() const {
  return open() && output_.size() < session_->context().http2.call_output_high_mark;
}

bool StreamCall::TakeOutput(size_t size) {
  output_.Take(size);
  session_->CountOutput(-static_cast<int64_t>(size));
  if (handler_ != nullptr) handler_->OnTaken(size);
  return WritableIsDue();
}

bool StreamCall::WritableIsDue() const {
  return owes_writable_ && output_.size() < session_->context().http2.call_output_high_mark / 2;
}

void StreamCall::TellWritable() {
  // Several frames may have announced the room that the first telling has filled: then it is owed
  // again, but not yet.
  if (!open() || !WritableIsDue()) return;
  owes_writable_ = false;
  if (handler_ != nullptr) handler_->OnWritable();
}

void StreamCall::Finish(const absl::Status& status) {
  if (!open()) return;
  finished_ = true;
  status_ = status;
  CancelTimer();
  ReportHandled(status.code());
  session_->MarkDirty(this);
}

void StreamCall::Abandon() {
  if (closed_) return;
  Finish(absl::ResourceExhaustedError("the client does not take the response"));
  session_->ResetCall(
      stream_id_);  // the output goes when the stream is closed: a frame may be amid
}

void StreamCall::OnDeadline() {
  deadline_timer_ = 0;
  const CallRef keep = shared_from_this();
  // The words of Go's context package, which etcd's clients know.
  Finish(absl::DeadlineExceededError("context deadline exceeded"));
  CloseHandler();
}

void StreamCall::Close() {
  if (std::exchange(closed_, true)) return;
  CancelTimer();
  if (!finished_) ReportHandled(absl::StatusCode::kCancelled);
  session_->CountInput(kept_reported_, 0);
  kept_reported_ = 0;
  session_->CountOutput(-static_cast<int64_t>(output_.size()));
  session_->KeepBuffer(output_.Release());
  session_ = nullptr;
  decoder_.Drop();
  CloseHandler();
}

void StreamCall::CloseHandler() {
  if (handler_ == nullptr) return;
  const std::unique_ptr<StreamHandler> handler = std::move(handler_);
  handler->OnClosed();
}

void StreamCall::CancelTimer() {
  if (deadline_timer_ != 0) {
    session_->context().loop->CancelTimer(std::exchange(deadline_timer_, 0));
  }
}

void StreamCall::ReportHandled(absl::StatusCode code) {
  RpcObserver* const observer = session_->context().observer;
  if (observer == nullptr || method_ == nullptr) return;
  observer->OnHandled(*method_, code, session_->context().loop->Now() - started_at_);
}

}  // namespace conclave::server
