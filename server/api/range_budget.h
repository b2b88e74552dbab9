// The memory that ranges may take up at a time: whoever answers one that is not small reserves what
// the answer needs while it is made and until the transport has it, and waits for its turn if that
// is more than is left. First come, first served, so that a large reservation is not passed over
// for ever. On the lane of the services.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "raft/base/executor.h"

namespace conclave::server {

struct RangeBudgetOptions {
  uint64_t bytes = 256 << 20;
  size_t waiting_max = 1000;
  Duration wait_max =
      Seconds(5);  // shorter than clients wait (7 s; reference: behaviour section 11)
};

struct RangeBudgetStats {
  uint64_t bytes = 0;    // reserved now
  uint64_t waiting = 0;  // ranges, now
  uint64_t refused = 0;  // ranges, since the start
};

class RangeBudget {
 private:
  struct Waiter;

 public:
  RangeBudget(const RangeBudgetOptions& options, Executor* lane);
  // All reservations are gone by then; who waits is not told.
  ~RangeBudget();
  RangeBudget(const RangeBudget&) = delete;
  RangeBudget& operator=(const RangeBudget&) = delete;

  // A place in the queue, then bytes of the budget. Gives both back when it goes.
  class Reservation {
   public:
    Reservation() = default;
    ~Reservation() { Release(); }
    Reservation(const Reservation&) = delete;
    Reservation& operator=(const Reservation&) = delete;

    // Reserves `bytes`, at most the whole budget; holds nothing before. `done` with OK once they
    // are there, at once or later; with ErrTooManyRangeBytes, at once if too many wait already or
    // after wait_max. Not called after Release.
    void Reserve(RangeBudget* budget, uint64_t bytes,
                 absl::AnyInvocable<void(const absl::Status&)> done);
    // More of the budget, after Reserve was OK, for what is faster with it and works without: at
    // once or not at all, not past those who wait, and not of the half that is for those who come.
    bool Extend(uint64_t bytes);
    void Release();

   private:
    RangeBudget* budget_ = nullptr;
    std::shared_ptr<Waiter> waiter_;
  };

  uint64_t bytes() const { return options_.bytes; }
  RangeBudgetStats stats() const;

 private:
  struct Waiter {
    uint64_t bytes = 0;
    bool admitted = false;
    Instant until{};
    absl::AnyInvocable<void(const absl::Status&)> done;  // empty once it was told, or has left
  };

  bool Fits(const Waiter& waiter) const { return waiter.bytes <= options_.bytes - reserved_; }
  void Free(Waiter& waiter);
  // Admits whoever is first as long as there is room.
  void Admit();
  void DropLeft();
  void ArmTimer();
  void OnTimer();

  const RangeBudgetOptions options_;
  Executor* const lane_;
  uint64_t reserved_ = 0;
  uint64_t refused_ = 0;
  std::deque<std::shared_ptr<Waiter>> queue_;
  TimerId timer_ = 0;
};

}  // namespace conclave::server
