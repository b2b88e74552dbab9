// What every range that is answered in pieces does (range_reply.h): it waits for memory, reads a
// piece when the client has room for one, holds the view between two of them, and lets go of
// everything when the call is over. The forms of an answer derive from it. On the raft lane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "kvstore/mvcc/range_view.h"
#include "kvstore/proto/rpc.pb.h"
#include "server/api/range_budget.h"
#include "server/api/service.h"
#include "server/rpc/call.h"
#include "server/stages/node.h"

namespace conclave::server {

class PacedRange : public StreamHandler {
 public:
  PacedRange(const ApiContext& context, CallRef call, const etcdserverpb::RangeRequest& request);

  // Begins, once `bytes` of the budget, or all of it if it is less, are reserved.
  void Start(uint64_t bytes);

  void OnMessage(std::string_view) override {}
  void OnWritable() override;
  void OnClosed() override;

 protected:
  virtual kv::RangePieceBounds NextBounds() const = 0;
  // Progress has been moved on. Ends with ReadNext, or finishes the call.
  virtual void OnPiece(kv::RangePiece& piece) = 0;
  // The client has room again, which HasRoom has said it had not.
  virtual void OnRoom() { ReadNext(); }

  // Reads a piece as soon as there is room to send one.
  void ReadNext();
  // Whether the client has room for more; if not, OnRoom comes.
  bool HasRoom();
  void Unpin() { held_ = nullptr; }
  void Send(std::string_view part);

  const ApiContext& context() const { return context_; }
  const RangeReplyOptions& options() const { return context_.options->ranges; }
  Call& call() { return *call_; }
  RangeBudget::Reservation& reservation() { return reservation_; }
  // False once the handler is gone: for callbacks.
  const std::shared_ptr<bool>& alive() const { return alive_; }
  // As the answer has them: who answers, and the newest revision when the reading began.
  std::string EncodedHeader() const;
  static std::string EncodedEnd(const kv::RangePiece& last);

  etcdserverpb::RangeRequest request_;  // of what is read
  kv::RangeProgress progress_;

 private:
  absl::Status Pin();
  void ArmRoomCheck();
  void CheckRoom();

  const ApiContext context_;
  CallRef call_;
  RangeBudget::Reservation reservation_;
  std::shared_ptr<Node::HeldRange> held_;
  Instant pinned_at_{};
  bool waits_for_room_ = false;
  TimerId room_timer_ = 0;
  uint64_t sent_ = 0;        // bytes given to the call
  uint64_t taken_seen_ = 0;  // of these, taken by the client when last looked at
  Instant taken_at_{};       // when that last changed
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace conclave::server
