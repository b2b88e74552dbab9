// Events in the bytes of the wire: mvccpb.Event as an element of WatchResponse.events (reference:
// wire sections 3.1, 3.4), so that an event is encoded once however many watchers get it. Used by
// the hub, apply lane.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvstore/mvcc/event.h"
#include "kvstore/mvcc/history.h"

namespace conclave::kv {

// Appends the event with tag and length of field 11. `previous` becomes prev_kv; nullptr leaves it
// out.
void AppendEncodedEvent(const Event& event, const Record* previous, std::string& out);

// What prev_kv of the revision's event at `position` is: the key's state before the whole revision,
// also if a transaction has changed it twice (reference: behaviour section 6.4). nullopt if there
// was none or history has lost it.
std::optional<Record> PreviousRecord(const RevisionEvents& revision, size_t position,
                                     const History& history);

// The encoded events of one revision, each made when it is first asked for, then shared.
class RevisionEncoding {
 public:
  // Both must outlive this.
  RevisionEncoding(const RevisionEvents& revision, const History& history);

  // The bytes of the revision's event at `position`; they live as long as this.
  std::string_view Encoded(size_t position, bool with_previous);

 private:
  struct Forms {
    std::string plain;
    std::string with_previous;
  };

  const RevisionEvents& revision_;
  const History& history_;
  std::vector<Forms> forms_;  // by position; empty: not encoded yet
};

// Some whole events of an encoded sequence.
struct EncodedPart {
  std::string_view bytes;
  size_t event_count = 0;
};

// Cuts a sequence of encoded events into parts of at most `part_bytes_max` bytes; an event larger
// than that is a part of its own. No parts for an empty sequence.
std::vector<EncodedPart> SplitEncodedEvents(std::string_view encoded, size_t part_bytes_max);

}  // namespace conclave::kv
