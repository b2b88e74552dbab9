// What the WAL's tests share: a log on a disk in memory, the tasks of a made-up core, and the state
// that the log should hold after each of them. Tests only, one lane.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "raft/base/check.h"
#include "raft/base/manual_executor.h"
#include "raft/base/memory_file_system.h"
#include "raft/base/text.h"
#include "raft/wal/record.h"
#include "raft/wal/segment.h"
#include "raft/wal/wal.h"

namespace conclave::raft {

inline Configuration ThreeVoters() { return {{NodeId(1), NodeId(2), NodeId(3)}, {}, {}}; }

inline std::vector<Entry> Entries(uint64_t first, uint64_t last, uint64_t term,
                                  std::string_view payload = "payload") {
  std::vector<Entry> entries;
  for (uint64_t i = first; i <= last; ++i) {
    const std::string text = std::string(payload) + "-" + std::to_string(i);
    entries.push_back({Term(term), LogIndex(i), EntryKind::kCommand, Bytes::Copy(text)});
  }
  return entries;
}

inline AppendTask TaskOf(std::vector<Entry> entries) {
  AppendTask task;
  task.entries = std::move(entries);
  return task;
}
inline AppendTask TaskOf(HardState hard_state) {
  AppendTask task;
  task.hard_state = hard_state;
  return task;
}

// The log starts anew after a snapshot at `index`, with `entries`.
inline AppendTask ResetTo(uint64_t index, uint64_t term, std::vector<Entry> entries = {}) {
  AppendTask task = TaskOf(std::move(entries));
  task.reset = LogStart{LogIndex(index), Term(term), ThreeVoters()};
  return task;
}

// What the log should read back as.
struct Model {
  HardState hard_state;
  LogIndex snapshot_index;
  Term snapshot_term;
  Configuration configuration = ThreeVoters();
  std::vector<Entry> entries;
  LogIndex lost_through;

  LogIndex last_index() const { return entries.empty() ? snapshot_index : entries.back().index; }
  void Append(const AppendTask& task) {
    if (task.hard_state.has_value()) hard_state = *task.hard_state;
    if (task.reset.has_value()) {
      snapshot_index = task.reset->index;
      snapshot_term = task.reset->term;
      configuration = task.reset->configuration;
      entries.clear();
    }
    if (task.complete) lost_through = LogIndex(0);
    if (task.entries.empty()) return;
    while (!entries.empty() && entries.back().index >= task.entries.front().index) {
      entries.pop_back();
    }
    entries.insert(entries.end(), task.entries.begin(), task.entries.end());
  }
  void Release(const LogStart& start) {
    if (start.index <= snapshot_index) return;
    snapshot_index = start.index;
    snapshot_term = start.term;
    configuration = start.configuration;
    std::erase_if(entries, [&](const Entry& entry) { return entry.index <= start.index; });
  }

  friend bool operator==(const Model&, const Model&) = default;
};

inline Model ModelOf(const WalContents& contents) {
  return {.hard_state = contents.hard_state,
          .snapshot_index = contents.snapshot_index,
          .snapshot_term = contents.snapshot_term,
          .configuration = contents.configuration,
          .entries = contents.entries,
          .lost_through = contents.lost_through};
}

class WalWorld {
 public:
  explicit WalWorld(size_t segment_bytes = 4096) {
    options.directory = "log";
    options.cluster_id = 0xc1;
    options.member = NodeId(0xa1);
    options.segment_bytes = segment_bytes;
    options.reserve_bytes = 2 * segment_bytes;
  }
  ~WalWorld() { wal.reset(); }

  // A new log, open.
  void Start() {
    CHECK(Wal::Create(fs, options, ThreeVoters()).ok());
    const absl::Status status = Open();
    CHECK_MSG(status.ok(), MessageOf(status));
  }
  // A process that finds what the last one left. Whatever the last one still had to do is
  // forgotten.
  absl::Status Open() {
    wal.reset();
    lane = std::make_unique<ManualExecutor>();
    absl::StatusOr<Wal::Opened> opened = Wal::Open(fs, options, lane.get());
    if (!opened.ok()) return opened.status();
    wal = std::move(opened->wal);
    contents = std::move(opened->contents);
    return absl::OkStatus();
  }

  // Appends without waiting; `durable` counts when it is.
  void Append(const AppendTask& task) {
    wal->Append(task, [this] { ++durable; });
  }
  // Appends and waits for the disk, if it is not held.
  void Write(const AppendTask& task) {
    Append(task);
    lane->RunPosted();
  }
  void Release(uint64_t index, uint64_t term) {
    wal->Release(LogIndex(index), Term(term), ThreeVoters());
    lane->RunPosted();
  }

  std::string path(uint64_t sequence) const { return SegmentPath(options.directory, sequence); }

  MemoryFileSystem fs;
  WalOptions options;
  std::unique_ptr<ManualExecutor> lane;
  std::unique_ptr<Wal> wal;
  WalContents contents;
  uint64_t durable = 0;
};

}  // namespace conclave::raft
