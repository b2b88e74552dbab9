#include "server/stages/disk_reads.h"

#include <utility>

#include "raft/base/check.h"

namespace conclave::server {

DiskReads::DiskReads(Executor* lane, std::vector<Executor*> lanes,
                     std::shared_ptr<kv::Engine>* engine)
    : lane_(lane), lanes_(std::move(lanes)), engine_(engine) {
  CHECK(!lanes_.empty());
}

void DiskReads::Run(std::vector<kv::ColdRead> reads, Task done) {
  ++under_way_;
  auto group = std::make_shared<Group>(Group{.left = reads.size(), .done = std::move(done)});
  if (reads.empty()) {  // what was cold a moment ago is not any more
    group->left = 1;
    return lane_->Post([this, alive = alive_, group] {
      if (*alive) OnRead(*group);
    });
  }
  for (kv::ColdRead& read : reads) Read(std::move(read), group);
}

void DiskReads::Read(kv::ColdRead read, std::shared_ptr<Group> group) {
  ++total_;
  next_ = (next_ + 1) % lanes_.size();
  lanes_[next_]->Post([this, alive = alive_, lane = lane_, engine = *engine_,
                       read = std::move(read), group = std::move(group)]() mutable {
    read();
    engine = nullptr;  // here: the one that takes its place may be waiting for that
    lane->Post([this, alive, group = std::move(group)] {
      if (*alive) OnRead(*group);
    });
  });
}

void DiskReads::OnRead(Group& group) {
  if (--group.left > 0) return;
  --under_way_;
  group.done();
}

void DiskReads::AfterAll(Task task) { Pass(lanes_, std::move(task)); }

// From lane to lane: each runs in order what it was given.
void DiskReads::Pass(std::vector<Executor*> lanes, Task task) {
  Executor* const first = lanes.back();
  lanes.pop_back();
  first->Post([lanes = std::move(lanes), task = std::move(task)]() mutable {
    if (lanes.empty()) return task();
    Pass(std::move(lanes), std::move(task));
  });
}

}  // namespace conclave::server
