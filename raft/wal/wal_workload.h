// A made-up core at random: what the tests of crashes ask of a log, and which states the log may be
// in after a crash. Tests only, one lane.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "raft/base/random.h"
#include "raft/wal/wal_world.h"

namespace conclave::raft {

class WalWorkload {
 public:
  // Goes on with the log of `world`, which is empty.
  WalWorkload(WalWorld* world, Random* random) : world_(*world), random_(*random) {}

  // Asks for something, or lets something that is held go on.
  void Step() {
    switch (random_.Below(10)) {
      case 0:
        return AppendHardState();
      case 1:
        return Release();
      case 2:
        world_.fs.ReleaseBackground();
        return world_.lane->RunPosted();
      case 3:
        world_.fs.ReleaseSync();
        return world_.lane->RunPosted();
      case 4:
        return random_.OneIn(3) ? Reset() : AppendEntries();
      default:
        return AppendEntries();
    }
  }

  // The promise of the log: what was acknowledged is there, and what is there is a prefix of what
  // was asked for.
  ::testing::AssertionResult Explains(const Model& recovered) const {
    const auto from = states_.begin() + static_cast<ptrdiff_t>(acknowledged_);
    if (std::find(from, states_.end(), recovered) != states_.end()) {
      return ::testing::AssertionSuccess();
    }
    return ::testing::AssertionFailure()
           << acknowledged_ << " of " << states_.size() - 1 << " acknowledged, "
           << recovered.entries.size() << " entries found after " << recovered.snapshot_index;
  }

  // The next process has found this.
  void GoOnFrom(const Model& recovered) {
    states_ = {recovered};
    acknowledged_ = 0;
  }

 private:
  void Append(const AppendTask& task) {
    states_.push_back(states_.back());
    states_.back().Append(task);
    world_.wal->Append(task, [this, number = states_.size() - 1] { Acknowledge(number); });
  }

  void AppendHardState() {
    term_ += random_.Below(2);
    Append(TaskOf(HardState{Term(term_), NodeId(random_.Below(3))}));
  }

  void AppendEntries() {
    const Model& now = states_.back();
    uint64_t first = now.last_index().value() + 1;
    // A new leader may replace what is not committed: never what is released.
    if (random_.OneIn(6)) {
      ++term_;
      first = random_.Between(now.snapshot_index.value() + 1, first);
    }
    const std::string payload(random_.Below(random_.OneIn(10) ? 1500 : 100), 'p');
    AppendTask task = TaskOf(Entries(first, first + random_.Below(4), term_, payload));
    if (random_.OneIn(3)) task.hard_state = HardState{Term(term_), kNoNode};
    Append(task);
  }

  // A snapshot was installed: somewhere in the log, or beyond it.
  void Reset() {
    const Model& now = states_.back();
    const uint64_t index =
        random_.Between(now.snapshot_index.value(), now.last_index().value() + 5);
    ++term_;
    AppendTask task = ResetTo(index, term_, {});
    if (random_.OneIn(2)) task.reset->configuration.learners = {NodeId(4 + random_.Below(3))};
    if (random_.OneIn(2)) task.entries = Entries(index + 1, index + random_.Between(1, 3), term_);
    if (random_.OneIn(2)) task.hard_state = HardState{Term(term_), NodeId(random_.Below(3))};
    task.complete = random_.OneIn(4);
    Append(task);
  }

  void Release() {
    // Only what is acknowledged is ever applied, and so released.
    const Model& known = states_[acknowledged_];
    const uint64_t low = states_.back().snapshot_index.value();
    const uint64_t high = std::min(known.last_index(), states_.back().last_index()).value();
    if (high <= low) return;
    const LogStart start{LogIndex(random_.Between(low, high)), Term(term_), ThreeVoters()};
    states_.push_back(states_.back());
    states_.back().Release(start);
    world_.wal->Release(start.index, start.term, start.configuration);
  }

  void Acknowledge(size_t number) {
    EXPECT_GT(number, acknowledged_) << "in order";
    acknowledged_ = number;
  }

  WalWorld& world_;
  Random& random_;
  std::vector<Model> states_{Model()};  // after each task, from what the last recovery found
  size_t acknowledged_ = 0;             // the last of them known to be durable
  uint64_t term_ = 1;
};

}  // namespace conclave::raft
