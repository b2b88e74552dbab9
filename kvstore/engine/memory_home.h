// The engine home in memory: for the simulator and for tests, with the promises of the one on disk.
// One thread.
#pragma once

#include <cstdint>
#include <memory>

#include "kvstore/engine/engine_home.h"
#include "kvstore/engine/memory_engine.h"
#include "raft/base/random.h"

namespace conclave::kv {

// What outlives a home and its engines: the live engine's MemoryDisk. Homes are made on it one
// after the other, one for each process.
class MemoryHomeDisk {
 public:
  // As MemoryDisk's.
  MemoryHomeDisk() : MemoryHomeDisk(0, {}) {}
  MemoryHomeDisk(uint64_t seed, const MemoryDiskOptions& options)
      : random_(Random(seed).Stream("incoming")),
        options_(options),
        live_(std::make_shared<MemoryDisk>(seed, options)) {}

  // The process is dead already, and does not know: its engines and its home work on for it, and
  // nothing that they do is kept.
  void Detach();
  // Nothing of the live engine can be read any more, from the next Open on.
  void Damage() { damaged_ = live_; }
  // Of the live engine.
  void SetMisses(uint32_t one_in) { live_->SetMisses(one_in); }

 private:
  friend class MemoryHome;

  Random random_;
  const MemoryDiskOptions options_;
  std::shared_ptr<MemoryDisk> live_;
  std::shared_ptr<MemoryDisk> damaged_;
  const EngineHome* home_ = nullptr;  // whose doing counts
};

// `disk` must outlive the home; the home its engines.
std::unique_ptr<EngineHome> NewMemoryHome(MemoryHomeDisk* disk);

}  // namespace conclave::kv
