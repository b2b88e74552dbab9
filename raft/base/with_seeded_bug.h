// Switches a seeded bug on for a scope, in a program that has them (a test that links the form of a
// library for the simulator). kNone switches nothing on, so that one test can try the code as it
// is and with a bug. Tests only; one thread.
#pragma once

#include "raft/base/seeded_bug.h"

namespace conclave {

class WithSeededBug {
 public:
  explicit WithSeededBug(SeededBug bug) { SetSeededBug(bug); }
  ~WithSeededBug() { SetSeededBug(SeededBug::kNone); }
  WithSeededBug(const WithSeededBug&) = delete;
  WithSeededBug& operator=(const WithSeededBug&) = delete;
};

}  // namespace conclave
