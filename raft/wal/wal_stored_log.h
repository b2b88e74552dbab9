// A log on a disk whose whole history is known, and what a reading of a damaged copy of it may say.
// Tests only, one thread.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/base/random.h"
#include "raft/wal/segment_scan.h"
#include "raft/wal/wal_world.h"

namespace conclave::raft {

enum class Verdict {
  kExact,       // all that was written
  kTornTail,    // all but writes that nobody was told of
  kIncomplete,  // a true beginning, the right hard state, and that entries are lost
  kRefused,     // DataLoss
  kWrong,
};

class StoredLog {
 public:
  explicit StoredLog(size_t segment_bytes = 512) : world_(segment_bytes) {
    world_.Start();
    states_.push_back(ModelOf(world_.contents));
  }

  void Write(const AppendTask& task) {
    states_.push_back(states_.back());
    states_.back().Append(task);
    world_.Write(task);
    acknowledged_ = states_.size() - 1;
  }
  // One entry of some size after the last one.
  void WriteNext(uint64_t term) {
    const uint64_t next = last_index() + 1;
    Write(TaskOf(Entries(next, next, term, std::string(60, 'x'))));
  }
  void Release(uint64_t index, uint64_t term) {
    states_.push_back(states_.back());
    states_.back().Release({LogIndex(index), Term(term), ThreeVoters()});
    world_.Release(index, term);
    acknowledged_ = states_.size() - 1;
  }
  // On the disk, as it happens, when the process dies before it hears of it.
  void WriteUnheard(const AppendTask& task) {
    states_.push_back(states_.back());
    states_.back().Append(task);
    world_.fs.HoldSyncs(true);
    world_.Append(task);
    world_.fs.CrashAndKeepBytes(UINT64_MAX);
    world_.fs.HoldSyncs(false);
    Locate();
  }

  // Flips some byte that is durable, and goes on with what is left. False if nothing is.
  bool LoseSome(Random& random) {
    Locate();
    const std::vector<uint64_t> all = segments();
    const uint64_t sequence = all[random.Below(all.size())];
    const uint64_t offset = random.Below(world_.fs.Contents(path(sequence)).size());
    if (!LeavesTrace(sequence, offset + 1)) return true;
    world_.fs.KillProcess();
    world_.fs.FlipBits(path(sequence), offset, static_cast<uint8_t>(random.Between(1, 255)));
    const std::unique_ptr<MemoryFileSystem> image = Image();
    const Verdict verdict = Judge(*image);
    CHECK_MSG(verdict != Verdict::kWrong, why_);
    if (verdict == Verdict::kRefused || !world_.Open().ok()) return false;
    states_.push_back(ModelOf(world_.contents));
    acknowledged_ = states_.size() - 1;
    return true;
  }
  // Flips one byte and goes on with what is left.
  void LoseTo(uint64_t sequence, uint64_t offset) {
    world_.fs.KillProcess();
    world_.fs.FlipBits(world_.path(sequence), offset, 0xff);
    const absl::Status status = world_.Open();
    CHECK_MSG(status.ok(), MessageOf(status));
    states_.push_back(ModelOf(world_.contents));
    acknowledged_ = states_.size() - 1;
    CHECK(states_.back().lost_through > LogIndex(0));
  }

  uint64_t last_index() const { return states_.back().last_index().value(); }
  std::string path(uint64_t sequence) const { return world_.path(sequence); }
  // Sequences of the segment files.
  std::vector<uint64_t> segments() {
    std::vector<uint64_t> sequences;
    const absl::StatusOr<std::vector<std::string>> names = world_.fs.List(world_.options.directory);
    for (const std::string& name : *names) {
      if (const auto sequence = SequenceOfSegment(name)) sequences.push_back(*sequence);
    }
    return sequences;
  }
  // Is lost with the power.
  void WriteAndLose(const AppendTask& task) {
    world_.fs.HoldSyncs(true);
    world_.Append(task);
    world_.lane->RunPosted();
    world_.fs.CrashAndLose();
    world_.fs.HoldSyncs(false);
    Locate();
  }

  // In the last segment in use, whatever is damaged before `unheard_begin` leaves a trace after it.
  bool LeavesTrace(uint64_t segment, uint64_t end) const {
    return segment != last_segment_ || end <= unheard_begin_;
  }
  // A disk of the same content, for another process.
  std::unique_ptr<MemoryFileSystem> Image() const { return world_.fs.Copy(); }

  // Reads the log on `image`, and if it lacks entries, goes on with it until it does not.
  Verdict Judge(MemoryFileSystem& image) {
    why_.clear();
    ManualExecutor lane;
    absl::StatusOr<Wal::Opened> opened = Wal::Open(image, world_.options, &lane);
    if (!opened.ok()) {
      if (absl::IsDataLoss(opened.status())) return Verdict::kRefused;
      return Wrong(opened.status().ToString());
    }
    const Model found = ModelOf(opened->contents);
    if (found == states_.back()) return Verdict::kExact;
    for (size_t i = acknowledged_; i < states_.size(); ++i) {
      if (found == states_[i]) return Verdict::kTornTail;
    }
    if (found.lost_through == LogIndex(0)) return Wrong("something else, and nothing is lost");
    if (opened->contents.damage.empty()) return Wrong("nothing is said of the damage");
    if (found.last_index() >= found.lost_through) return Wrong("nothing is missing before");
    if (!KnowsItsEnd(found)) return Wrong("another hard state or end");
    if (!IsABeginning(found)) return Wrong("entries that no log began with");
    opened->wal.reset();
    return GoOn(image, found) ? Verdict::kIncomplete : Verdict::kWrong;
  }
  const Model& state() const { return states_.back(); }
  // Of the last verdict.
  const std::string& why() const { return why_; }

 private:
  // Where the last write is.
  void Locate() {
    for (const uint64_t sequence : segments()) {
      const SegmentId id{world_.options.cluster_id, world_.options.member, sequence};
      const SegmentScan scan = ScanSegment(world_.fs.Contents(path(sequence)), SumOf(id));
      if (scan.records.empty()) continue;
      last_segment_ = sequence;
      unheard_begin_ = scan.records.back().header.write_start;
    }
  }

  Verdict Wrong(std::string why) {
    why_ = std::move(why);
    return Verdict::kWrong;
  }

  bool KnowsItsEnd(const Model& found) const {
    const auto from = states_.begin() + static_cast<ptrdiff_t>(acknowledged_);
    return std::any_of(from, states_.end(), [&](const Model& state) {
      return found.hard_state == state.hard_state &&
             found.lost_through == std::max(state.last_index(), state.lost_through);
    });
  }

  static bool Holds(const Model& state, const Entry& entry) {
    const auto at = std::find_if(state.entries.begin(), state.entries.end(),
                                 [&](const Entry& other) { return other.index == entry.index; });
    return at != state.entries.end() && *at == entry;
  }
  // The log once held all its entries at the same time, and starts where it did at some time.
  bool IsABeginning(const Model& found) const {
    const bool starts = std::any_of(states_.begin(), states_.end(), [&](const Model& state) {
      return found.snapshot_index == state.snapshot_index &&
             found.snapshot_term == state.snapshot_term &&
             found.configuration == state.configuration;
    });
    return starts && std::any_of(states_.begin(), states_.end(), [&](const Model& state) {
             return std::all_of(found.entries.begin(), found.entries.end(),
                                [&](const Entry& entry) { return Holds(state, entry); });
           });
  }

  // Runs one task on the log as `model` has it, crashes, and compares.
  bool Survives(MemoryFileSystem& image, Model& model, const std::optional<AppendTask>& task) {
    ManualExecutor lane;
    absl::StatusOr<Wal::Opened> opened = Wal::Open(image, world_.options, &lane);
    if (!opened.ok() || ModelOf(opened->contents) != model) {
      why_ = opened.ok() ? "it reads otherwise the next time" : opened.status().ToString();
      return false;
    }
    bool durable = !task.has_value();
    if (task.has_value()) {
      model.Append(*task);
      opened->wal->Append(*task, [&durable] { durable = true; });
    }
    lane.RunPosted();
    if (!durable) why_ = "it does not go on";
    opened->wal.reset();
    image.CrashAndLose();
    return durable;
  }

  // The power fails during the first write after the damage.
  bool SurvivesCrash(const MemoryFileSystem& disk, const Model& model, const AppendTask& task) {
    Random random(model.last_index().value());
    Model with_task = model;
    with_task.Append(task);
    for (int crash = 0; crash < 3; ++crash) {
      const std::unique_ptr<MemoryFileSystem> image = disk.Copy();
      ManualExecutor lane;
      absl::StatusOr<Wal::Opened> opened = Wal::Open(*image, world_.options, &lane);
      CHECK(opened.ok());
      image->HoldSyncs(true);
      opened->wal->Append(task, [] {});
      lane.RunPosted();
      opened->wal.reset();
      image->CrashAndKeepSome(random);
      image->HoldSyncs(false);
      opened = Wal::Open(*image, world_.options, &lane);
      const bool right = opened.ok() && (ModelOf(opened->contents) == model ||
                                         ModelOf(opened->contents) == with_task);
      if (!right) why_ = "it does not survive a crash";
      if (!right) return false;
    }
    return true;
  }

  // A leader of a later term fills it up.
  bool GoOn(MemoryFileSystem& image, Model model) {
    const uint64_t term = 1'000'000;
    const uint64_t last = model.last_index().value();
    // The first of them conflicts with what is left, if it can.
    const uint64_t first = std::max(model.snapshot_index.value() + 1, last);
    AppendTask end = TaskOf(Entries(first + 1, model.lost_through.value(), term));
    end.complete = true;
    return Survives(image, model, std::nullopt) &&
           SurvivesCrash(image, model, TaskOf(Entries(first, first + 2, term))) &&
           Survives(image, model, TaskOf(HardState{Term(term), NodeId(3)})) &&
           Survives(image, model, TaskOf(Entries(first, first, term))) &&
           Survives(image, model, end) && Survives(image, model, std::nullopt);
  }

  WalWorld world_;
  std::vector<Model> states_;  // after each task
  size_t acknowledged_ = 0;    // the last of them that is durable for certain
  uint64_t last_segment_ = 0;
  uint64_t unheard_begin_ = 0;
  std::string why_;
};

// ---- Logs to damage: four segments or more, and a last write that nobody was told of. ----

inline void FillPlain(StoredLog& log) {
  log.Write(TaskOf(HardState{Term(1), NodeId(2)}));
  for (int i = 0; i < 9; ++i) log.WriteNext(1);
  log.Write(TaskOf(Entries(6, 7, 2)));
  log.Write(TaskOf(HardState{Term(3), NodeId(1)}));
  log.WriteNext(3);
  log.WriteNext(3);
  log.WriteUnheard(TaskOf(Entries(10, 11, 3)));
}

// Each leader replaces most of what the one before it wrote.
inline void FillReplaced(StoredLog& log) {
  log.Write(TaskOf(Entries(1, 6, 1, "a")));
  for (uint64_t term = 2; term < 8; ++term) {
    for (uint64_t i = 3; i <= 5; ++i) log.Write(TaskOf(Entries(i, i, term, "replaced")));
  }
  log.Write(TaskOf(HardState{Term(8), NodeId(1)}));
  log.WriteUnheard(TaskOf(Entries(4, 4, 8)));
}

inline void FillReleased(StoredLog& log) {
  log.Write(TaskOf(HardState{Term(1), NodeId(2)}));
  for (int i = 0; i < 5; ++i) log.WriteNext(1);
  log.Release(2, 1);
  for (int i = 0; i < 4; ++i) log.WriteNext(1);
  log.Write(TaskOf(HardState{Term(2), NodeId(2)}));
  log.Release(5, 1);
  log.WriteUnheard(TaskOf(Entries(10, 10, 2)));
}

inline void FillReset(StoredLog& log) {
  log.Write(TaskOf(HardState{Term(1), NodeId(2)}));
  for (int i = 0; i < 5; ++i) log.WriteNext(1);
  AppendTask reset = ResetTo(20, 4, Entries(21, 21, 4));
  reset.hard_state = HardState{Term(4), kNoNode};
  log.Write(reset);
  for (int i = 0; i < 6; ++i) log.WriteNext(4);
  log.Write(TaskOf(Entries(24, 24, 5)));
  log.WriteUnheard(TaskOf(HardState{Term(6), NodeId(1)}));
}

// Its damage has been found before, and is not filled up yet.
inline void FillLost(StoredLog& log) {
  log.Write(TaskOf(HardState{Term(1), NodeId(2)}));
  for (int i = 0; i < 6; ++i) log.WriteNext(1);
  log.LoseTo(2, 300);
  log.Write(TaskOf(HardState{Term(2), NodeId(2)}));
  log.WriteNext(2);
  log.WriteNext(2);
  log.WriteUnheard(TaskOf(Entries(log.last_index() + 1, log.last_index() + 1, 2)));
}

// Its damage has been filled up.
inline void FillRepaired(StoredLog& log) {
  for (int i = 0; i < 6; ++i) log.WriteNext(1);
  log.LoseTo(2, 300);
  AppendTask rest = TaskOf(Entries(log.last_index() + 1, 7, 2));
  rest.hard_state = HardState{Term(2), kNoNode};
  rest.complete = true;
  log.Write(rest);
  log.WriteNext(2);
  log.WriteUnheard(TaskOf(Entries(9, 9, 2)));
}

inline void FillAtRandom(StoredLog& log, Random& random) {
  uint64_t term = 1;
  for (uint64_t steps = random.Between(10, 60); steps > 0; --steps) {
    const Model& now = log.state();
    const uint64_t start = now.snapshot_index.value();
    const uint64_t next = now.last_index().value() + 1;
    const std::string payload(random.Below(100), 'r');
    if (random.OneIn(10)) {
      log.Write(TaskOf(HardState{Term(term += random.Below(2)), NodeId(random.Below(3))}));
    } else if (random.OneIn(10) && next > start + 1) {
      const uint64_t index = random.Between(start + 1, next - 1);
      log.Release(index, now.entries[index - start - 1].term.value());
    } else if (random.OneIn(25)) {
      log.Write(ResetTo(random.Between(start + 1, next + 3), ++term));
    } else if (random.OneIn(25)) {
      if (!log.LoseSome(random)) return;
      ++term;  // or what is written now could be another entry of the same index and term
    } else {
      const bool conflict = random.OneIn(6);
      term += conflict;
      const uint64_t first = conflict ? random.Between(start + 1, next) : next;
      AppendTask task = TaskOf(Entries(first, first + random.Below(3), term, payload));
      task.complete = random.OneIn(8);
      if (random.OneIn(4)) task.hard_state = HardState{Term(term), kNoNode};
      log.Write(task);
    }
  }
  log.WriteUnheard(TaskOf(Entries(log.last_index() + 1, log.last_index() + 1, term)));
}

}  // namespace conclave::raft
