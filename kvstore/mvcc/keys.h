// Where everything lies in the engine (decision 0001): one letter says what kind of entry, the rest
// orders it.
//
//   c <start key>                   count of the live keys of a bucket (key_counts.h)
//   h <key, escaped> <main> <sub>   pointer: the key changed at this revision; newest first
//   k <key>                         the key's latest record; absent if the key is
//   m/<name>                        small state: position in the log, members, alarms and so on
//   o <index>, q <request id>       results of writes with a request id (result_table.h)
//   r <main> <sub>                  history: the event of this revision
//   a, l                            attachments and leases (lessor.h)
//
// Revisions are 8 and 4 bytes big-endian, inverted in pointers. Pure functions, any lane.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kvstore/mvcc/event.h"

namespace conclave::kv {

inline constexpr char kCountPrefix = 'c';
inline constexpr char kPointerPrefix = 'h';
inline constexpr char kLatestPrefix = 'k';
inline constexpr char kHistoryPrefix = 'r';
inline constexpr char kResultOrderPrefix = 'o';
inline constexpr char kResultPrefix = 'q';

// Names of the small state.
inline constexpr std::string_view kFormatKey = "m/format";  // number of this layout
inline constexpr std::string_view kStateKey = "m/state";    // applied index and its term, revision
inline constexpr std::string_view kConfigurationKey = "m/configuration";  // of LogPosition, if any
inline constexpr std::string_view kCompactKey = "m/compact";  // compacted revision, replicated
inline constexpr std::string_view kCompactedKey =
    "m/compacted";                                           // how far this member's removal got
inline constexpr std::string_view kKeptBytesKey = "m/kept";  // kept_bytes.h, of this member
inline constexpr std::string_view kInstalledKey = "m/installed";  // Store::MarkInstalled
inline constexpr std::string_view kResultsKey = "m/results";      // totals of result_table.h
inline constexpr std::string_view kMemberPrefix = "m/member/";    // + id
inline constexpr std::string_view kRemovedPrefix = "m/removed/";  // + id of a former member
inline constexpr std::string_view kAlarmPrefix = "m/alarm/";      // + member id, type

// Each Set replaces `out`, whose buffer callers keep.
void SetLatestKey(std::string_view key, std::string& out);
void SetHistoryKey(Revision revision, std::string& out);
// The part of a pointer's key that is common to all of the key's pointers.
void SetPointerPrefix(std::string_view key, std::string& out);
void AppendPointerRevision(Revision revision, std::string& out);

std::string LatestKey(std::string_view key);
std::string HistoryKey(Revision revision);
std::string PointerKey(std::string_view key, Revision revision);

// nullopt if it is no history key.
std::optional<Revision> ParseHistoryKey(std::string_view entry);

struct Pointer {
  std::string_view prefix;  // as SetPointerPrefix makes it
  Revision revision;
};
std::optional<Pointer> ParsePointerKey(std::string_view entry);
// The key that a pointer prefix was made of.
std::string KeyOfPointerPrefix(std::string_view prefix);

// Eight bytes big-endian: the order of the bytes is that of the numbers.
void AppendOrdered64(uint64_t value, std::string& out);
uint64_t LoadOrdered64(const char* at);

// The keys a request names by its key and range_end (reference: behaviour section 3.1). Points into
// the request.
struct KeySpan {
  std::string_view begin;
  std::string_view end;    // exclusive; not looked at if `single` or `unbounded`
  bool single = false;     // only `begin`
  bool unbounded = false;  // all keys from `begin` on

  static KeySpan Of(std::string_view key, std::string_view range_end);
  static KeySpan From(std::string_view key) { return {key, {}, false, true}; }
  bool IsPast(std::string_view key) const {
    if (single) return key > begin;
    return !unbounded && key >= end;
  }
  bool Contains(std::string_view key) const { return key >= begin && !IsPast(key); }
};

}  // namespace conclave::kv
