// Reads that must not wait for the disk, on lanes on which everybody else would wait with them.
// While a CachedOnly is there, what its thread looks up in engines and is not in memory counts as
// absent, and missed() tells: then all that was read since is worth nothing, and the reading is to
// be done again, by somebody who may wait.
#pragma once

namespace conclave::kv {

class CachedOnly {
 public:
  // `on` false: no restriction, and nothing is ever missed. One at a time on a thread, and gone
  // before anything is written.
  explicit CachedOnly(bool on = true);
  ~CachedOnly();
  CachedOnly(const CachedOnly&) = delete;
  CachedOnly& operator=(const CachedOnly&) = delete;

  bool missed() const { return missed_; }

  // ---- For engines. ----

  // This thread's, or null if it may wait.
  static CachedOnly* Current() { return current_; }
  // Something was missed by this thread.
  static bool HasMissed() { return current_ != nullptr && current_->missed_; }
  void Miss() { missed_ = true; }

 private:
  static constinit thread_local CachedOnly* current_;
  const bool on_;
  bool missed_ = false;
};

}  // namespace conclave::kv
