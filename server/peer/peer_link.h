// This member's own connection to one other: dials its addresses in turn until one answers as the
// right member, dials again whenever the connection is lost, and carries what this member sends -
// raft messages and calls - for as long as it is open. Owned by PeerNetwork, on the loop's lane.
// What cannot be sent is dropped and counted, never kept for later.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "raft/base/random.h"
#include "raft/core/message.h"
#include "server/net/address.h"
#include "server/net/connector.h"
#include "server/peer/handshake.h"
#include "server/peer/peer_options.h"
#include "server/peer/peer_stream.h"

namespace conclave::server {

// None of these may destroy the link; all may stop it.
class PeerLinkOwner {
 public:
  virtual ~PeerLinkOwner() = default;
  // Messages and calls can be sent from now on.
  virtual void OnLinkOpen(raft::NodeId /*peer*/) {}
  // The peer says that this member was removed from the cluster.
  virtual void OnRemoved(raft::NodeId /*peer*/) {}
  // An open link was lost, or no address answered. Once until it is open again.
  virtual void OnLinkDown(raft::NodeId peer, bool was_open) = 0;
  // Messages to the peer are being dropped because its queue is full. Once until the queue has
  // emptied by half.
  virtual void OnLinkOverflow(raft::NodeId peer) = 0;
  virtual void OnAnswer(raft::NodeId peer, AnswerFrame answer) = 0;
};

struct PeerLinkCounters {
  uint64_t messages_sent = 0;     // handed to the connection
  uint64_t messages_dropped = 0;  // not connected, queue full or too large
  uint64_t bytes_sent = 0;
  uint64_t bytes_received = 0;   // handshakes, answers and pongs
  uint64_t protocol_errors = 0;  // connections ended because what came back made no sense
};

class PeerLink : private PeerStreamOwner {
 public:
  // Begins to dial on the loop's next turn. A `peer` without an id makes it a guest's: any member
  // that answers at the addresses is the right one.
  PeerLink(const PeerContext* context, PeerLinkOwner* owner, PeerAddress peer, Random random);
  ~PeerLink() override;
  PeerLink(const PeerLink&) = delete;
  PeerLink& operator=(const PeerLink&) = delete;

  raft::NodeId peer() const { return peer_.id; }
  bool open() const { return open_; }
  // Since when it is open. Requires open().
  Instant open_since() const { return open_since_; }

  // Dials these from now on. An open connection stays.
  void SetUrls(std::vector<std::string> urls);
  // The peer is known to be up: ends a pause between attempts.
  void DialSoon();
  // Sends those of `messages` that go to this peer, in order, and returns how many those were,
  // dropped ones included.
  size_t Send(const std::vector<raft::Message>& messages);
  // Whether a call may be sent. Requires open().
  bool HasRoom() const;
  // Requires open().
  void SendCall(const CallFrame& call);
  void Tick();
  // Ends the connection and every attempt, without a call to the owner, for good.
  void Stop();

  PeerLinkCounters counters() const;
  Instant last_received() const { return stream_ ? stream_->last_received() : last_received_; }

 private:
  absl::StatusOr<size_t> OnHandshakeBytes(std::string_view input) override;
  absl::Status OnFrame(const Frame& frame) override;
  void OnRoundTrip(Duration elapsed) override;
  void OnStreamClosed(const absl::Status& why) override;

  // What this member says of itself.
  Hello OwnHello() const;
  std::string PeerName() const;

  // One round tries every address of every URL once; then comes a pause.
  void StartRound();
  void TryNext();
  void ResolveNextUrl();
  void OnResolved(absl::StatusOr<std::vector<SocketAddress>> addresses);
  void OnConnected(absl::StatusOr<ScopedFd> socket);
  void AttemptFailed(std::string_view why);
  void RoundFailed();
  void ReportDown(bool was_open);
  void PauseAndRedial(Duration pause);
  Duration NextPause();

  bool Admits(const raft::Message& message, size_t unsent_bytes);
  void DropStream();
  void CancelTimer();
  void LogOnce(const std::string& line);

  const PeerContext* const context_;
  PeerLinkOwner* const owner_;
  PeerAddress peer_;
  Random random_;

  size_t url_next_ = 0;      // of peer_.urls
  size_t urls_untried_ = 0;  // in this round
  std::deque<SocketAddress> addresses_;
  bool resolving_ = false;
  std::unique_ptr<Connector> connector_;
  std::unique_ptr<PeerStream> stream_;  // from connected to lost
  bool open_ = false;                   // the handshake is done
  Instant open_since_;
  TimerId timer_ = 0;  // of the pause, or of the handshake
  bool pausing_ = false;
  int rounds_failed_ = 0;  // in a row
  bool reported_down_ = false;
  bool refused_ = false;  // by a member, in this round: it will not change its mind soon
  bool stopped_ = false;
  bool overflowing_ = false;
  std::string logged_;  // the last failure in the log, which is not repeated

  PeerLinkCounters counters_;  // without the bytes of the stream that lives
  Instant last_received_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // on the lane only
};

}  // namespace conclave::server
