// What people do about full disks: an operator who lifts the alarms once there is space again, and
// the drills at the end of a run that prove the rules of reference behaviour section 10.3 in a
// healthy cluster. Events of the world's scheduler; destroyed before the world.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "jepsen-style-tests/runner/nemesis.h"
#include "jepsen-style-tests/sim/world.h"
#include "jepsen-style-tests/workload/co.h"
#include "jepsen-style-tests/workload/history.h"
#include "jepsen-style-tests/workload/session.h"
#include "raft/base/random.h"

namespace conclave::sim {

// Lifts every NOSPACE alarm that it hears of, again and again: as long as a disk is full its member
// raises it anew.
class AlarmLifter {
 public:
  AlarmLifter(World* world, History* history, Random random);

 private:
  Co<void> Work();

  Session session_;
  Co<void> work_;
};

// One member's disk fills up: it must raise the alarm; then puts are refused, while reads and
// deletes go on. Once it has space again and the alarm is lifted, puts succeed. What goes wrong is
// reported to the world as "space: ...".
class SpaceDrill {
 public:
  SpaceDrill(World* world, Nemesis* nemesis, History* history, Random random);
  ~SpaceDrill();
  SpaceDrill(const SpaceDrill&) = delete;
  SpaceDrill& operator=(const SpaceDrill&) = delete;

  bool done() const { return work_.done(); }
  // What it waits for, in words.
  const std::string& stage() const { return stage_; }

 private:
  Co<void> Work();
  Co<void> AwaitAlarm();
  Co<void> TryWithoutSpace();
  // Whether every running member but the one in trouble knows of its alarm.
  bool AlarmIsKnown() const;

  World* const world_;
  Nemesis* const nemesis_;
  Session session_;
  const size_t position_;  // whose disk fills up
  std::string stage_;
  bool failed_ = false;
  Co<void> work_;
};

// A client fills the store up to its quota: then puts are refused, and the store has not passed it.
// Once the keys are deleted and their revisions compacted puts succeed again, though nobody has
// lifted the alarm. What goes wrong is reported to the world as "space: ...".
class QuotaDrill {
 public:
  QuotaDrill(World* world, History* history, Random random);
  QuotaDrill(const QuotaDrill&) = delete;
  QuotaDrill& operator=(const QuotaDrill&) = delete;

  bool done() const { return work_.done(); }
  // What it waits for, in words.
  const std::string& stage() const { return stage_; }

 private:
  Co<void> Work();
  Co<void> Fill();
  Co<void> GiveBack();
  bool QuotaIsPassed() const;

  World* const world_;
  Session session_;
  const uint64_t quota_;
  std::string stage_;
  bool failed_ = false;
  Co<void> work_;
};

}  // namespace conclave::sim
