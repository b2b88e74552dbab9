// What a message's term decides before its content is looked at (thesis 3.3): whether this member
// enters a later term, and what the sender of an outdated message is told. Raft lane.
#pragma once

#include "raft/core/state.h"

namespace conclave::raft {

// True if the message's content counts now. Its term is then this member's, save for a pre-vote's
// request and grant, which only ask about a later one. Steps down if a later term has begun.
bool AdmitTerm(CoreState& state, const Message& message);

}  // namespace conclave::raft
