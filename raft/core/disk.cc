#include "raft/core/disk.h"

#include "raft/base/check.h"

namespace conclave::raft {

void Disk::Write(const AppendTask& task) {
  if (task.hard_state) hard_state = *task.hard_state;
  if (task.reset) {
    start = *task.reset;
    entries.clear();
  }
  if (task.entries.empty()) return;
  const LogIndex first = task.entries.front().index;
  CHECK(first > start.index && first <= last_index().Next());
  entries.resize(first - start.index - 1);
  entries.insert(entries.end(), task.entries.begin(), task.entries.end());
}

void Disk::Release(const LogStart& to) {
  CHECK(to.index >= start.index && to.index <= last_index());
  entries.erase(entries.begin(), entries.begin() + static_cast<ptrdiff_t>(to.index - start.index));
  start = to;
}

const Entry* Disk::Find(LogIndex index) const {
  if (index <= start.index || index > last_index()) return nullptr;
  return &entries[index - start.index - 1];
}

Term Disk::TermAt(LogIndex index) const {
  if (index == start.index) return start.term;
  const Entry* entry = Find(index);
  return entry != nullptr ? entry->term : Term(0);
}

bool Disk::Covers(LogIndex index, Term term) const {
  return index < start.index || TermAt(index) == term;
}

}  // namespace conclave::raft
