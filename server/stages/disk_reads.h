// Reads that wait for the disk, on lanes of their own: many at a time, as a disk likes it, and none
// of them on the lane on which everybody else would wait with it. Runs on the node's lane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kvstore/store.h"
#include "raft/base/executor.h"

namespace conclave::server {

class DiskReads {
 public:
  // `lanes` are for nothing else, or for other reads; at least one. `engine` is NodeParts::engine.
  DiskReads(Executor* lane, std::vector<Executor*> lanes, std::shared_ptr<kv::Engine>* engine);
  ~DiskReads() { *alive_ = false; }
  DiskReads(const DiskReads&) = delete;
  DiskReads& operator=(const DiskReads&) = delete;

  // Runs all of them, each on one of the lanes, then `done` on the node's; never before it returns.
  // They read the present engine, which stays until they have.
  void Run(std::vector<kv::ColdRead> reads, Task done);
  // Of which `done` has not run.
  size_t under_way() const { return under_way_; }
  // Reads so far.
  uint64_t total() const { return total_; }

  // Runs `task`, on one of the lanes, once all reads that were begun before are over and hold no
  // engine any more.
  void AfterAll(Task task);

 private:
  // Reads that end together.
  struct Group {
    size_t left = 0;
    Task done;
  };

  void Read(kv::ColdRead read, std::shared_ptr<Group> group);
  void OnRead(Group& group);
  static void Pass(std::vector<Executor*> lanes, Task task);

  Executor* const lane_;
  const std::vector<Executor*> lanes_;
  std::shared_ptr<kv::Engine>* const engine_;
  size_t next_ = 0;  // of the lanes
  size_t under_way_ = 0;
  uint64_t total_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace conclave::server
