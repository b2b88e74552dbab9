#include "kvstore/engine/merged_iterator.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace conclave::kv {
namespace {

constexpr size_t kNone = static_cast<size_t>(-1);

// A position in a run or in what lies below.
class Source {
 public:
  explicit Source(std::shared_ptr<const SortedRun> run) : run_(std::move(run)) {}
  explicit Source(std::unique_ptr<Iterator> below) : below_(std::move(below)) {}

  bool valid() const { return valid_; }
  std::string_view key() const { return key_; }  // if valid
  bool is_delete() const { return run_ != nullptr && run_->is_delete(row_); }
  std::string_view value() const { return run_ != nullptr ? run_->value(row_) : below_->value(); }

  void Seek(std::string_view target) {
    if (run_ == nullptr) {
      below_->Seek(target);
      LoadBelow();
    } else {
      MoveTo(run_->LowerBound(target));
    }
  }
  void SeekForPrev(std::string_view target) {
    if (run_ == nullptr) {
      below_->SeekForPrev(target);
      LoadBelow();
      return;
    }
    const size_t row = run_->LowerBound(target);
    MoveTo(row < run_->size() && run_->key(row) == target ? row : row - 1);
  }
  template <bool kForward>
  void Advance() {
    if (run_ == nullptr) {
      kForward ? below_->Next() : below_->Prev();
      LoadBelow();
    } else {
      MoveTo(kForward ? row_ + 1 : row_ - 1);
    }
  }

 private:
  void LoadBelow() {
    valid_ = below_->Valid();
    if (valid_) key_ = below_->key();
  }
  // Before the first row is the largest number, and so past the last one too.
  void MoveTo(size_t row) {
    row_ = row;
    valid_ = row < run_->size();
    if (valid_) key_ = run_->key(row);
  }

  std::shared_ptr<const SortedRun> run_;
  std::unique_ptr<Iterator> below_;  // if there is no run_
  size_t row_ = 0;
  bool valid_ = false;
  std::string_view key_;
};

class MergedIterator : public Iterator {
 public:
  explicit MergedIterator(std::vector<Source> sources) : sources_(std::move(sources)) {}

  bool Valid() const override { return current_ != kNone; }
  void Seek(std::string_view target) override {
    for (Source& source : sources_) source.Seek(target);
    forward_ = true;
    Settle<true>();
  }
  void SeekForPrev(std::string_view target) override {
    for (Source& source : sources_) source.SeekForPrev(target);
    forward_ = false;
    Settle<false>();
  }
  void Next() override {
    if (!forward_) Seek(std::string(key()));
    Step<true>();
  }
  void Prev() override {
    if (forward_) SeekForPrev(std::string(key()));
    Step<false>();
  }
  std::string_view key() const override { return sources_[current_].key(); }
  std::string_view value() const override { return sources_[current_].value(); }

 private:
  // Whether `a` comes before `b` in the direction of the iteration.
  template <bool kForward>
  static bool Precedes(std::string_view a, std::string_view b) {
    return kForward ? a < b : b < a;
  }

  // Most steps stay within one source, and see that by one comparison.
  template <bool kForward>
  void Step() {
    Source& source = sources_[current_];
    source.Advance<kForward>();
    const bool leads = source.valid() && !source.is_delete() &&
                       (next_ == kNone || Precedes<kForward>(source.key(), sources_[next_].key()));
    if (!leads) Settle<kForward>();
  }

  // Finds the source to stand on. Those with the same key that are older move past it, and so do
  // all if it is deleted.
  template <bool kForward>
  void Settle() {
    do {
      Pick<kForward>();
      if (current_ == kNone || !sources_[current_].is_delete()) return;
      sources_[current_].Advance<kForward>();
    } while (true);
  }

  template <bool kForward>
  void Pick() {
    current_ = next_ = kNone;
    for (size_t i = 0; i < sources_.size(); ++i) {  // newest first
      if (current_ != kNone && sources_[i].valid() &&
          sources_[i].key() == sources_[current_].key()) {
        sources_[i].Advance<kForward>();
      }
      if (!sources_[i].valid()) continue;
      const std::string_view key = sources_[i].key();
      if (current_ == kNone || Precedes<kForward>(key, sources_[current_].key())) {
        next_ = std::exchange(current_, i);
      } else if (next_ == kNone || Precedes<kForward>(key, sources_[next_].key())) {
        next_ = i;
      }
    }
  }

  std::vector<Source> sources_;  // newest first
  bool forward_ = true;
  size_t current_ = kNone;
  size_t next_ = kNone;  // the nearest of the others
};

}  // namespace

std::unique_ptr<Iterator> MergeOver(WriteBuffer::Runs runs, std::unique_ptr<Iterator> below) {
  if (runs.empty()) return below;
  std::vector<Source> sources;
  sources.reserve(runs.size() + 1);
  for (std::shared_ptr<const SortedRun>& run : runs) sources.emplace_back(std::move(run));
  sources.emplace_back(std::move(below));
  return std::make_unique<MergedIterator>(std::move(sources));
}

}  // namespace conclave::kv
