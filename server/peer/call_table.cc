#include "server/peer/call_table.h"

#include <utility>
#include <vector>

#include "kvstore/errors.h"

namespace conclave::server {

CallTable::~CallTable() {
  for (const auto& [call, pending] : pending_) lane_->CancelTimer(pending.timer);
}

uint64_t CallTable::Add(raft::NodeId peer, Duration timeout, PeerCalls::Answer answer) {
  const uint64_t call = ++last_call_;
  const TimerId timer = lane_->RunAt(lane_->Now() + timeout,
                                     [this, peer, call] { Finish(peer, call, kv::ErrTimeout()); });
  pending_.emplace(call, Pending{peer, timer, std::move(answer)});
  return call;
}

void CallTable::Finish(raft::NodeId peer, uint64_t call, absl::StatusOr<std::string> answer) {
  auto found = pending_.find(call);
  if (found == pending_.end() || found->second.peer != peer) return;
  Pending pending = std::move(found->second);
  pending_.erase(found);
  lane_->CancelTimer(pending.timer);
  pending.answer(std::move(answer));
}

void CallTable::FailAll(raft::NodeId peer, const absl::Status& why) {
  // An answer may ask again, so what fails is chosen first.
  std::vector<uint64_t> calls;
  for (const auto& [call, pending] : pending_) {
    if (pending.peer == peer) calls.push_back(call);
  }
  for (uint64_t call : calls) Finish(peer, call, why);
}

}  // namespace conclave::server
