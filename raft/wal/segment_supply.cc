#include "raft/wal/segment_supply.h"

#include <algorithm>
#include <string>
#include <utility>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/text.h"
#include "raft/wal/reserve.h"
#include "raft/wal/segment.h"

namespace conclave::raft {
namespace {

constexpr Duration kReserveRetry = Seconds(5);

// Of the reserve, that a segment takes at once while space is low; the rest is for others.
constexpr uint64_t kLeanFraction = 4;

}  // namespace

SegmentSupply::SegmentSupply(FileSystem& fs, const WalOptions& options, Executor* lane,
                             std::vector<uint64_t> free_files,
                             absl::AnyInvocable<void(const absl::Status&)> prepared)
    : fs_(fs),
      options_(options),
      lane_(lane),
      prepared_(std::move(prepared)),
      free_files_(std::move(free_files)) {
  CheckReserve();
}

SegmentSupply::~SegmentSupply() {
  *alive_ = false;
  if (retry_ != 0) lane_->CancelTimer(retry_);
}

void SegmentSupply::Prepare(uint64_t sequence) {
  if (file_ != nullptr || preparing_) return;
  preparing_ = true;
  std::optional<uint64_t> recycle;
  if (!free_files_.empty()) {
    recycle = free_files_.back();
    free_files_.pop_back();
  }
  auto made = std::make_shared<Made>();
  fs_.RunInBackground([fs = &fs_, options = options_, sequence, recycle, low = low_,
                       made] { return Make(*fs, options, sequence, recycle, low, *made); },
                      lane_,
                      [this, alive = alive_, made](absl::Status status) {
                        if (*alive) OnMade(status, std::move(*made));
                      });
}

// In the background.
absl::Status SegmentSupply::Make(FileSystem& fs, const WalOptions& options, uint64_t sequence,
                                 std::optional<uint64_t> recycle, bool low, Made& made) {
  const uint64_t lean = std::min(options.segment_bytes, options.reserve_bytes / kLeanFraction);
  const SegmentSize whole{options.segment_bytes, options.segment_bytes};
  const SegmentSize least{options.segment_bytes, lean};
  absl::StatusOr<std::unique_ptr<File>> file =
      PrepareSegment(fs, options.directory, sequence, low ? least : whole, recycle);
  if (absl::IsResourceExhausted(file.status()) && options.reserve_bytes > 0 && !low) {
    // It may not be there: a crash came before it was made anew.
    const absl::Status given_up = GiveUpReserve(fs, options.directory);
    if (!given_up.ok() && !absl::IsNotFound(given_up)) return given_up;
    made.reserve_given_up = true;
    file = PrepareSegment(fs, options.directory, sequence, least, std::nullopt);
  }
  if (!file.ok()) return file.status();
  made.file = *std::move(file);
  return absl::OkStatus();
}

void SegmentSupply::OnMade(const absl::Status& status, Made made) {
  preparing_ = false;
  file_ = std::move(made.file);
  if (!status.ok()) SIM_REACHED("wal.segment_not_prepared");
  const std::shared_ptr<bool> alive = alive_;
  if (made.reserve_given_up) SetLow(true);
  if (*alive) prepared_(status);
}

void SegmentSupply::GiveBack(uint64_t sequence) {
  const bool keep_file = free_files_.size() < kFreeFilesMax;
  // Works run in order, so a later one may count on the file.
  if (keep_file) free_files_.push_back(sequence);
  if (!keep_file) SIM_REACHED("wal.segment_removed");
  fs_.RunInBackground(
      [fs = &fs_, directory = options_.directory, sequence, keep_file] {
        return DropSegment(*fs, directory, sequence, keep_file);
      },
      lane_,
      [](absl::Status status) {
        if (!status.ok()) {
          Fatal("a segment could not be released: " + std::string(MessageOf(status)));
        }
      });
}

void SegmentSupply::CheckReserve() {
  if (options_.reserve_bytes == 0 || checking_) return;
  checking_ = true;
  fs_.RunInBackground(
      [fs = &fs_, directory = options_.directory, bytes = options_.reserve_bytes] {
        return KeepReserve(*fs, directory, bytes);
      },
      lane_,
      [this, alive = alive_](absl::Status status) {
        if (!*alive) return;
        checking_ = false;
        // Want of room is one thing; a disk that fails a write or a sync is not asked again.
        if (!status.ok() && !absl::IsResourceExhausted(status)) {
          Fatal("the log could not be given its reserve: " + std::string(MessageOf(status)));
        }
        SetLow(!status.ok());
      });
}

void SegmentSupply::SetLow(bool low) {
  if (low && retry_ == 0) {
    retry_ = lane_->RunAt(lane_->Now() + kReserveRetry, [this] {
      retry_ = 0;
      CheckReserve();
    });
  }
  if (low == low_) return;
  low_ = low;
  if (!low) SIM_REACHED("wal.reserve_made_anew");
  if (space_observer_) space_observer_(low);
}

void SegmentSupply::SetSpaceObserver(absl::AnyInvocable<void(bool low)> observer) {
  space_observer_ = std::move(observer);
  if (low_ && space_observer_) space_observer_(true);
}

}  // namespace conclave::raft
