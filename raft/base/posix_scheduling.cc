#include "raft/base/posix_scheduling.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
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
constexpr int32_t kNicest = 19;
// The least that the kernel takes. Who asks for less at a time gets it sooner.
constexpr uint64_t kPromptSliceNs = 100'000;
// Than the process was started. With 10, other programs on all cores keep a flush from its core for
// so long that requests time out behind it (docs/performance.md).
constexpr int32_t kBulkNicer = 5;

}  // namespace

void ScheduleThisThread(Scheduling scheduling) {
  if (scheduling == Scheduling::kUsual) return;
  SchedulingAttributes attributes{};
  // Of the first thread: the one that has started this one may be of the bulk itself.
  if (syscall(SYS_sched_getattr, getpid(), &attributes, sizeof(attributes), 0) != 0) return;
  if (attributes.policy != SCHED_OTHER) return;  // somebody has chosen otherwise
  attributes.size = sizeof(attributes);
  attributes.flags = 0;
  if (scheduling == Scheduling::kPrompt) {
    attributes.flags = kResetOnFork;
    attributes.runtime_ns = kPromptSliceNs;
  } else {
    attributes.runtime_ns = 0;  // the usual slice
    attributes.nice = std::min(attributes.nice + kBulkNicer, kNicest);
  }
  syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace conclave
