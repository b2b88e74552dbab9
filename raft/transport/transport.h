// The seam of the network between members. The real one is server/peer over TCP, the simulated one
// delays, loses, repeats and partitions by seed. Sending never blocks and never fails loudly: what
// cannot be sent is dropped and counted (rule R3 of raft/core/core.h), and the stage is told by
// `unreachable`.
#pragma once

#include <vector>

#include "absl/functional/any_invocable.h"
#include "raft/base/types.h"
#include "raft/core/message.h"

namespace conclave::raft {

class Transport {
 public:
  // What the transport tells its owner; both run on the owner's lane.
  struct Receiver {
    // Messages of one read, in the order they were sent by that peer. Only messages addressed to
    // this member by the peer they came from get here.
    absl::AnyInvocable<void(std::vector<Message>& messages)> received;
    // The connection to `peer` was lost or refused, or its queue overflowed.
    absl::AnyInvocable<void(NodeId peer)> unreachable;
  };

  virtual ~Transport() = default;

  virtual void SetReceiver(Receiver receiver) = 0;

  // Takes all of `messages`; those to one peer stay in order as long as its connection lasts. From
  // the owner's lane.
  virtual void Send(std::vector<Message> messages) = 0;
};

}  // namespace conclave::raft
