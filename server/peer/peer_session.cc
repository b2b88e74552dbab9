#include "server/peer/peer_session.h"

#include <optional>
#include <utility>

#include "fmt/format.h"
#include "raft/base/text.h"

namespace conclave::server {

PeerSession::PeerSession(const PeerContext* context, PeerSessionOwner* owner, uint64_t number,
                         ScopedFd fd)
    : context_(context), owner_(owner), number_(number), stream_(context, std::move(fd), this) {
  const Instant deadline = context_->loop->Now() + context_->options->handshake_timeout;
  handshake_timer_ = context_->loop->RunAt(deadline, [this] {
    handshake_timer_ = 0;
    stream_.Close();
    OnStreamClosed(absl::DeadlineExceededError(guest_ ? "a guest that stayed too long"
                                                      : "it did not say who it is"));
  });
}

PeerSession::~PeerSession() { CancelTimer(); }

void PeerSession::SendAnswer(uint64_t call, const absl::StatusOr<std::string>& answer) {
  if (!open_) return;
  guest_waits_ = false;
  const size_t bytes_max = context_->options->message_bytes_max;
  std::string& frame = stream_.BeginFrame(FrameKind::kAnswer);
  if (answer.ok() && answer->size() > bytes_max) {
    AppendAnswer(call, absl::ResourceExhaustedError("answer too large for a peer frame"), frame);
  } else {
    AppendAnswer(call, answer, frame);
  }
  stream_.EndFrame();
}

void PeerSession::Close() {
  CancelTimer();
  open_ = false;
  stream_.Close();
}

absl::StatusOr<size_t> PeerSession::OnHandshakeBytes(std::string_view input) {
  absl::StatusOr<std::optional<Parsed<Hello>>> parsed = ParseHello(input);
  if (!parsed.ok()) return parsed.status();
  if (!parsed->has_value()) return 0;
  const Hello& hello = (*parsed)->value;
  const Verdict verdict = owner_->Judge(hello);
  std::string answer;
  AppendVerdict(verdict, answer);
  stream_.WriteHandshake(answer);
  if (verdict.kind != VerdictKind::kAccepted) {
    CancelTimer();
    refused_ = true;
    stream_.CloseAfterFlush();
    owner_->OnRefused(fmt::format("refused a connection from member {} of cluster {}: {}",
                                  HexId(hello.from), HexId(hello.cluster_id), verdict.refusal));
    return (*parsed)->size;
  }
  open_ = true;
  guest_ = hello.guest();
  if (guest_) {
    stream_.StartFrames(
        {.payload_bytes_max = kGuestPayloadBytesMax, .unread_bytes_max = kGuestUnreadBytesMax});
    return (*parsed)->size;
  }
  stream_.StartFrames();
  CancelTimer();
  peer_ = hello.from;
  owner_->OnSessionOpened(this);
  return (*parsed)->size;
}

absl::Status PeerSession::OnFrame(const Frame& frame) {
  if (frame.kind == FrameKind::kMessages && !guest_) {
    // The one copy: the entries of all its messages share this block from here to the log.
    return DecodeMessages(Bytes::Copy(frame.payload), messages_);
  }
  if (frame.kind != FrameKind::kCall) {
    return absl::DataLossError("only calls come from a guest, and no answers from a peer here");
  }
  absl::StatusOr<CallFrame> call = DecodeCall(frame.payload);
  if (!call.ok()) return call.status();
  if (guest_ && std::exchange(guest_waits_, true)) {
    return absl::DataLossError("a guest asks one question at a time");
  }
  owner_->OnCall(this, *call);
  return absl::OkStatus();
}

void PeerSession::OnReadDone() {
  messages_spoofed_ += std::erase_if(messages_, [this](const raft::Message& message) {
    return message.from != peer_ || message.to != context_->options->id;
  });
  if (!messages_.empty()) owner_->OnMessages(this, messages_);
  messages_.clear();
}

void PeerSession::OnStreamClosed(const absl::Status& why) {
  CancelTimer();
  open_ = false;
  owner_->OnSessionClosed(this, why);
}

void PeerSession::CancelTimer() {
  if (handshake_timer_ != 0) context_->loop->CancelTimer(handshake_timer_);
  handshake_timer_ = 0;
}

}  // namespace conclave::server
