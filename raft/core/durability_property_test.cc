// What a member calls durable, against a model of its disk: random leaders send it random parts of
// their logs, which conflict; its writes pile up and complete one by one. It must never call
// durable what a power loss could take, nor forget what is safe.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "fmt/format.h"
#include "raft/base/random.h"
#include "raft/core/core.h"
#include "raft/core/disk.h"

namespace conclave::raft {
namespace {

constexpr NodeId k1{1}, k2{2}, k3{3};

// A log as the terms of its entries; entry i + 1 is at place i.
using Terms = std::vector<uint64_t>;

class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed), core_({.id = k1}, Recovered(), seed, Instant{}) {
    leader_log_ = {};
    NewLeader();
  }

  void OneEvent() {
    const uint64_t kind = random_.Below(10);
    if (kind < 4) {
      Append();
    } else if (kind < 7) {
      FinishWrite();
    } else if (kind < 8) {
      NewLeader();
    } else {
      Take();
    }
    Check();
  }

  // The disk has done everything.
  void Finish() {
    Take();
    while (!writes_.empty()) FinishWrite();
    Check();
    EXPECT_EQ(core_.durable(), core_.last_index());
  }

 private:
  static RecoveredState Recovered() {
    RecoveredState recovered;
    recovered.configuration.voters = {k1, k2, k3};
    return recovered;
  }

  // Begins with a part of the log of some leader before it, as if it had been elected with that.
  void NewLeader() {
    ++term_;
    leader_log_.resize(random_.Below(leader_log_.size() + 1));
    for (uint64_t count = random_.Between(1, 4); count > 0; --count) leader_log_.push_back(term_);
  }

  void Append() {
    const uint64_t prev = random_.Below(leader_log_.size() + 1);
    const uint64_t count = random_.Below(leader_log_.size() - prev + 1);
    AppendRequest request;
    request.prev_index = LogIndex(prev);
    request.prev_term = Term(prev == 0 ? 0 : leader_log_[prev - 1]);
    for (uint64_t index = prev + 1; index <= prev + count; ++index) {
      request.entries.push_back(
          {Term(leader_log_[index - 1]), LogIndex(index), EntryKind::kCommand, {}});
    }
    Merge(prev, count);
    core_.Step(Instant{},
               Received{{term_ % 2 == 0 ? k2 : k3, k1, Term(term_), std::move(request)}});
  }

  // The same by the words of the thesis: an entry that conflicts goes, with all that follow it.
  void Merge(uint64_t prev, uint64_t count) {
    if (prev > log_.size() || (prev > 0 && log_[prev - 1] != leader_log_[prev - 1])) return;
    for (uint64_t index = prev + 1; index <= prev + count; ++index) {
      const uint64_t entry_term = leader_log_[index - 1];
      if (index <= log_.size() && log_[index - 1] == entry_term) continue;
      log_.resize(index - 1);
      log_.push_back(entry_term);
      unwritten_ = std::min(unwritten_, index);
    }
  }

  void Take() {
    Output output = core_.TakeOutput();
    if (!output.append) return;
    unwritten_ = log_.size() + 1;
    writes_.push_back(std::move(*output.append));
  }

  void FinishWrite() {
    if (writes_.empty()) return;
    const AppendTask task = std::move(writes_.front());
    writes_.pop_front();
    disk_.Write(task);
    for (const Message& message : task.after_durable) CheckAnswer(message);
    core_.Step(Instant{}, Appended{task.write});
  }

  // What an answer says is on the disk must be there, unless a later term has begun there.
  void CheckAnswer(const Message& message) {
    const auto* response = std::get_if<AppendResponse>(&message.body);
    if (response == nullptr || !response->accepted || disk_.hard_state.term > message.term) return;
    EXPECT_EQ(disk_.hard_state.term, message.term);
    EXPECT_GE(disk_.last_index(), response->index);
  }

  // How far the disk holds the log as it is now, and no write that is still to come touches it.
  uint64_t Durable() const {
    uint64_t safe = 0;
    while (safe < log_.size() && disk_.TermAt(LogIndex(safe + 1)) == Term(log_[safe])) ++safe;
    safe = std::min(safe, unwritten_ - 1);
    for (const AppendTask& task : writes_) {
      if (!task.entries.empty()) safe = std::min(safe, task.entries.front().index.value() - 1);
    }
    return safe;
  }

  void Check() {
    ASSERT_EQ(core_.CheckInvariants(), std::nullopt);
    ASSERT_EQ(core_.last_index(), LogIndex(log_.size()));
    ASSERT_EQ(core_.durable(), LogIndex(Durable()));
  }

  Random random_;
  Core core_;
  uint64_t term_ = 0;
  Terms leader_log_;
  Terms log_;               // the member's, as it should be
  uint64_t unwritten_ = 1;  // its first entry that no write holds
  std::deque<AppendTask> writes_;
  Disk disk_;
};

TEST(DurabilityPropertyTest, DurableIsWhatTheDiskHoldsAndNoWriteWillTouch) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Model model(seed);
    for (int event = 0; event < 120 && !testing::Test::HasFailure(); ++event) model.OneEvent();
    model.Finish();
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

}  // namespace
}  // namespace conclave::raft
