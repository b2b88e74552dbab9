#include "kvstore/engine/write_buffer.h"

#include <utility>

#include "raft/base/check.h"

namespace conclave::kv {
namespace {

// A run joins the one before it unless that has more than twice its rows: there are about as many
// runs as their number of rows has binary digits.
constexpr size_t kMergeUpTo = 2;
// Larger ones are left to the flush: the writer is not to stop for the time that a merge of them
// would take.
constexpr size_t kMergedRowsMax = 16 << 10;

bool ShouldMerge(const SortedRun& newer, const SortedRun& older) {
  return older.size() <= kMergeUpTo * newer.size() && older.size() + newer.size() <= kMergedRowsMax;
}

}  // namespace

void WriteBuffer::Add(const WriteBatch& batch) {
  auto run = std::make_shared<const SortedRun>(batch);
  std::lock_guard lock(mutex_);
  open_bytes_ += batch.size_bytes();
  size_t merged = 0;
  for (; merged < open_.size() && ShouldMerge(*run, *open_[merged]); ++merged) {
    run = std::make_shared<const SortedRun>(*run, *open_[merged]);
  }
  open_.erase(open_.begin(), open_.begin() + static_cast<ptrdiff_t>(merged));
  open_.insert(open_.begin(), std::move(run));
}

bool WriteBuffer::Seal() {
  std::lock_guard lock(mutex_);
  CHECK_MSG(sealed_.empty(), "a write buffer sealed before the last one was flushed");
  if (open_.empty()) return false;
  sealed_ = std::exchange(open_, {});
  sealed_bytes_ = std::exchange(open_bytes_, 0);
  return true;
}

std::shared_ptr<const SortedRun> WriteBuffer::Sealed() {
  std::unique_lock lock(mutex_);
  Runs runs = sealed_;
  lock.unlock();
  CHECK(!runs.empty());
  // The small ones first.
  std::shared_ptr<const SortedRun> all = runs.front();
  for (size_t i = 1; i < runs.size(); ++i) all = std::make_shared<const SortedRun>(*all, *runs[i]);
  lock.lock();
  sealed_ = {all};
  return all;
}

void WriteBuffer::DropSealed() {
  Runs dropped;  // freed without the lock
  std::lock_guard lock(mutex_);
  dropped = std::exchange(sealed_, {});
  sealed_bytes_ = 0;
}

size_t WriteBuffer::open_bytes() const {
  std::lock_guard lock(mutex_);
  return open_bytes_;
}

size_t WriteBuffer::size_bytes() const {
  std::lock_guard lock(mutex_);
  return open_bytes_ + sealed_bytes_;
}

WriteBuffer::Found WriteBuffer::Get(std::string_view key, std::string* value) const {
  std::lock_guard lock(mutex_);
  const Found found = FindIn(open_, key, value);
  return found != Found::kNothing ? found : FindIn(sealed_, key, value);
}

WriteBuffer::Runs WriteBuffer::View() const {
  std::lock_guard lock(mutex_);
  Runs runs = open_;
  runs.insert(runs.end(), sealed_.begin(), sealed_.end());
  return runs;
}

WriteBuffer::Found FindIn(const WriteBuffer::Runs& runs, std::string_view key, std::string* value) {
  for (const std::shared_ptr<const SortedRun>& run : runs) {
    const size_t row = run->LowerBound(key);
    if (row == run->size() || run->key(row) != key) continue;
    if (run->is_delete(row)) return WriteBuffer::Found::kDelete;
    value->assign(run->value(row));
    return WriteBuffer::Found::kValue;
  }
  return WriteBuffer::Found::kNothing;
}

}  // namespace conclave::kv
