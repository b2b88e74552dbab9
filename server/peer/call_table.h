// The questions that this member has asked others and that wait for an answer (see PeerCalls). Each
// ends exactly once: by its answer, by its timeout or with its connection. Owned by PeerNetwork, on
// the loop's lane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "raft/base/executor.h"
#include "raft/base/types.h"
#include "server/peer/peer_calls.h"

namespace conclave::server {

class CallTable {
 public:
  explicit CallTable(Executor* lane) : lane_(lane) {}
  // The calls that wait are forgotten; their answers do not run.
  ~CallTable();
  CallTable(const CallTable&) = delete;
  CallTable& operator=(const CallTable&) = delete;

  // Returns the call's number, unique within this run of the process. After `timeout` it ends with
  // ErrTimeout.
  uint64_t Add(raft::NodeId peer, Duration timeout, PeerCalls::Answer answer);
  // Ends the call; nothing if it has ended already or was asked of somebody else.
  void Finish(raft::NodeId peer, uint64_t call, absl::StatusOr<std::string> answer);
  // Ends all calls to `peer`, oldest first.
  void FailAll(raft::NodeId peer, const absl::Status& why);

  size_t size() const { return pending_.size(); }

 private:
  struct Pending {
    raft::NodeId peer;
    TimerId timer = 0;
    PeerCalls::Answer answer;
  };

  Executor* const lane_;
  std::map<uint64_t, Pending> pending_;
  uint64_t last_call_ = 0;
};

}  // namespace conclave::server
