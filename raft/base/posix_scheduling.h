// What a thread asks of the kernel for the moments when more threads could run than there are
// cores. A thread that works without end otherwise keeps one that has just woken waiting for
// milliseconds (docs/performance.md).
#pragma once

namespace conclave {

enum class Scheduling {
  kUsual,
  // For a lane that others wait for in every turn: it runs as soon as it wakes.
  kPrompt,
  // For much work that nobody waits for by itself: about a quarter of a core that another one wants
  // too, all that they leave, and never nothing.
  kBulk,
};

// Of the calling thread, until it ends, on top of how the process was started (nice, systemd's
// Nice=); one with a policy of its own, as for real time, stays as it is. Threads that it starts
// are not affected by kPrompt. Once kBulk, a thread stays it. What the kernel does not know or
// allow is left out (kPrompt needs Linux 6.12).
void ScheduleThisThread(Scheduling scheduling);

}  // namespace conclave
