#include "raft/base/posix_scheduling.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace conclave {
namespace {

// As sched_setattr(2) has it, for which older C libraries have neither type nor function.
struct SchedulingAttributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime_ns;  // of an ordinary thread: how long it runs before others get their turn
  uint64_t deadline_ns;
  uint64_t period_ns;
};

constexpr uint64_t kResetOnFork = 1;
// The least that the kernel takes. Who asks for less at a time gets it sooner.
constexpr uint64_t kPromptSliceNs = 100'000;
constexpr int32_t kBulkNice = 10;

}  // namespace

void ScheduleThisThread(Scheduling scheduling) {
  if (scheduling == Scheduling::kUsual) return;
  SchedulingAttributes attributes{};
  attributes.size = sizeof(attributes);
  attributes.policy = SCHED_OTHER;
  if (scheduling == Scheduling::kPrompt) {
    attributes.flags = kResetOnFork;
    attributes.runtime_ns = kPromptSliceNs;
  } else {
    attributes.nice = kBulkNice;
  }
  syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace conclave
