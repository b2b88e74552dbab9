#include "server/peer/peer_stream.h"

#include <optional>
#include <utility>

#include "raft/base/check.h"

namespace conclave::server {
namespace {

// Buffers that one large frame has grown are not kept at that size.
constexpr size_t kBufferBytesKept = 1 << 20;

// Time for a refusal to reach the other end.
constexpr Duration kFlushLimit = Seconds(1);

uint64_t Nanoseconds(Instant instant) {
  return static_cast<uint64_t>(instant.time_since_epoch().count());
}

void Recycle(std::string& buffer) {
  buffer.clear();
  if (buffer.capacity() > kBufferBytesKept) std::string().swap(buffer);
}

// PeerLink heeds its bounds and adds one message at most to the limit; what this one stops is a
// peer that asks (calls, pings) without reading the answers.
size_t OutputBytesMax(const PeerNetworkOptions& options) {
  return QueueBytesLimit(options) + 2 * FramePayloadBytesMax(options);
}

}  // namespace

PeerStream::PeerStream(const PeerContext* context, ScopedFd fd, PeerStreamOwner* owner)
    : context_(context),
      owner_(owner),
      connection_(std::make_unique<Connection>(
          context->loop, std::move(fd), static_cast<ConnectionHandler*>(this),
          ConnectionOptions{.output_bytes_max = OutputBytesMax(*context->options)})),
      last_received_(context->loop->Now()) {}

void PeerStream::WriteHandshake(std::string_view bytes) {
  CHECK(!closed() && !framed_);
  connection_->Write(bytes);
}

void PeerStream::StartFrames() {
  StartFrames({.payload_bytes_max = FramePayloadBytesMax(*context_->options),
               .unread_bytes_max = OutputBytesMax(*context_->options)});
}

void PeerStream::StartFrames(const StreamBounds& bounds) {
  framed_ = true;
  bounds_ = bounds;
}

std::string& PeerStream::BeginFrame(FrameKind kind) {
  CHECK(!closed() && framed_ && scratch_.empty());
  server::BeginFrame(kind, scratch_);
  return scratch_;
}

void PeerStream::EndFrame() {
  server::EndFrame(0, scratch_);
  if (!closed()) connection_->Write(scratch_);
  Recycle(scratch_);
}

void PeerStream::Tick() {
  if (closed() || !framed_ || connection_->closing()) return;
  silent_ticks_ = heard_since_tick_ ? 0 : silent_ticks_ + 1;
  heard_since_tick_ = false;
  if (silent_ticks_ >= kSilentTicksMax) {
    Fail(absl::UnavailableError("silent for an election timeout"));
    return;
  }
  ping_sent_ns_ = Nanoseconds(context_->loop->Now());
  AppendPing(ping_sent_ns_, BeginFrame(FrameKind::kPing));
  EndFrame();
}

void PeerStream::Close() {
  if (closed()) return;
  final_bytes_sent_ = connection_->bytes_sent();
  connection_.reset();
}

void PeerStream::CloseAfterFlush() {
  if (!closed()) connection_->CloseAfterFlush(kFlushLimit);
}

void PeerStream::OnBytes(std::string_view bytes) {
  bytes_received_ += bytes.size();
  last_received_ = context_->loop->Now();
  heard_since_tick_ = true;
  size_t used = 0;
  absl::Status status;
  if (input_.empty()) {
    status = Consume(bytes, used);
    input_.append(bytes.substr(used));
  } else {
    input_.append(bytes);
    status = Consume(input_, used);
    if (used == input_.size()) {
      Recycle(input_);
    } else {
      input_.erase(0, used);
    }
  }
  if (!status.ok()) Fail(status);
}

absl::Status PeerStream::Consume(std::string_view input, size_t& used) {
  absl::Status status;
  while (!closed() && !connection_->closing()) {
    absl::StatusOr<size_t> step =
        framed_ ? ConsumeFrame(input.substr(used)) : owner_->OnHandshakeBytes(input.substr(used));
    status = step.status();
    if (!status.ok() || *step == 0) break;
    used += *step;
  }
  // What came whole before a damaged frame is good, and counts.
  if (!closed() && framed_) owner_->OnReadDone();
  return status;
}

absl::StatusOr<size_t> PeerStream::ConsumeFrame(std::string_view input) {
  absl::StatusOr<std::optional<Frame>> frame = ParseFrame(input, bounds_.payload_bytes_max);
  if (!frame.ok()) return frame.status();
  if (!frame->has_value()) return 0;
  if (absl::Status status = HandleFrame(**frame); !status.ok()) return status;
  return (*frame)->size();
}

absl::Status PeerStream::HandleFrame(const Frame& frame) {
  if (queued_bytes() > bounds_.unread_bytes_max) {
    return absl::ResourceExhaustedError("it asks without reading the answers");
  }
  switch (frame.kind) {
    case FrameKind::kPing:
      if (absl::Status status = DecodePing(frame.payload).status(); !status.ok()) return status;
      SendPong(frame.payload);
      return absl::OkStatus();
    case FrameKind::kPong:
      return HandlePong(frame.payload);
    case FrameKind::kMessages:
    case FrameKind::kCall:
    case FrameKind::kAnswer:
      break;
  }
  return owner_->OnFrame(frame);
}

void PeerStream::SendPong(std::string_view ping) {
  BeginFrame(FrameKind::kPong).append(ping);
  EndFrame();
}

absl::Status PeerStream::HandlePong(std::string_view payload) {
  absl::StatusOr<uint64_t> sent_ns = DecodePing(payload);
  if (!sent_ns.ok()) return sent_ns.status();
  // Only the last ping is measured: its time is known here and need not be believed.
  if (*sent_ns != ping_sent_ns_ || ping_sent_ns_ == 0) return absl::OkStatus();
  const uint64_t now_ns = Nanoseconds(context_->loop->Now());
  owner_->OnRoundTrip(Duration(now_ns - ping_sent_ns_));
  ping_sent_ns_ = 0;
  return absl::OkStatus();
}

void PeerStream::OnClosed(const absl::Status& why) {
  Fail(why.ok() ? absl::UnavailableError("closed by the other end") : why);
}

void PeerStream::Fail(const absl::Status& why) {
  if (closed()) return;
  Close();
  owner_->OnStreamClosed(why);
}

}  // namespace conclave::server
