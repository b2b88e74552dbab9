// Messages and outputs as one line of text each, for the golden traces (golden_trace.h). An entry
// reads "index/term". Tests only.
#pragma once

#include <string>
#include <vector>

#include "raft/core/core.h"
#include "raft/core/disk.h"

namespace conclave::raft {

// As "1 to 2, term 3: Heartbeat, commit 4".
std::string ToText(const Message& message);

// What the member was told to do, a line for each thing; messages that leave at once are not among
// them.
std::vector<std::string> ToLines(NodeId member, const Output& output);

// As "follower of term 2 under 1, log 1..5, durable 5, commit 4".
std::string ToText(const CoreStatus& status);

// As "knows of 2: match 3, next 5".
std::string ToText(const PeerStatus& peer);

// As "voters 1 2 3, learners 4"; a joint one as "voters 3 4 and 1 2".
std::string ToText(const Configuration& configuration);

// As "term 2, vote for 1".
std::string ToText(const HardState& hard_state);

// The log's entries.
std::string ToText(const Disk& disk);

}  // namespace conclave::raft
