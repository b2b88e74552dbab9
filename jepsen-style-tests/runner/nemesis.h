// What goes wrong in a run, and how it is put right again: faults of the enabled classes at random
// times, each undone after a while; then the healing of a core of members, which must be enough to
// make progress; then of everything. Acts on the world from outside, as events of its scheduler.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "jepsen-style-tests/runner/swarm_options.h"
#include "jepsen-style-tests/sim/world.h"
#include "raft/base/random.h"

namespace conclave::sim {

class Nemesis {
 public:
  Nemesis(World* world, const NemesisOptions& options, Random random);
  ~Nemesis();

  // Starts every member within `spread`, but for some (a minority of the voters at most), which
  // take up to `late`; zero is none.
  void StartMembers(Duration spread, Duration late);
  // Faults begin, and end with the first Heal.
  void Begin();
  // No more faults. The core, some members that must be enough to go on (World::DrawCore), runs and
  // is connected; everything else stays as it is. Returns the core's positions.
  std::set<size_t> HealCore();
  // Everything is whole; every member runs but those that are gone for good.
  void HealAll();

  // That member's disk is full from now on, whatever else is healed, or has space again.
  void KeepFull(size_t position);
  void EndFull();

  // How often each fault was done.
  const std::map<std::string, uint64_t>& faults() const { return faults_; }

 private:
  using Fault = void (Nemesis::*)();
  struct Named {
    const char* name;
    Fault fault;
  };

  void Next();
  void Kill();
  void Crash();
  void Stop();
  void Pause();
  void WallJump();
  void Partition();
  void Clog();
  void Weather();
  void Strand();
  void WriteInVain(size_t position);
  void Flap();
  void FlapAgain(size_t position, int times);
  void Away();
  void CrashInInstall();
  void OnEvent(Member& member);
  void CutClients();
  void HangDisk();
  void Unhang(size_t position);
  void FillDisk();
  void FailSync();
  void Rot();
  void DamageEngine();
  void Misdirect();

  void EndAndRestart(EndOfProcess how);
  void RestartLater(size_t position);
  void RestartAfter(size_t position, Duration down);
  void Restart(size_t position);
  void Resume(size_t position);
  void HealMember(size_t position);
  void KeepHealed(const std::set<size_t>& members);
  void DamageAtRest(bool (SimDisk::*damage)(const std::string&, Random&));
  std::optional<size_t> EndOneToDamage();
  std::vector<size_t> Running() const;
  // A running member's position, or nothing.
  std::optional<size_t> SomeRunning();
  Duration Lasts();
  // Runs `undo` after `delay`, unless something was healed meanwhile.
  void UndoAfter(Duration delay, std::function<void()> undo);
  void Count(const char* fault);
  Duration Between(Duration low, Duration high);

  World* const world_;
  const NemesisOptions options_;
  Random random_;
  std::vector<Named> enabled_;
  std::map<std::string, uint64_t> faults_;
  std::set<size_t> restarting_;  // down, and to be started at a time that is set
  std::set<size_t> fused_;       // to lose power after some more writes
  std::set<size_t> installing_;  // have fetched a snapshot, and their log is not started anew yet
  Instant install_crash_until_;  // who installs a snapshot before that dies
  std::optional<size_t> kept_full_;
  uint64_t healed_ = 0;  // goes up with each healing: what waits to be undone is void then
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace conclave::sim
