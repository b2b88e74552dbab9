// What one revision did to one key: the unit of history and of watching. Stored under its revision,
// handed to watchers, and kept in the ring of recent events. Plain value, any lane.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace conclave::kv {

// Main revision (one per mutating request) and position inside it (reference: behaviour section 2).
struct Revision {
  int64_t main = 0;
  int64_t sub = 0;
  auto operator<=>(const Revision&) const = default;
};

// A key's state as of one revision.
struct Record {
  int64_t create_revision = 0;
  Revision mod;
  int64_t version = 0;
  int64_t lease = 0;
  std::string value;
};

struct Event {
  bool is_delete = false;
  std::string key;
  Record record;  // of a delete: only `mod` is set
  // Where the key's state before this event is kept in history; main 0 if there was none (a
  // creation).
  Revision previous;
};

// All events of one main revision, in the order they were made. Shared by every watcher and never
// changed.
struct RevisionEvents {
  int64_t revision = 0;
  std::vector<Event> events;
};
using SharedRevisionEvents = std::shared_ptr<const RevisionEvents>;

}  // namespace conclave::kv
