// The network between members: raft::Transport and PeerCalls over TCP. Each member dials every
// other and sends on the connection it dialled (PeerLink); what others send arrives on the
// connections they dialled (PeerSession). Frames, handshake and pings are in docs/peer-protocol.md.
// On one lane, the loop's, which must be its owner's as well. Nothing here blocks and nothing
// queues without a bound: what does not fit or has no connection is dropped and counted.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "raft/base/random.h"
#include "raft/transport/transport.h"
#include "server/net/event_loop.h"
#include "server/net/listener.h"
#include "server/peer/call_table.h"
#include "server/peer/peer_calls.h"
#include "server/peer/peer_link.h"
#include "server/peer/peer_options.h"
#include "server/peer/peer_session.h"

namespace conclave::server {

// About one peer since it was added, for metrics and health.
struct PeerStats {
  raft::NodeId peer;
  bool connected = false;   // this member can send to it
  Instant connected_since;  // if connected
  Instant last_received;    // anything, a pong included, on either connection; the epoch if never
  uint64_t bytes_sent = 0;
  uint64_t bytes_received = 0;
  uint64_t messages_sent = 0;
  uint64_t messages_dropped = 0;  // not connected, queue full or too large
  uint64_t messages_spoofed = 0;  // received under another member's id or for another member
  uint64_t disconnects = 0;       // of connections that were open, both kinds
};

struct PeerNetworkCounters {
  uint64_t connections_refused = 0;  // by this member's handshake, or for being too many
  uint64_t protocol_errors = 0;      // connections ended because their bytes made no sense
  uint64_t messages_unknown = 0;     // to send to somebody who is no peer
};

class PeerNetwork : public raft::Transport,
                    public PeerCalls,
                    private PeerLinkOwner,
                    private PeerSessionOwner {
 public:
  // Listens and begins to dial. `background` may block; it resolves host names, and is not used for
  // IP addresses and localhost. Both must outlive the network, and the loop whatever `background`
  // still has to do. May block for names in listen_urls. InvalidArgument for a bad listen URL,
  // Unavailable if an address cannot be listened on.
  static absl::StatusOr<std::unique_ptr<PeerNetwork>> Start(EventLoop* loop, Executor* background,
                                                            PeerNetworkOptions options);
  // Not from within a callback. Calls that wait are forgotten.
  ~PeerNetwork() override;
  PeerNetwork(const PeerNetwork&) = delete;
  PeerNetwork& operator=(const PeerNetwork&) = delete;

  // raft::Transport. `unreachable` is told once per loss, always from a task of its own: when
  // either connection with the peer ends (its process has died, most likely), when no address
  // answers, and when its queue overflows.
  void SetReceiver(Receiver receiver) override { receiver_ = std::move(receiver); }
  void Send(std::vector<raft::Message> messages) override;

  // PeerCalls. ErrTooManyRequests if too many calls wait, ErrRequestTooLarge if the request does
  // not fit a frame.
  void SetHandler(PeerMethod method, Handler handler) override;
  std::optional<Instant> ConnectedSince(raft::NodeId peer) const override;
  void CallPeer(raft::NodeId peer, PeerMethod method, std::string request, Duration timeout,
                Answer answer) override;

  // The peers are these from now on: dials new ones, ends the connections of those that are no
  // longer listed an election timeout later (what they have to hand over, and answers that are due,
  // still get through), and leaves the rest open though they may be dialled elsewhere the next
  // time. This member's own entry is what it tells strangers of where it listens.
  //
  // A member that is not listed may still connect, unless it was removed, and is then a peer like
  // any other until it is removed or has been without a connection for `stranger_stay`: it has
  // joined in a part of the log that is not here yet, and may be the very one that could bring it.
  void SetPeers(std::vector<PeerAddress> peers);
  // One of them: adds it or changes where it is dialled.
  void SetPeer(PeerAddress peer);
  // Ends its connections.
  void RemovePeer(raft::NodeId id);

  // One per listen URL, as bound.
  std::vector<SocketAddress> listen_addresses() const;
  // By id, ascending.
  std::vector<PeerStats> stats() const;
  PeerNetworkCounters counters() const;

 private:
  struct Peer {
    std::unique_ptr<PeerLink> link;
    PeerSession* session = nullptr;  // the latest that is open; of sessions_
    bool stranger = false;           // in no list yet
    Instant connected;               // the last time that a tick found it so; of a stranger
    TimerId leave_timer = 0;         // set once it is no longer listed
    PeerStats ended;  // sums of the sessions that are over, and disconnects of both kinds
  };

  PeerNetwork(EventLoop* loop, Executor* background, PeerNetworkOptions options);
  absl::Status Listen(const std::string& url);
  void Accept(ScopedFd fd);
  void RefuseIfCutOff(const raft::Message& message);

  void OnRemoved(raft::NodeId peer) override;
  void OnLinkDown(raft::NodeId peer, bool was_open) override;
  void OnLinkOverflow(raft::NodeId peer) override;
  void OnAnswer(raft::NodeId peer, AnswerFrame answer) override;
  Verdict Judge(const Hello& hello) override;
  void OnSessionOpened(PeerSession* session) override;
  void OnMessages(PeerSession* session, std::vector<raft::Message>& messages) override;
  void OnCall(PeerSession* session, const CallFrame& call) override;
  void OnRefused(const std::string& line) override;
  void OnSessionClosed(PeerSession* session, const absl::Status& why) override;

  void LeaveLater(raft::NodeId id, Peer& peer);
  // Takes in a member that is in no list; false if there are too many, or it cannot be dialled.
  bool Befriend(const Hello& hello);
  void ForgetStrangers();
  // Adds what the session did to its peer's sums and destroys it, later: it may be what is calling.
  void Retire(PeerSession* session);
  PeerStats StatsOf(const Peer& peer) const;
  // Tells the receiver soon, once for all reports until then; with `calls_lost`, the calls to the
  // peer have failed.
  void ReportUnreachable(raft::NodeId peer, bool calls_lost);
  void TellUnreachable();
  void FailSoon(Answer answer, absl::Status why);
  void LogRefusal(const std::string& line);
  void ArmTick();
  void Tick();

  EventLoop* const loop_;
  PeerNetworkOptions options_;
  const PeerContext context_;
  Random random_;
  Receiver receiver_;
  std::map<PeerMethod, Handler> handlers_;
  CallTable calls_;
  std::map<raft::NodeId, Peer> peers_;
  std::map<uint64_t, std::unique_ptr<PeerSession>> sessions_;  // by number
  uint64_t last_session_ = 0;
  std::vector<std::unique_ptr<Listener>> listeners_;
  bool removed_told_ = false;
  std::set<raft::NodeId> unreachable_;  // to be told
  std::set<raft::NodeId> calls_lost_;   // likewise
  TimerId tick_timer_ = 0;
  PeerNetworkCounters counters_;
  std::string refusal_logged_;  // not repeated until refusal_log_again_
  Instant refusal_log_again_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // on the lane only
};

}  // namespace conclave::server
