// The log as the core sees it: every entry after the log's start, in memory. The WAL has the same
// entries on disk; which of them are durable is the core's business (durability.h), not the log's.
// Entries share their payloads with the WAL, the transport and apply. Raft lane, owned by
// CoreState.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

#include "raft/core/entry.h"

namespace conclave::raft {

class MemoryLog {
 public:
  // A log that starts after entry (start, start_term) and holds `entries`, contiguous from there.
  // (0, 0) is the beginning.
  MemoryLog(LogIndex start, Term start_term, std::vector<Entry> entries);

  LogIndex start() const { return start_; }  // the entry before the first
  LogIndex first_index() const { return start_.Next(); }
  LogIndex last_index() const { return start_ + entries_.size(); }
  Term last_term() const { return entries_.empty() ? start_term_ : entries_.back().term; }

  // The term of the entry at `index`; nullopt before the start and after the end.
  std::optional<Term> TermAt(LogIndex index) const;
  const Entry& At(LogIndex index) const;  // requires first_index() <= index <= last_index()

  // True if a log that ends with (last, term) is at least as up to date as this one: the later last
  // term wins, then the longer log (thesis 3.6.1).
  bool NoMoreUpToDateThan(LogIndex last, Term term) const;

  // Adds an entry at last_index() + 1, of a term not below the last one's.
  void Append(Entry entry);
  // Removes the entries from `index` on; requires first_index() <= index <= last_index().
  void TruncateFrom(LogIndex index);
  // Forgets the entries up to `index`, which becomes the start; requires start() <= index <=
  // last_index().
  void CompactTo(LogIndex index);

  // The start that a log would have that keeps at most the last `entries_max` entries and at most
  // `bytes_max` bytes of them; not before the present start.
  LogIndex StartOfTail(uint64_t entries_max, size_t bytes_max) const;

  // Entries [from, to], cut short before they pass `bytes_max` or `entries_max`, but never to
  // nothing. Empty if from > to.
  std::vector<Entry> Slice(LogIndex from, LogIndex to, size_t bytes_max = SIZE_MAX,
                           size_t entries_max = SIZE_MAX) const;
  // What the entries after `after` up to `to` count as (EntryBytes).
  size_t BytesBetween(LogIndex after, LogIndex to) const;

  // The last index <= `index` whose term is <= `term`, the log's start if there is none: how far
  // two logs can agree at most, given that the other has `term` at `index` (thesis 3.5). Terms
  // never fall along a log, so this is a bisection.
  LogIndex LastAtMost(LogIndex index, Term term) const;

 private:
  LogIndex start_;
  Term start_term_;
  std::deque<Entry> entries_;
};

}  // namespace conclave::raft
