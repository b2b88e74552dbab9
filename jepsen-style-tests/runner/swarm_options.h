// What one seed decides about a run before it begins: the cluster's size, its limits (down to tiny
// ones, so that rare paths are common), the network's and the disks' manners, and which classes of
// faults there are. Drawn once; the run never asks the seed for them again.
#pragma once

#include <cstdint>
#include <string>

#include "jepsen-style-tests/sim/world.h"
#include "raft/base/random.h"

namespace conclave::sim {

// Which faults a nemesis may use, and how often.
struct NemesisOptions {
  bool kill = false;       // kill -9, and start again
  bool crash = false;      // the power goes, also in the middle of a write
  bool stop = false;       // SIGTERM
  bool pause = false;      // the whole process stands still
  bool wall_jump = false;  // the wall clock jumps
  bool partition = false;  // links are cut, in shapes
  bool clog = false;       // a link holds up what is sent
  bool weather = false;    // the network gets worse for a while
  bool strand = false;     // the leader is left alone without knowing, with answers on their way
  bool flap = false;       // a member is killed again and again, with answers on their way
  bool away = false;       // a member is down for so long that the others let its log go
  bool install_crash = false;  // members die while they install a snapshot
  bool client_cut = false;     // clients lose sight of a member
  bool disk_hang = false;
  bool disk_full = false;
  bool sync_error = false;
  bool rot = false;  // damage at rest, on a minority
  bool misdirect = false;
  bool engine_damage = false;  // a member's state cannot be read any more, on one at a time
  Duration between_min = Milliseconds(200);
  Duration between_max = Seconds(4);
  Duration lasts_max = Seconds(8);  // longest time until a fault is undone
};

struct SwarmOptions {
  WorldOptions world;
  NemesisOptions nemesis;
  Duration fault_phase = Seconds(30);
  // Some members, a minority of the voters at most, start from nothing up to so long after the
  // others; zero is none.
  Duration late_start{};
  bool divergence = false;  // a member's state goes wrong, in a healthy cluster (divergence.h)

  // One line per topic, for people.
  std::string Describe() const;
};

SwarmOptions DrawSwarmOptions(Random random);

}  // namespace conclave::sim
