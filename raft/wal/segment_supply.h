// The files of segments before and after their use: makes the next one ready in the background,
// keeps a few released ones to become later ones, and when the disk is full gives up the reserve
// (reserve.h) and makes do with less. Owned by the WAL; everything on its lane.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "raft/base/executor.h"
#include "raft/base/file_system.h"
#include "raft/wal/wal.h"

namespace conclave::raft {

class SegmentSupply {
 public:
  // `free_files` are there already, by the sequence in their name. `prepared` is told of the end of
  // each Prepare that began one.
  SegmentSupply(FileSystem& fs, const WalOptions& options, Executor* lane,
                std::vector<uint64_t> free_files,
                absl::AnyInvocable<void(const absl::Status&)> prepared);
  ~SegmentSupply();
  SegmentSupply(const SegmentSupply&) = delete;
  SegmentSupply& operator=(const SegmentSupply&) = delete;

  // Begins to make the file of segment `sequence`, unless one is there or being made.
  void Prepare(uint64_t sequence);
  // The file made last; null if none is there.
  std::unique_ptr<File> Take() { return std::move(file_); }

  // The segment is not needed any more. Its file is kept or removed; Fatal if that fails.
  void GiveBack(uint64_t sequence);

  // Wal::SetSpaceObserver.
  void SetSpaceObserver(absl::AnyInvocable<void(bool low)> observer);

  // Ready, being made or kept.
  size_t files() const { return free_files_.size() + (file_ != nullptr || preparing_); }

 private:
  struct Made {
    std::unique_ptr<File> file;
    bool reserve_given_up = false;
  };
  static absl::Status Make(FileSystem& fs, const WalOptions& options, uint64_t sequence,
                           std::optional<uint64_t> recycle, bool low, Made& made);
  void OnMade(const absl::Status& status, Made made);
  // Makes sure of the reserve now, and if it cannot be had, again and again.
  void CheckReserve();
  void SetLow(bool low);

  FileSystem& fs_;
  const WalOptions options_;
  Executor* const lane_;
  absl::AnyInvocable<void(const absl::Status&)> prepared_;

  std::unique_ptr<File> file_;
  bool preparing_ = false;
  std::vector<uint64_t> free_files_;

  bool low_ = false;  // there is no reserve
  bool checking_ = false;
  TimerId retry_ = 0;
  absl::AnyInvocable<void(bool low)> space_observer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace conclave::raft
