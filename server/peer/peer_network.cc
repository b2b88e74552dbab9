#include "server/peer/peer_network.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "kvstore/errors.h"
#include "raft/base/text.h"
#include "server/net/address.h"
#include "server/peer/handshake.h"

namespace conclave::server {
namespace {

// A misconfigured neighbour dials twice a second; its line is written this often.
constexpr Duration kRefusalLogPause = Seconds(30);

// Of the URLs that a stranger says it listens at, so many are tried: a hello has room for
// thousands.
constexpr size_t kStrangerUrlsMax = 8;

}  // namespace

absl::StatusOr<std::unique_ptr<PeerNetwork>> PeerNetwork::Start(EventLoop* loop,
                                                                Executor* background,
                                                                PeerNetworkOptions options) {
  std::vector<PeerAddress> peers = std::move(options.peers);
  std::unique_ptr<PeerNetwork> network(new PeerNetwork(loop, background, std::move(options)));
  for (const std::string& url : network->options_.listen_urls) {
    if (absl::Status status = network->Listen(url); !status.ok()) return status;
  }
  network->SetPeers(std::move(peers));
  network->ArmTick();
  return network;
}

PeerNetwork::PeerNetwork(EventLoop* loop, Executor* background, PeerNetworkOptions options)
    : loop_(loop),
      options_(std::move(options)),
      context_{.loop = loop, .background = background, .options = &options_},
      random_(options_.seed),
      calls_(loop) {}

PeerNetwork::~PeerNetwork() {
  *alive_ = false;
  loop_->CancelTimer(tick_timer_);
  for (const auto& [id, peer] : peers_) loop_->CancelTimer(peer.leave_timer);
}

absl::Status PeerNetwork::Listen(const std::string& url_text) {
  absl::StatusOr<SocketUrl> url = ParseSocketUrl(url_text);
  if (!url.ok()) return url.status();
  if (url->tls) {
    return absl::InvalidArgumentError(fmt::format("{}: peers are served without TLS", url_text));
  }
  absl::StatusOr<std::vector<SocketAddress>> addresses = Resolve(*url);
  if (!addresses.ok()) return addresses.status();
  absl::StatusOr<std::unique_ptr<Listener>> listener =
      Listener::Listen(loop_, addresses->front(), [this](ScopedFd fd) { Accept(std::move(fd)); });
  if (!listener.ok()) return listener.status();
  listeners_.push_back(*std::move(listener));
  return absl::OkStatus();
}

void PeerNetwork::Accept(ScopedFd fd) {
  const auto waiting = std::count_if(sessions_.begin(), sessions_.end(), [](const auto& entry) {
    return !entry.second->open() || entry.second->guest();
  });
  if (static_cast<size_t>(waiting) >= options_.handshakes_max) {
    ++counters_.connections_refused;
    LogRefusal("closed a new connection: too many that have not said who they are");
    return;
  }
  const uint64_t number = ++last_session_;
  sessions_.emplace(
      number, std::make_unique<PeerSession>(&context_, static_cast<PeerSessionOwner*>(this), number,
                                            std::move(fd)));
}

void PeerNetwork::Send(std::vector<raft::Message> messages) {
  for (const raft::Message& message : messages) RefuseIfCutOff(message);
  size_t addressed = 0;
  for (auto& [id, peer] : peers_) addressed += peer.link->Send(messages);
  counters_.messages_unknown += messages.size() - addressed;
}

// Proposals that cannot leave certainly come to nothing, so their proposer need not wait for its
// timeout to know.
void PeerNetwork::RefuseIfCutOff(const raft::Message& message) {
  const auto* request = std::get_if<raft::ProposeRequest>(&message.body);
  if (request == nullptr) return;
  const auto peer = peers_.find(message.to);
  if (peer == peers_.end() || peer->second.link->open()) return;
  raft::ProposeResponse refusal{.reason = raft::RejectReason::kNoLeader, .rejected = {}};
  for (const raft::Proposal& proposal : request->proposals) refusal.rejected.push_back(proposal.id);
  raft::Message answer{message.to, message.from, message.term, std::move(refusal)};
  loop_->Post([this, alive = alive_, answer = std::move(answer)]() mutable {
    if (!*alive || !receiver_.received) return;
    std::vector<raft::Message> answers{std::move(answer)};
    receiver_.received(answers);
  });
}

void PeerNetwork::CallPeer(raft::NodeId peer, PeerMethod method, std::string request,
                           Duration timeout, Answer answer) {
  const auto found = peers_.find(peer);
  if (found == peers_.end() || !found->second.link->open()) {
    FailSoon(std::move(answer), kv::ErrNoLeader());
  } else if (request.size() > options_.message_bytes_max) {
    FailSoon(std::move(answer), kv::ErrRequestTooLarge());
  } else if (calls_.size() >= options_.calls_pending_max || !found->second.link->HasRoom()) {
    FailSoon(std::move(answer), kv::ErrTooManyRequests());
  } else {
    const uint64_t call = calls_.Add(peer, timeout, std::move(answer));
    found->second.link->SendCall({.call = call, .method = method, .request = request});
  }
}

void PeerNetwork::FailSoon(Answer answer, absl::Status why) {
  loop_->Post([answer = std::move(answer), why = std::move(why)]() mutable { answer(why); });
}

std::optional<Instant> PeerNetwork::ConnectedSince(raft::NodeId id) const {
  const auto peer = peers_.find(id);
  if (peer == peers_.end() || !peer->second.link->open()) return std::nullopt;
  return peer->second.link->open_since();
}

void PeerNetwork::SetHandler(PeerMethod method, Handler handler) {
  if (handler) {
    handlers_[method] = std::move(handler);
  } else {
    handlers_.erase(method);
  }
}

// ---- Who the peers are. ----

void PeerNetwork::SetPeers(std::vector<PeerAddress> peers) {
  std::set<raft::NodeId> listed;
  for (PeerAddress& peer : peers) {
    listed.insert(peer.id);
    SetPeer(std::move(peer));
  }
  for (auto& [id, peer] : peers_) {
    if (listed.contains(id) || (peer.stranger && !options_.is_removed(id))) continue;
    LeaveLater(id, peer);
  }
}

void PeerNetwork::LeaveLater(raft::NodeId id, Peer& peer) {
  if (peer.leave_timer != 0) return;
  peer.leave_timer = loop_->RunAt(loop_->Now() + options_.election_timeout, [this, id] {
    peers_[id].leave_timer = 0;
    RemovePeer(id);
  });
}

void PeerNetwork::SetPeer(PeerAddress peer) {
  if (peer.id == options_.id) {
    options_.own_urls = std::move(peer.urls);
    return;
  }
  Peer& entry = peers_[peer.id];
  entry.stranger = false;
  loop_->CancelTimer(std::exchange(entry.leave_timer, 0));
  if (entry.link != nullptr) {
    entry.link->SetUrls(std::move(peer.urls));
    return;
  }
  const Random random = random_.Stream(HexId(peer.id));
  entry.link = std::make_unique<PeerLink>(&context_, static_cast<PeerLinkOwner*>(this),
                                          std::move(peer), random);
}

void PeerNetwork::RemovePeer(raft::NodeId id) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  if (PeerSession* session = found->second.session; session != nullptr) {
    session->Close();
    Retire(session);
  }
  loop_->CancelTimer(found->second.leave_timer);
  found->second.link->Stop();
  // Destroyed later, as the link may be what is calling.
  loop_->Post([this, alive = alive_, id, link = std::move(found->second.link)] {
    if (*alive) calls_.FailAll(id, kv::ErrNoLeader());
  });
  peers_.erase(found);
}

bool PeerNetwork::Befriend(const Hello& hello) {
  const auto strangers = std::count_if(peers_.begin(), peers_.end(),
                                       [](const auto& entry) { return entry.second.stranger; });
  if (hello.urls.empty() || static_cast<size_t>(strangers) >= options_.strangers_max) return false;
  PeerAddress address{.id = hello.from, .urls = {}};
  for (std::string_view rest = hello.urls;
       !rest.empty() && address.urls.size() < kStrangerUrlsMax;) {
    const std::string_view url = rest.substr(0, rest.find(','));
    address.urls.emplace_back(url);
    rest.remove_prefix(std::min(rest.size(), url.size() + 1));
  }
  options_.log(fmt::format("member {} at {} is new here", HexId(hello.from), hello.urls));
  SetPeer(std::move(address));
  Peer& stranger = peers_[hello.from];
  stranger.stranger = true;
  stranger.connected = loop_->Now();
  return true;
}

// One that has gone may never have been a member, and must not keep the place of those that are.
void PeerNetwork::ForgetStrangers() {
  std::vector<raft::NodeId> gone;
  for (auto& [id, peer] : peers_) {
    if (!peer.stranger) continue;
    if (peer.session != nullptr || peer.link->open()) peer.connected = loop_->Now();
    if (loop_->Now() - peer.connected >= options_.stranger_stay) gone.push_back(id);
  }
  for (const raft::NodeId id : gone) {
    options_.log(fmt::format("member {}, which is in no list here, is gone", HexId(id)));
    RemovePeer(id);
  }
}

// ---- What the links tell. ----

void PeerNetwork::OnRemoved(raft::NodeId) {
  if (std::exchange(removed_told_, true)) return;
  loop_->Post([this, alive = alive_] {
    if (*alive) options_.removed();
  });
}

void PeerNetwork::OnLinkDown(raft::NodeId peer, bool was_open) {
  if (was_open) ++peers_[peer].ended.disconnects;
  ReportUnreachable(peer, /*calls_lost=*/true);
}

void PeerNetwork::OnLinkOverflow(raft::NodeId peer) {
  options_.log(fmt::format("messages to member {} are dropped: {} bytes wait for it", HexId(peer),
                           options_.queue_bytes_max));
  ReportUnreachable(peer, /*calls_lost=*/false);
}

void PeerNetwork::OnAnswer(raft::NodeId peer, AnswerFrame answer) {
  calls_.Finish(peer, answer.call, std::move(answer.answer));
}

// ---- What the sessions tell. ----

Verdict PeerNetwork::Judge(const Hello& hello) {
  Verdict verdict{.cluster_id = options_.cluster_id,
                  .from = options_.id,
                  .kind = VerdictKind::kRefused,
                  .refusal = ReasonToRefuse(hello, options_.cluster_id, options_.id)};
  if (!verdict.refusal.empty()) return verdict;
  if (options_.is_removed(hello.from)) {
    verdict.kind = VerdictKind::kRemoved;
    verdict.refusal = fmt::format("{} was removed from the cluster", HexId(hello.from));
  } else if (hello.guest() || peers_.contains(hello.from) || Befriend(hello)) {
    verdict.kind = VerdictKind::kAccepted;
  } else {
    verdict.refusal = fmt::format("{} is not a member of the cluster", HexId(hello.from));
  }
  return verdict;
}

void PeerNetwork::OnSessionOpened(PeerSession* session) {
  Peer& peer = peers_[session->peer()];
  if (peer.session != nullptr) {
    // It died without a word, or its address moved: what it dialled last is what it uses.
    peer.session->Close();
    Retire(peer.session);
  }
  peer.session = session;
  options_.log(fmt::format("member {} connected", HexId(session->peer())));
  peer.link->DialSoon();
}

void PeerNetwork::OnMessages(PeerSession*, std::vector<raft::Message>& messages) {
  if (receiver_.received) receiver_.received(messages);
}

void PeerNetwork::OnCall(PeerSession* session, const CallFrame& call) {
  const auto handler = handlers_.find(call.method);
  const bool may_ask = !session->guest() || call.method == PeerMethod::kMembers;
  if (handler == handlers_.end() || !may_ask) {
    session->SendAnswer(call.call, absl::UnimplementedError("no such call between members here"));
    return;
  }
  handler->second(call.request, [this, alive = alive_, number = session->number(),
                                 id = call.call](absl::StatusOr<std::string> answer) {
    if (!*alive) return;
    const auto found = sessions_.find(number);
    if (found != sessions_.end()) found->second->SendAnswer(id, answer);
  });
}

void PeerNetwork::OnRefused(const std::string& line) {
  ++counters_.connections_refused;
  LogRefusal(line);
}

void PeerNetwork::OnSessionClosed(PeerSession* session, const absl::Status& why) {
  if (IsProtocolError(why)) ++counters_.protocol_errors;
  const raft::NodeId peer = session->peer();
  if (peer != raft::kNoNode) {
    options_.log(
        fmt::format("the connection from member {} ended: {}", HexId(peer), MessageOf(why)));
    ++peers_[peer].ended.disconnects;
    ReportUnreachable(peer, /*calls_lost=*/false);
  } else if (session->guest()) {
    const bool left = absl::IsUnavailable(why) || absl::IsDeadlineExceeded(why);
    if (!left) LogRefusal(fmt::format("ended the connection of a guest: {}", MessageOf(why)));
  } else if (!session->refused()) {
    LogRefusal(fmt::format("a connection ended before its handshake: {}", MessageOf(why)));
  }
  Retire(session);
}

void PeerNetwork::Retire(PeerSession* session) {
  if (const auto peer = peers_.find(session->peer()); peer != peers_.end()) {
    PeerStats& ended = peer->second.ended;
    ended.bytes_sent += session->bytes_sent();
    ended.bytes_received += session->bytes_received();
    ended.messages_spoofed += session->messages_spoofed();
    ended.last_received = std::max(ended.last_received, session->last_received());
    if (peer->second.session == session) peer->second.session = nullptr;
  }
  auto node = sessions_.extract(session->number());
  loop_->Post([ended = std::move(node.mapped())] {});
}

// ---- Loss, silence, log. ----

// From a task of its own, so that the receiver may do anything, even remove the peer, whoever found
// the loss.
void PeerNetwork::ReportUnreachable(raft::NodeId peer, bool calls_lost) {
  if (unreachable_.empty()) {
    loop_->Post([this, alive = alive_] {
      if (*alive) TellUnreachable();
    });
  }
  unreachable_.insert(peer);
  if (calls_lost) calls_lost_.insert(peer);
}

void PeerNetwork::TellUnreachable() {
  const std::set<raft::NodeId> unreachable = std::exchange(unreachable_, {});
  const std::set<raft::NodeId> calls_lost = std::exchange(calls_lost_, {});
  for (raft::NodeId peer : unreachable) {
    if (receiver_.unreachable) receiver_.unreachable(peer);
  }
  for (raft::NodeId peer : calls_lost) calls_.FailAll(peer, kv::ErrNoLeader());
}

void PeerNetwork::LogRefusal(const std::string& line) {
  if (line == refusal_logged_ && loop_->Now() < refusal_log_again_) return;
  refusal_logged_ = line;
  refusal_log_again_ = loop_->Now() + kRefusalLogPause;
  options_.log(line);
}

void PeerNetwork::ArmTick() {
  tick_timer_ = loop_->RunAt(loop_->Now() + options_.election_timeout / kSilentTicksMax, [this] {
    ArmTick();
    Tick();
  });
}

void PeerNetwork::Tick() {
  ForgetStrangers();
  for (auto& [id, peer] : peers_) peer.link->Tick();
  // A session that is found silent leaves the map.
  for (auto next = sessions_.begin(); next != sessions_.end();) (next++)->second->Tick();
}

// ---- Numbers. ----

std::vector<SocketAddress> PeerNetwork::listen_addresses() const {
  std::vector<SocketAddress> addresses;
  for (const auto& listener : listeners_) addresses.push_back(listener->address());
  return addresses;
}

std::vector<PeerStats> PeerNetwork::stats() const {
  std::vector<PeerStats> all;
  for (const auto& [id, peer] : peers_) all.push_back(StatsOf(peer));
  return all;
}

PeerStats PeerNetwork::StatsOf(const Peer& peer) const {
  const PeerLinkCounters link = peer.link->counters();
  PeerStats stats = peer.ended;
  stats.peer = peer.link->peer();
  stats.connected = peer.link->open();
  if (stats.connected) stats.connected_since = peer.link->open_since();
  stats.last_received = std::max(stats.last_received, peer.link->last_received());
  stats.bytes_sent += link.bytes_sent;
  stats.bytes_received += link.bytes_received;
  stats.messages_sent = link.messages_sent;
  stats.messages_dropped = link.messages_dropped;
  if (peer.session != nullptr) {
    stats.bytes_sent += peer.session->bytes_sent();
    stats.bytes_received += peer.session->bytes_received();
    stats.messages_spoofed += peer.session->messages_spoofed();
    stats.last_received = std::max(stats.last_received, peer.session->last_received());
  }
  return stats;
}

PeerNetworkCounters PeerNetwork::counters() const {
  PeerNetworkCounters counters = counters_;
  for (const auto& [id, peer] : peers_)
    counters.protocol_errors += peer.link->counters().protocol_errors;
  return counters;
}

}  // namespace conclave::server
