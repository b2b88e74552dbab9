// A connection that another member dialled: learns who it is, agrees or refuses with a reason, then
// receives that member's raft messages and calls and sends back answers. Owned by PeerNetwork, on
// the loop's lane. A message that claims to come from anybody but the member that shook hands, or
// to go elsewhere than here, is dropped and counted. A guest, who is no member yet, may only ask,
// one question at a time, and must be gone when the time for a handshake is over.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "raft/core/message.h"
#include "server/net/scoped_fd.h"
#include "server/peer/handshake.h"
#include "server/peer/peer_options.h"
#include "server/peer/peer_stream.h"

namespace conclave::server {

class PeerSession;

// None of these may destroy the session but OnSessionClosed; all may close it.
class PeerSessionOwner {
 public:
  virtual ~PeerSessionOwner() = default;
  // Whether who said `hello` may connect. What the verdict says of this member is filled in.
  virtual Verdict Judge(const Hello& hello) = 0;
  // The handshake of a member is done: session->peer() is who it says.
  virtual void OnSessionOpened(PeerSession* session) = 0;
  // All messages of one read, in order.
  virtual void OnMessages(PeerSession* session, std::vector<raft::Message>& messages) = 0;
  virtual void OnCall(PeerSession* session, const CallFrame& call) = 0;
  // Refused: why not, in words. Called before OnSessionClosed.
  virtual void OnRefused(const std::string& line) = 0;
  // The last call, not made after Close. session->peer() is kNoNode if there was no handshake, or
  // that of a guest.
  virtual void OnSessionClosed(PeerSession* session, const absl::Status& why) = 0;
};

class PeerSession : private PeerStreamOwner {
 public:
  // Takes an accepted socket; `number` names the session within one run of the process.
  PeerSession(const PeerContext* context, PeerSessionOwner* owner, uint64_t number, ScopedFd fd);
  ~PeerSession() override;
  PeerSession(const PeerSession&) = delete;
  PeerSession& operator=(const PeerSession&) = delete;

  uint64_t number() const { return number_; }
  bool open() const { return open_; }
  // Who dialled; kNoNode before the handshake, still known after the end.
  raft::NodeId peer() const { return peer_; }
  bool refused() const { return refused_; }
  bool guest() const { return guest_; }

  // Dropped if the session is closed; closes it if the peer does not read its answers.
  void SendAnswer(uint64_t call, const absl::StatusOr<std::string>& answer);
  void Tick() { stream_.Tick(); }
  // Ends the connection without a call to the owner.
  void Close();

  uint64_t bytes_received() const { return stream_.bytes_received(); }
  uint64_t bytes_sent() const { return stream_.bytes_sent(); }
  uint64_t messages_spoofed() const { return messages_spoofed_; }
  Instant last_received() const { return stream_.last_received(); }

 private:
  absl::StatusOr<size_t> OnHandshakeBytes(std::string_view input) override;
  absl::Status OnFrame(const Frame& frame) override;
  void OnReadDone() override;
  void OnRoundTrip(Duration /*elapsed*/) override {}
  void OnStreamClosed(const absl::Status& why) override;

  void CancelTimer();

  const PeerContext* const context_;
  PeerSessionOwner* const owner_;
  const uint64_t number_;
  PeerStream stream_;
  TimerId handshake_timer_ = 0;
  bool open_ = false;
  bool refused_ = false;
  bool guest_ = false;
  bool guest_waits_ = false;  // for the answer to its question
  raft::NodeId peer_;
  std::vector<raft::Message> messages_;  // of the read under way; kept for its capacity
  uint64_t messages_spoofed_ = 0;
};

}  // namespace conclave::server
