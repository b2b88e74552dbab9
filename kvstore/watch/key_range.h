// The keys a watcher asked for, after the conventions of the wire are undone (reference: behaviour
// sections 3.1 and 6.2). Made from a create request by the stream, compared with the keys of events
// by the index and by catch-up. Plain value, any lane.
#pragma once

#include <string>
#include <string_view>

namespace conclave::kv {

struct KeyRange {
  std::string begin;
  std::string end;          // exclusive; empty: no end
  bool single_key = false;  // only `begin` itself; `end` is then not looked at

  bool Contains(std::string_view key) const {
    if (single_key) return key == begin;
    return begin <= key && (end.empty() || key < end);
  }
  bool empty() const { return !single_key && !end.empty() && end <= begin; }
};

// The range of a watch request's `key` and `range_end`. An empty key means the smallest one, which
// only watches allow.
KeyRange WatchedRange(std::string_view key, std::string_view range_end);

}  // namespace conclave::kv
