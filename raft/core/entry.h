// What a log holds: entries, and the hard state that is written beside them. Plain values shared by
// the core, the WAL and the transport; an entry's payload is one immutable allocation that all of
// them hold. Any lane.
#pragma once

#include <cstdint>
#include <vector>

#include "raft/base/bytes.h"
#include "raft/base/types.h"

namespace conclave::raft {

enum class EntryKind : uint8_t {
  kCommand = 0,  // opaque to raft, applied by the state machine
  kNoop = 1,  // appended by a new leader so that it can commit in its own term (thesis 3.6.2, 6.4)
  kConfiguration = 2,  // an encoded ConfigurationEntry; in force as soon as it is in the log (thesis 4.1)
};

struct Entry {
  Term term;
  LogIndex index;
  EntryKind kind = EntryKind::kCommand;
  Bytes payload;

  friend bool operator==(const Entry&, const Entry&) = default;
};

// What a member must never forget: written and synced before any message that depends on it
// (thesis 3.8).
struct HardState {
  Term term;
  NodeId vote;  // whom this member voted for in `term`; kNoNode if nobody

  friend bool operator==(const HardState&, const HardState&) = default;
};

// Bytes an entry is counted as wherever bytes are bounded: its payload and a fixed share for the
// rest.
inline constexpr size_t kEntryOverheadBytes = 32;
inline size_t EntryBytes(const Entry& entry) { return entry.payload.size() + kEntryOverheadBytes; }

}  // namespace conclave::raft
