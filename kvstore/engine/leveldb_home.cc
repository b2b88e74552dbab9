#include "kvstore/engine/leveldb_home.h"

#include <absl/strings/numbers.h>
#include <fmt/format.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/base/text.h"

namespace conclave::kv {
namespace {

constexpr std::string_view kCurrent = "db-current";
constexpr std::string_view kUnfinishedCurrent = "db-current.tmp";  // of a crash in ReplaceFile
constexpr std::string_view kDamaged = "db-damaged";
constexpr uint64_t kFirst = 1;

std::string NameOf(uint64_t number) { return fmt::format("db-{}", number); }

bool IsEngine(const std::string& name) {
  uint64_t number = 0;
  return name.starts_with("db-") && absl::SimpleAtoi(name.substr(3), &number) &&
         name == NameOf(number);
}

class LevelDbHome : public EngineHome {
 public:
  LevelDbHome(FileSystem* fs, std::string directory, const LevelDbOptions& options)
      : fs_(fs), directory_(std::move(directory)), options_(options) {}

  absl::StatusOr<std::unique_ptr<Engine>> Open() override;
  bool damaged() const override { return damaged_; }
  absl::StatusOr<std::unique_ptr<Engine>> StartIncoming() override;
  absl::Status Adopt() override;
  absl::Status DropIncoming() override;
  absl::Status RemoveOld() override;

 private:
  std::string CurrentPath() const { return fmt::format("{}/{}", directory_, kCurrent); }
  std::string DamagedPath() const { return fmt::format("{}/{}", directory_, kDamaged); }
  std::string PathOf(uint64_t number) const {
    return fmt::format("{}/{}", directory_, NameOf(number));
  }

  // Finds out which engine is the live one, and removes all others.
  absl::Status Begin();
  absl::Status SetUp(const std::vector<std::string>& names);
  absl::Status ReadCurrent();
  // The number in that file, which is alone on its line; DataLoss if it holds something else.
  absl::StatusOr<uint64_t> ReadNumber(const std::string& path) const;
  bool IsMarkedDamaged() const;
  // Any thread; for the end of the process.
  void MarkDamaged(uint64_t number) const;
  absl::Status SetCurrent(uint64_t number);
  // Gone for good: no crash brings any of it back.
  absl::Status Remove(const std::string& path);
  // Removes the engine of that number and forgets the number; nothing if there is none.
  absl::Status RemoveEngine(uint64_t& number);

  FileSystem* const fs_;
  const std::string directory_;
  const LevelDbOptions options_;
  // Numbers of engines; 0: none, or not known yet.
  uint64_t live_ = 0;
  bool damaged_ = false;
  uint64_t incoming_ = 0;
  uint64_t old_ = 0;
};

// ---- Start. ----

absl::StatusOr<std::unique_ptr<Engine>> LevelDbHome::Open() {
  if (live_ == 0) {
    if (absl::Status status = Begin(); !status.ok()) return status;
  }
  damaged_ = IsMarkedDamaged();
  if (damaged_) {
    return absl::DataLossError(
        fmt::format("storage engine in {}: it was found to be damaged", PathOf(live_)));
  }
  LevelDbOptions options = options_;
  options.damaged = [this, number = live_] { MarkDamaged(number); };
  // All but the first were complete when they became the live one: an empty engine in the place of
  // a lost one would look like a new member's.
  options.must_exist = live_ != kFirst;
  auto engine = OpenLevelDbEngine(fs_, PathOf(live_), options);
  damaged_ = absl::IsDataLoss(engine.status());
  return engine;
}

bool LevelDbHome::IsMarkedDamaged() const {
  if (!fs_->Exists(DamagedPath())) return false;
  const absl::StatusOr<uint64_t> number = ReadNumber(DamagedPath());
  // A mark that cannot be read may well mean this one.
  return !number.ok() || *number == live_;
}

void LevelDbHome::MarkDamaged(uint64_t number) const {
  // Without it, the next run may not know before it reads the same bytes: nothing worse.
  ReplaceFile(*fs_, DamagedPath(), fmt::format("{}\n", number)).IgnoreError();
}

absl::Status LevelDbHome::Begin() {
  if (absl::Status status = fs_->CreateDirectory(directory_); !status.ok()) return status;
  const absl::StatusOr<std::vector<std::string>> names = fs_->List(directory_);
  if (!names.ok()) return names.status();
  absl::Status status = fs_->Exists(CurrentPath()) ? ReadCurrent() : SetUp(*names);
  if (!status.ok()) return status;
  for (const std::string& name : *names) {
    if (!IsEngine(name) || name == NameOf(live_)) continue;
    SIM_REACHED("kv.home.remains_removed");
    if (status = Remove(directory_ + "/" + name); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status LevelDbHome::SetUp(const std::vector<std::string>& names) {
  // Written first of all, so nothing but a crash in writing it precedes it.
  for (const std::string& name : names) {
    if (name == kUnfinishedCurrent) continue;
    return absl::DataLossError(
        fmt::format("storage engine in {}: there are files but no {}: the directory is damaged, or "
                    "was made by an older version of conclave, whose format this one cannot read",
                    directory_, kCurrent));
  }
  if (absl::Status status = SetCurrent(kFirst); !status.ok()) return status;
  live_ = kFirst;
  return absl::OkStatus();
}

absl::Status LevelDbHome::ReadCurrent() {
  const absl::StatusOr<uint64_t> number = ReadNumber(CurrentPath());
  if (number.ok()) live_ = *number;
  return number.status();
}

absl::StatusOr<uint64_t> LevelDbHome::ReadNumber(const std::string& path) const {
  const absl::StatusOr<std::string> text = ReadFile(*fs_, path);
  if (!text.ok()) return text.status();
  uint64_t number = 0;
  if (!absl::SimpleAtoi(*text, &number) || fmt::format("{}\n", number) != *text || number == 0) {
    return absl::DataLossError(fmt::format("storage engine: {} is damaged", path));
  }
  return number;
}

absl::Status LevelDbHome::SetCurrent(uint64_t number) {
  const std::string text = fmt::format("{}\n", number);
  if (SEEDED_BUG(kSnapshotSwapUnsynced) && number != kFirst) {
    const auto file = fs_->Open(CurrentPath(), OpenMode::kMustExist);
    return file.ok() ? (*file)->WriteAt(0, text) : file.status();
  }
  return ReplaceFile(*fs_, CurrentPath(), text);
}

absl::Status LevelDbHome::Remove(const std::string& path) {
  if (absl::Status status = fs_->RemoveTree(path); !status.ok()) return status;
  return fs_->SyncDirectory(directory_);
}

absl::Status LevelDbHome::RemoveEngine(uint64_t& number) {
  if (number == 0) return absl::OkStatus();
  absl::Status status = Remove(PathOf(number));
  if (status.ok()) number = 0;
  return status;
}

// ---- Snapshots. ----

absl::StatusOr<std::unique_ptr<Engine>> LevelDbHome::StartIncoming() {
  CHECK_MSG(live_ != 0, "an incoming engine before the live one was opened");
  if (absl::Status status = DropIncoming(); !status.ok()) return status;
  incoming_ = live_ + 1;
  LevelDbOptions options = options_;
  options.waits_for_space = false;
  return OpenLevelDbEngine(fs_, PathOf(incoming_), options);
}

absl::Status LevelDbHome::Adopt() {
  CHECK_MSG(incoming_ != 0, "no incoming engine to adopt");
  if (absl::Status status = RemoveOld(); !status.ok()) return status;
  if (absl::Status status = SetCurrent(incoming_); !status.ok()) return status;
  old_ = std::exchange(live_, std::exchange(incoming_, 0));
  // A mark that cannot be read would be taken for one of every engine.
  if (std::exchange(damaged_, false) && fs_->Exists(DamagedPath())) {
    return fs_->Remove(DamagedPath());
  }
  return absl::OkStatus();
}

absl::Status LevelDbHome::DropIncoming() { return RemoveEngine(incoming_); }

absl::Status LevelDbHome::RemoveOld() { return RemoveEngine(old_); }

}  // namespace

std::unique_ptr<EngineHome> NewLevelDbHome(FileSystem* fs, std::string directory,
                                           const LevelDbOptions& options) {
  return std::make_unique<LevelDbHome>(fs, std::move(directory), options);
}

}  // namespace conclave::kv
