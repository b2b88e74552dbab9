#include "raft/core/memory_log.h"

#include <algorithm>
#include <utility>

#include "raft/base/check.h"
#include "raft/base/seeded_bug.h"

namespace conclave::raft {

MemoryLog::MemoryLog(LogIndex start, Term start_term, std::vector<Entry> entries)
    : start_(start), start_term_(start_term) {
  CHECK((start == LogIndex(0)) == (start_term == Term(0)));
  for (Entry& entry : entries) Append(std::move(entry));
}

std::optional<Term> MemoryLog::TermAt(LogIndex index) const {
  if (index < start_ || index > last_index()) return std::nullopt;
  return index == start_ ? start_term_ : At(index).term;
}

const Entry& MemoryLog::At(LogIndex index) const {
  CHECK(index > start_ && index <= last_index());
  return entries_[index - first_index()];
}

bool MemoryLog::NoMoreUpToDateThan(LogIndex last, Term term) const {
  return std::pair(last_term(), last_index()) <= std::pair(term, last);
}

void MemoryLog::Append(Entry entry) {
  CHECK(entry.index == last_index().Next());
  CHECK(entry.term >= last_term());
  entries_.push_back(std::move(entry));
}

void MemoryLog::TruncateFrom(LogIndex index) {
  CHECK(index > start_ && index <= last_index());
  entries_.resize(index - first_index());
  CHECK(last_index() == index.Prev());
}

void MemoryLog::CompactTo(LogIndex index) {
  CHECK(index >= start_ && index <= last_index());
  const bool keep_term = SEEDED_BUG(kCompactionTermLost) && start_ != LogIndex(0);
  if (!keep_term) start_term_ = *TermAt(index);
  entries_.erase(entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(index - start_));
  start_ = index;
  CHECK(last_index() >= start_);
}

LogIndex MemoryLog::StartOfTail(uint64_t entries_max, size_t bytes_max) const {
  LogIndex start = last_index();
  for (size_t bytes = 0; start > start_ && last_index() - start < entries_max;
       start = start.Prev()) {
    bytes += EntryBytes(At(start));
    if (bytes > bytes_max) break;
  }
  CHECK(start >= start_);
  return start;
}

std::vector<Entry> MemoryLog::Slice(LogIndex from, LogIndex to, size_t bytes_max,
                                    size_t entries_max) const {
  if (from > to) return {};
  CHECK(from > start_ && to <= last_index() && entries_max > 0);
  size_t bytes = 0;
  LogIndex end = from;
  for (; end <= to && end - from < entries_max; ++end) {
    bytes += EntryBytes(At(end));
    if (bytes > bytes_max && end != from) break;
  }
  CHECK(end > from && end <= to.Next());
  const auto begin = entries_.begin() + static_cast<ptrdiff_t>(from - first_index());
  return {begin, begin + static_cast<ptrdiff_t>(end - from)};
}

size_t MemoryLog::BytesBetween(LogIndex after, LogIndex to) const {
  CHECK(after >= start_ && to <= last_index());
  size_t bytes = 0;
  for (LogIndex index = after.Next(); index <= to; ++index) bytes += EntryBytes(At(index));
  return bytes;
}

LogIndex MemoryLog::LastAtMost(LogIndex index, Term term) const {
  CHECK(index >= start_);
  const auto held = static_cast<ptrdiff_t>(std::min(index, last_index()) - start_);
  const auto above = std::partition_point(entries_.begin(), entries_.begin() + held,
                                          [&](const Entry& entry) { return entry.term <= term; });
  const LogIndex found = start_ + static_cast<uint64_t>(above - entries_.begin());
  CHECK(found <= index);
  return found;
}

}  // namespace conclave::raft
