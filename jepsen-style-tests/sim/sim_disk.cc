#include "jepsen-style-tests/sim/sim_disk.h"

#include <algorithm>
#include <utility>

#include "raft/base/crc32c.h"

namespace conclave::sim {
namespace {

constexpr uint64_t kTraceStart = 0xcbf29ce484222325u;
constexpr uint64_t kTracePrime = 0x100000001b3u;

// What befalls the disk, in the trace; operations are their own numbers.
enum class Event : uint64_t {
  kEnd = 100,
  kFuse,
  kFailedSync,
  kFailedRead,
  kFull,
  kHang,
  kUnhang,
  kDamage,
};

}  // namespace

SimDisk::SimDisk(uint64_t seed, DiskOptions options, const FaultAtlas* atlas, size_t member)
    : options_(std::move(options)),
      atlas_(atlas),
      member_(member),
      delays_(Random(seed).Stream("delays")),
      read_errors_(Random(seed).Stream("read errors")),
      trace_(kTraceStart) {}

void SimDisk::Mix(uint64_t value) { trace_ = (trace_ ^ value) * kTracePrime ^ (trace_ >> 32); }

void SimDisk::Mix(std::string_view bytes) {
  Mix(bytes.size());
  Mix(Crc32c(bytes));
}

// ---- The ends of a process. ----

void SimDisk::Crash(Random& random) { CrashAndKeepSome(random); }

void SimDisk::Kill() { KillProcess(); }

void SimDisk::ProcessEnded() {
  Mix(static_cast<uint64_t>(Event::kEnd));
  parked_.clear();
  works_.clear();
  fuse_set_ = false;
  fail_next_sync_ = false;
}

void SimDisk::CrashAfter(uint64_t operations) {
  if (frozen()) return;
  fuse_set_ = true;
  fuse_left_ = operations;
  if (operations == 0) Blow();
}

void SimDisk::Blow() {
  Mix(static_cast<uint64_t>(Event::kFuse));
  fuse_set_ = false;
  Freeze();
  if (fuse_observer_) fuse_observer_();
}

// ---- Every operation. ----

absl::Status SimDisk::Before(const Access& access) {
  if (absl::Status status = MemoryFileSystem::Before(access); !status.ok()) return status;
  if (!Befalls(access.path)) return absl::OkStatus();
  switch (access.operation) {
    case Operation::kRead:
      if (options_.read_error_one_in == 0 || !read_errors_.OneIn(options_.read_error_one_in)) break;
      Mix(static_cast<uint64_t>(Event::kFailedRead));
      return absl::UnavailableError(access.path + ": input/output error");
    case Operation::kSync:
      if (!std::exchange(fail_next_sync_, false)) break;
      Mix(static_cast<uint64_t>(Event::kFailedSync));
      return absl::UnavailableError(access.path + ": input/output error");
    case Operation::kCreate:
    case Operation::kWrite:
      if (HasRoom(access)) break;
      Mix(static_cast<uint64_t>(Event::kFull));
      return absl::ResourceExhaustedError(access.path + ": no space left on device");
    case Operation::kRemove:
      if (full_ && Exists(access.path)) room_ += Contents(access.path).size();
      break;
    default:
      break;
  }
  return absl::OkStatus();
}

bool SimDisk::HasRoom(const Access& access) const {
  if (!full_) return true;
  return access.operation == Operation::kCreate ? room_ > 0 : access.grows <= room_;
}

void SimDisk::SetFull(bool full) {
  full_ = full;
  room_ = 0;
}

absl::StatusOr<uint64_t> SimDisk::FreeBytes(const std::string& directory) {
  const absl::StatusOr<uint64_t> free = MemoryFileSystem::FreeBytes(directory);
  return free.ok() && full_ ? room_ : free;
}

void SimDisk::After(const Access& access) {
  if (full_) room_ -= std::min(room_, access.grows);
  Mix(static_cast<uint64_t>(access.operation));
  Mix(access.path);
  Mix(access.offset);
  Mix(access.operation == Operation::kRename ? access.to : access.bytes);
  ++operations_;
  if (fuse_set_ && --fuse_left_ == 0) Blow();
}

void SimDisk::NoteDamage(std::string_view path, uint64_t offset, std::string_view bytes) {
  Mix(static_cast<uint64_t>(Event::kDamage));
  Mix(path);
  Mix(offset);
  Mix(bytes);
}

// ---- Time. ----

Duration SimDisk::Delay() {
  const bool slow = options_.slow_one_in > 0 && delays_.OneIn(options_.slow_one_in);
  const Duration low = slow ? options_.sync_max : options_.sync_min;
  const Duration high = slow ? options_.slow_max : options_.sync_max;
  return Duration(delays_.Between(low.count(), high.count()));
}

void SimDisk::StartSync(Executor* lane, Task sync) {
  lane->RunAt(lane->Now() + Delay(),
              [this, lane, process = process(), sync = std::move(sync)]() mutable {
                if (*process) RunOrPark(lane, /*is_write=*/true, std::move(sync));
              });
}

void SimDisk::StartWork(Executor* lane, Task work) {
  works_.push_back({lane, std::move(work)});
  if (works_.size() == 1) StartOldestWork();
}

void SimDisk::StartOldestWork() {
  Executor* const lane = works_.front().lane;
  // The one before it may have ended on another lane.
  lane->Post([this, lane, process = process()] {
    if (!*process) return;
    lane->RunAt(lane->Now() + Delay(), [this, lane, process] {
      if (!*process) return;
      RunOrPark(lane, /*is_write=*/false, [this, process] {
        works_.front().task();
        if (!*process) return;  // it has ended its process
        works_.pop_front();
        if (!works_.empty()) StartOldestWork();
      });
    });
  });
}

void SimDisk::RunOrPark(Executor* lane, bool is_write, Task task) {
  if (!hung_) return task();
  parked_.push_back({lane, std::move(task), is_write, lane->Now()});
}

void SimDisk::Hang() {
  Mix(static_cast<uint64_t>(Event::kHang));
  hung_ = true;
}

Duration SimDisk::WriteHeldUp() const {
  for (const Waiting& waiting : parked_) {
    if (waiting.is_write) return waiting.lane->Now() - waiting.since;
  }
  return Duration::zero();
}

void SimDisk::Unhang() {
  Mix(static_cast<uint64_t>(Event::kUnhang));
  hung_ = false;
  for (Waiting& waiting : std::exchange(parked_, {})) {
    waiting.lane->Post([process = process(), task = std::move(waiting.task)]() mutable {
      if (*process) task();
    });
  }
}

}  // namespace conclave::sim
