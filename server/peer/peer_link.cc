#include "server/peer/peer_link.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "raft/base/check.h"
#include "raft/base/text.h"

namespace conclave::server {
namespace {

// Whatever carries entries may wait for room; the rest is small, and without it a leader loses its
// quorum.
bool IsBulk(const raft::Message& message) {
  if (const auto* append = std::get_if<raft::AppendRequest>(&message.body)) {
    return !append->entries.empty();
  }
  return std::holds_alternative<raft::ProposeRequest>(message.body);
}

// Addresses for which Resolve does not ask the name service, and so does not block.
bool ResolvesAtOnce(const SocketUrl& url) {
  return !url.unix_path.empty() || url.host == "localhost" ||
         SocketAddress::FromIp(url.host, url.port).ok();
}

}  // namespace

PeerLink::PeerLink(const PeerContext* context, PeerLinkOwner* owner, PeerAddress peer,
                   Random random)
    : context_(context), owner_(owner), peer_(std::move(peer)), random_(random) {
  PauseAndRedial(Duration(0));
}

PeerLink::~PeerLink() {
  *alive_ = false;
  Stop();
}

void PeerLink::SetUrls(std::vector<std::string> urls) {
  if (stopped_ || urls == peer_.urls) return;
  peer_.urls = std::move(urls);
  url_next_ = 0;
  urls_untried_ = 0;
  addresses_.clear();
  if (stream_ != nullptr) return;
  connector_.reset();
  PauseAndRedial(Duration(0));
}

void PeerLink::DialSoon() {
  if (pausing_) PauseAndRedial(Duration(0));
}

size_t PeerLink::Send(const std::vector<raft::Message>& messages) {
  size_t addressed = 0;
  size_t dropped = 0;
  std::string* frame = nullptr;
  for (const raft::Message& message : messages) {
    if (message.to != peer_.id) continue;
    ++addressed;
    if (!open_ || !Admits(message, stream_->queued_bytes() + (frame ? frame->size() : 0))) {
      ++dropped;
      continue;
    }
    if (frame == nullptr) frame = &stream_->BeginFrame(FrameKind::kMessages);
    const size_t before = frame->size();
    AppendMessage(message, *frame);
    if (frame->size() - before > context_->options->message_bytes_max) {
      context_->options->log(fmt::format("message of {} bytes to member {} dropped: at most {} go",
                                         frame->size() - before, HexId(peer_.id),
                                         context_->options->message_bytes_max));
      frame->resize(before);
      ++dropped;
    }
    if (frame->size() < kFrameBytesTarget) continue;
    stream_->EndFrame();
    frame = nullptr;
  }
  if (frame != nullptr) stream_->EndFrame();
  counters_.messages_sent += addressed - dropped;
  counters_.messages_dropped += dropped;
  return addressed;
}

bool PeerLink::Admits(const raft::Message& message, size_t unsent_bytes) {
  const PeerNetworkOptions& options = *context_->options;
  if (unsent_bytes <= options.queue_bytes_max / 2) overflowing_ = false;
  const size_t limit = IsBulk(message) ? options.queue_bytes_max : QueueBytesLimit(options);
  if (unsent_bytes < limit) return true;
  if (!overflowing_) {
    overflowing_ = true;
    owner_->OnLinkOverflow(peer_.id);
  }
  return false;
}

bool PeerLink::HasRoom() const {
  return stream_->queued_bytes() < context_->options->queue_bytes_max;
}

void PeerLink::SendCall(const CallFrame& call) {
  CHECK(open_);
  AppendCall(call, stream_->BeginFrame(FrameKind::kCall));
  stream_->EndFrame();
}

void PeerLink::Tick() {
  if (open_) stream_->Tick();
}

void PeerLink::Stop() {
  stopped_ = true;
  CancelTimer();
  connector_.reset();
  open_ = false;
  // Kept as an object: the stream may be what is calling.
  if (stream_ != nullptr) stream_->Close();
}

PeerLinkCounters PeerLink::counters() const {
  PeerLinkCounters counters = counters_;
  if (stream_ != nullptr) {
    counters.bytes_sent += stream_->bytes_sent();
    counters.bytes_received += stream_->bytes_received();
  }
  return counters;
}

Hello PeerLink::OwnHello() const {
  const PeerNetworkOptions& options = *context_->options;
  Hello hello{.cluster_id = options.cluster_id, .from = options.id, .to = peer_.id};
  std::string urls = fmt::format("{}", fmt::join(options.own_urls, ","));
  if (urls.size() <= kHelloUrlsBytesMax) hello.urls = std::move(urls);
  return hello;
}

std::string PeerLink::PeerName() const {
  if (peer_.id != raft::kNoNode) return fmt::format("member {}", HexId(peer_.id));
  return fmt::format("{}", fmt::join(peer_.urls, ","));
}

// ---- Dialling. ----

void PeerLink::StartRound() {
  urls_untried_ = peer_.urls.size();
  addresses_.clear();
  refused_ = false;
  TryNext();
}

void PeerLink::TryNext() {
  if (!addresses_.empty()) {
    const SocketAddress address = std::move(addresses_.front());
    addresses_.pop_front();
    connector_ = std::make_unique<Connector>(
        context_->loop, address, context_->options->connect_timeout,
        [this](absl::StatusOr<ScopedFd> socket) { OnConnected(std::move(socket)); });
  } else if (urls_untried_ > 0) {
    --urls_untried_;
    ResolveNextUrl();
  } else {
    RoundFailed();
  }
}

void PeerLink::ResolveNextUrl() {
  if (resolving_) return;  // its result goes on from here
  const std::string& text = peer_.urls[url_next_ % peer_.urls.size()];
  url_next_ = (url_next_ + 1) % peer_.urls.size();
  absl::StatusOr<SocketUrl> url = ParseSocketUrl(text);
  if (url.ok() && url->tls) url = absl::UnimplementedError(fmt::format("{}: no TLS here", text));
  if (!url.ok() || ResolvesAtOnce(*url)) {
    OnResolved(url.ok() ? Resolve(*url) : url.status());
    return;
  }
  resolving_ = true;
  context_->background->Post([this, alive = alive_, loop = context_->loop, url = *url] {
    loop->Post([this, alive, addresses = Resolve(url)]() mutable {
      if (!*alive) return;
      resolving_ = false;
      const bool waited_for = !stopped_ && !pausing_ && connector_ == nullptr && stream_ == nullptr;
      if (waited_for) OnResolved(std::move(addresses));
    });
  });
}

void PeerLink::OnResolved(absl::StatusOr<std::vector<SocketAddress>> addresses) {
  if (!addresses.ok()) {
    AttemptFailed(MessageOf(addresses.status()));
    return;
  }
  addresses_.assign(addresses->begin(), addresses->end());
  TryNext();
}

void PeerLink::OnConnected(absl::StatusOr<ScopedFd> socket) {
  if (!socket.ok()) {
    connector_.reset();
    AttemptFailed(MessageOf(socket.status()));
    return;
  }
  stream_ = std::make_unique<PeerStream>(context_, *std::move(socket),
                                         static_cast<PeerStreamOwner*>(this));
  connector_.reset();
  std::string hello;
  AppendHello(OwnHello(), hello);
  stream_->WriteHandshake(hello);
  timer_ =
      context_->loop->RunAt(context_->loop->Now() + context_->options->handshake_timeout, [this] {
        timer_ = 0;
        DropStream();
        AttemptFailed("no answer to the handshake");
      });
}

void PeerLink::AttemptFailed(std::string_view why) {
  LogOnce(fmt::format("cannot connect to {}: {}", PeerName(), why));
  TryNext();
}

void PeerLink::RoundFailed() {
  ++rounds_failed_;
  PauseAndRedial(NextPause());
  ReportDown(/*was_open=*/false);
}

void PeerLink::ReportDown(bool was_open) {
  if (!std::exchange(reported_down_, true)) owner_->OnLinkDown(peer_.id, was_open);
}

void PeerLink::PauseAndRedial(Duration pause) {
  CancelTimer();
  pausing_ = true;
  timer_ = context_->loop->RunAt(context_->loop->Now() + pause, [this] {
    timer_ = 0;
    pausing_ = false;
    StartRound();
  });
}

// Doubles with every failed round up to the bound, and is somewhere in its upper half, so that
// members that lost each other at the same moment do not dial at the same moment for ever.
Duration PeerLink::NextPause() {
  const PeerNetworkOptions& options = *context_->options;
  Duration pause = refused_ ? options.redial_max : options.redial_min;
  for (int i = 1; i < rounds_failed_ && pause < options.redial_max; ++i) pause *= 2;
  pause = std::min(pause, options.redial_max);
  return pause / 2 + Duration(random_.Below(static_cast<uint64_t>(pause.count()) / 2 + 1));
}

// ---- The connection. ----

absl::StatusOr<size_t> PeerLink::OnHandshakeBytes(std::string_view input) {
  absl::StatusOr<std::optional<Parsed<Verdict>>> parsed = ParseVerdict(input);
  if (!parsed.ok()) return parsed.status();
  if (!parsed->has_value()) return 0;
  const Verdict& verdict = (*parsed)->value;
  const Hello hello = OwnHello();
  if (std::string reason = ReasonToRefuse(verdict, hello); !reason.empty()) {
    refused_ = true;
    if (SaysRemoved(verdict, hello)) owner_->OnRemoved(peer_.id);
    return absl::FailedPreconditionError(reason);
  }
  CancelTimer();
  stream_->StartFrames();
  open_ = true;
  open_since_ = context_->loop->Now();
  reported_down_ = false;
  rounds_failed_ = 0;
  overflowing_ = false;
  logged_.clear();
  context_->options->log(fmt::format("connected to {}", PeerName()));
  owner_->OnLinkOpen(peer_.id);
  return (*parsed)->size;
}

absl::Status PeerLink::OnFrame(const Frame& frame) {
  if (frame.kind != FrameKind::kAnswer) {
    return absl::DataLossError("only answers come back on a connection that was dialled");
  }
  absl::StatusOr<AnswerFrame> answer = DecodeAnswer(frame.payload);
  if (!answer.ok()) return answer.status();
  owner_->OnAnswer(peer_.id, *std::move(answer));
  return absl::OkStatus();
}

void PeerLink::OnRoundTrip(Duration elapsed) { context_->options->round_trip(peer_.id, elapsed); }

void PeerLink::OnStreamClosed(const absl::Status& why) {
  CancelTimer();
  if (IsProtocolError(why)) ++counters_.protocol_errors;
  const bool was_open = std::exchange(open_, false);
  DropStream();
  if (!was_open) {
    AttemptFailed(MessageOf(why));
    return;
  }
  // At once: the peer's process may be fine, or back already. But not again and again.
  const bool lasted = context_->loop->Now() - open_since_ >= context_->options->election_timeout;
  PauseAndRedial(lasted ? Duration(0) : context_->options->redial_max);
  context_->options->log(fmt::format("lost the connection to {}: {}", PeerName(), MessageOf(why)));
  ReportDown(/*was_open=*/true);
}

void PeerLink::DropStream() {
  stream_->Close();
  counters_.bytes_sent += stream_->bytes_sent();
  counters_.bytes_received += stream_->bytes_received();
  last_received_ = stream_->last_received();
  stream_.reset();
}

void PeerLink::CancelTimer() {
  if (timer_ != 0) context_->loop->CancelTimer(timer_);
  timer_ = 0;
  pausing_ = false;
}

void PeerLink::LogOnce(const std::string& line) {
  if (line == logged_) return;
  logged_ = line;
  context_->options->log(line);
}

}  // namespace conclave::server
