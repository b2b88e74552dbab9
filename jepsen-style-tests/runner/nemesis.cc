#include "jepsen-style-tests/runner/nemesis.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "jepsen-style-tests/runner/partition.h"

namespace conclave::sim {

namespace {

constexpr size_t kClientsCut = 48;  // numbers of clients from kFirstClient on

}  // namespace

Nemesis::Nemesis(World* world, const NemesisOptions& options, Random random)
    : world_(world), options_(options), random_(random) {
  const std::pair<bool, Named> all[] = {
      {options.kill, {"kill", &Nemesis::Kill}},
      {options.crash, {"crash", &Nemesis::Crash}},
      {options.stop, {"stop", &Nemesis::Stop}},
      {options.pause, {"pause", &Nemesis::Pause}},
      {options.wall_jump, {"wall-jump", &Nemesis::WallJump}},
      {options.partition && world->size() > 1, {"partition", &Nemesis::Partition}},
      {options.clog && world->size() > 1, {"clog", &Nemesis::Clog}},
      {options.weather, {"weather", &Nemesis::Weather}},
      {options.strand && world->size() > 1, {"strand", &Nemesis::Strand}},
      {options.flap, {"flap", &Nemesis::Flap}},
      {options.away && world->size() > 1, {"away", &Nemesis::Away}},
      {options.install_crash && world->size() > 1, {"crash-in-install", &Nemesis::CrashInInstall}},
      {options.client_cut, {"client-cut", &Nemesis::CutClients}},
      {options.disk_hang, {"disk-hang", &Nemesis::HangDisk}},
      {options.disk_full, {"disk-full", &Nemesis::FillDisk}},
      {options.sync_error, {"sync-error", &Nemesis::FailSync}},
      {options.rot, {"rot", &Nemesis::Rot}},
      {options.misdirect, {"misdirect", &Nemesis::Misdirect}},
      {options.engine_damage, {"engine-damage", &Nemesis::DamageEngine}},
  };
  for (const auto& [enabled, fault] : all) {
    if (enabled) enabled_.push_back(fault);
  }
  if (options.install_crash) {
    world_->SetEventObserver([this](Member& member) { OnEvent(member); });
  }
}

Nemesis::~Nemesis() {
  *alive_ = false;
  world_->SetEventObserver(nullptr);
}

Duration Nemesis::Between(Duration low, Duration high) {
  return Duration(static_cast<int64_t>(random_.Between(
      static_cast<uint64_t>(low.count()), static_cast<uint64_t>(std::max(low, high).count()))));
}

Duration Nemesis::Lasts() { return Between(Milliseconds(20), options_.lasts_max); }

void Nemesis::StartMembers(Duration spread, Duration late) {
  size_t may_be_late = late > Duration::zero() ? (world_->voters() - 1) / 2 : 0;
  for (size_t position = 0; position < world_->size(); ++position) {
    const bool is_late = may_be_late > 0 && random_.OneIn(2);
    if (is_late) --may_be_late;
    restarting_.insert(position);
    world_->scheduler().After(Between(Duration::zero(), is_late ? late : spread),
                              [this, alive = alive_, position] {
                                if (*alive && restarting_.contains(position)) Restart(position);
                              });
  }
}

void Nemesis::Begin() {
  if (!enabled_.empty()) UndoAfter(Seconds(1), [this] { Next(); });
}

void Nemesis::Next() {
  for (size_t position = 0; position < world_->size(); ++position) {
    if (!world_->member(position).running()) RestartLater(position);
  }
  const Named& fault = enabled_[random_.Below(enabled_.size())];
  (this->*fault.fault)();
  UndoAfter(Between(options_.between_min, options_.between_max), [this] { Next(); });
}

void Nemesis::UndoAfter(Duration delay, std::function<void()> undo) {
  world_->scheduler().After(delay, [this, alive = alive_, healed = healed_, undo] {
    if (*alive && healed == healed_) undo();
  });
}

std::vector<size_t> Nemesis::Running() const {
  std::vector<size_t> running;
  for (size_t position = 0; position < world_->size(); ++position) {
    const Member& member = world_->member(position);
    if (member.running() && !member.silent()) running.push_back(position);
  }
  return running;
}

std::optional<size_t> Nemesis::SomeRunning() {
  const std::vector<size_t> running = Running();
  if (running.empty()) return std::nullopt;
  // The leader is where most can go wrong.
  const Member* leader = world_->leader();
  if (leader != nullptr && random_.OneIn(3)) return leader->position();
  return running[random_.Below(running.size())];
}

void Nemesis::Count(const char* fault) { ++faults_[fault]; }

// ---- Processes. ----

void Nemesis::Restart(size_t position) {
  restarting_.erase(position);
  Member& member = world_->member(position);
  if (member.running() || member.gone()) return;
  world_->StartMember(position);
}

void Nemesis::RestartLater(size_t position) {
  if (world_->member(position).gone() || !restarting_.insert(position).second) return;
  RestartAfter(position, random_.OneIn(3) ? Milliseconds(1) : Lasts());
}

void Nemesis::RestartAfter(size_t position, Duration down) {
  world_->scheduler().After(down, [this, alive = alive_, position] {
    if (*alive && restarting_.contains(position)) Restart(position);
  });
}

void Nemesis::EndAndRestart(EndOfProcess how) {
  const std::optional<size_t> position = SomeRunning();
  if (!position) return;
  world_->EndMember(*position, how);
  RestartLater(*position);
}

void Nemesis::Kill() {
  Count("kill");
  const uint64_t victims = random_.OneIn(8) ? world_->size() : 1;
  for (uint64_t i = 0; i < victims; ++i) EndAndRestart(EndOfProcess::kKill);
}

void Nemesis::Crash() {
  if (random_.OneIn(8)) {  // the whole room loses power
    Count("crash-all");
    for (size_t i = 0; i < world_->size(); ++i) EndAndRestart(EndOfProcess::kCrash);
    return;
  }
  if (random_.OneIn(2)) {
    Count("crash");
    return EndAndRestart(EndOfProcess::kCrash);
  }
  const std::optional<size_t> position = SomeRunning();
  if (!position) return;
  Count("crash-in-write");
  fused_.insert(*position);
  world_->member(*position).disk().CrashAfter(random_.Below(40));
  world_->member(*position).BuryIfDead();
}

void Nemesis::Stop() {
  const std::optional<size_t> position = SomeRunning();
  if (!position) return;
  Count("stop");
  world_->member(*position).StopGently();
}

void Nemesis::Pause() {
  const std::optional<size_t> position = SomeRunning();
  if (!position || world_->member(*position).lane().paused()) return;
  Count("pause");
  world_->Note("{} stands still", world_->member(*position).name());
  world_->member(*position).lane().Pause();
  UndoAfter(Lasts(), [this, position = *position] { Resume(position); });
}

void Nemesis::Resume(size_t position) {
  Member& member = world_->member(position);
  if (!member.running() || !member.lane().paused()) return;
  world_->Note("{} goes on", member.name());
  member.lane().Resume();
}

void Nemesis::WallJump() {
  const std::optional<size_t> position = SomeRunning();
  if (!position) return;
  Count("wall-jump");
  const auto seconds = static_cast<int64_t>(random_.Below(7200)) - 3600;
  world_->member(*position).lane().JumpWall(Seconds(seconds));
}

// ---- The network. ----

void Nemesis::Partition() {
  const PartitionShape shape = DrawPartition(world_->size(), random_);
  Count("partition");
  world_->Note("partition: {}", shape.name);
  for (const auto& [from, to] : shape.cuts) world_->CutLink(from, to);
  UndoAfter(Lasts(), [this] {
    world_->Note("links are whole again");
    world_->HealLinks();
  });
}

void Nemesis::Clog() {
  const size_t from = random_.Below(world_->size());
  const size_t to = random_.Below(world_->size());
  if (from == to) return;
  Count("clog");
  world_->network().Clog(world_->member(from).end(), world_->member(to).end(),
                         world_->scheduler().Now() + std::min(Lasts(), Seconds(3)));
}

void Nemesis::Weather() {
  Count("weather");
  NetworkOptions worse = world_->options().network;
  worse.loss_permille += random_.Below(200);
  worse.repeat_permille += random_.Below(100);
  worse.slow_permille += random_.Below(300);
  worse.slow_max = std::max(worse.slow_max, Milliseconds(static_cast<int64_t>(random_.Below(500))));
  world_->network().set_options(worse);
  UndoAfter(Lasts(), [this] { world_->network().set_options(world_->options().network); });
}

// The others lose sight of the leader at once and elect another, while their last answers to the
// old one are held up: they reach it when it leads nobody any more, and prove nothing.
void Nemesis::Strand() {
  const Member* const leader = world_->leader();
  if (leader == nullptr) return;
  Count("strand");
  world_->Note("{} is stranded", leader->name());
  const Duration heartbeat = world_->options().member.node.core.heartbeat_interval;
  const Instant answers_at = world_->scheduler().Now() + Between(3 * heartbeat, 12 * heartbeat);
  const size_t stranded = leader->position();
  for (size_t other = 0; other < world_->size(); ++other) {
    if (other == stranded) continue;
    world_->network().Clog(world_->member(other).end(), leader->end(), answers_at);
    UndoAfter(Between(Duration::zero(), heartbeat), [this, stranded, other] {
      world_->CutLink(stranded, other);
      world_->member(other).OnUnreachable(world_->member(stranded).id());
    });
  }
  if (random_.OneIn(2)) {
    UndoAfter(Between(heartbeat, 3 * heartbeat), [this, stranded] { WriteInVain(stranded); });
  }
  UndoAfter(Lasts() + 12 * heartbeat, [this] { world_->HealLinks(); });
}

// Its log becomes longer than that of those who elect another, by entries that nobody else has: so
// many that a snapshot of what they commit meanwhile ends in the middle of it. What it says of
// itself changes nothing, however often it says so.
void Nemesis::WriteInVain(size_t position) {
  Member& member = world_->member(position);
  if (!member.running() || member.silent()) return;
  Count("write-in-vain");
  etcdserverpb::Member self;
  self.set_id(member.id().value());
  self.set_name(member.name());
  member.lane().Deliver(
      [&member, times = random_.Between(5, 80), request = self.SerializeAsString()] {
        for (uint64_t i = 0; i < times; ++i) {
          member.node().Propose(kv::CommandKind::kMemberAttributes, request,
                                [](const kv::ApplyResult&) {});
        }
      });
}

// Short lives one after the other, while messages take any time: what was meant for one life
// arrives in the next.
void Nemesis::Flap() {
  const std::optional<size_t> position = SomeRunning();
  if (!position) return;
  Count("flap");
  NetworkOptions stray = world_->options().network;
  stray.ordered = false;
  stray.slow_permille = 400;
  stray.slow_max = 8 * world_->options().member.node.core.heartbeat_interval;
  world_->network().set_options(stray);
  FlapAgain(*position, static_cast<int>(random_.Between(8, 24)));
}

void Nemesis::FlapAgain(size_t position, int times) {
  if (times == 0) return world_->network().set_options(world_->options().network);
  Member& member = world_->member(position);
  if (member.running() && !member.silent()) world_->EndMember(position, EndOfProcess::kKill);
  restarting_.insert(position);
  UndoAfter(Milliseconds(1), [this, position] { Restart(position); });
  const Duration heartbeat = world_->options().member.node.core.heartbeat_interval;
  UndoAfter(Between(heartbeat, 5 * heartbeat),
            [this, position, times] { FlapAgain(position, times - 1); });
}

// Long enough for the others to let go of the log that it will need.
void Nemesis::Away() {
  const std::optional<size_t> position = SomeRunning();
  if (!position) return;
  Count("away");
  world_->EndMember(*position, random_.OneIn(2) ? EndOfProcess::kKill : EndOfProcess::kCrash);
  restarting_.insert(*position);
  RestartAfter(*position, Between(Seconds(3), Seconds(15)));
}

// Sees to it that a member needs a snapshot. The next that installs one dies: before the new state
// takes the place of the old, or when it has and the log's reset is on its way.
void Nemesis::CrashInInstall() {
  Count("crash-in-install");
  install_crash_until_ = world_->scheduler().Now() + Seconds(20);
  Away();
}

void Nemesis::OnEvent(Member& member) {
  const size_t position = member.position();
  const bool installs = member.node().core().log_starts_anew();
  if (installs == installing_.contains(position)) return;
  if (installs) {
    installing_.insert(position);
  } else {
    installing_.erase(position);
  }
  if (world_->scheduler().Now() >= install_crash_until_ || random_.OneIn(2)) return;
  install_crash_until_ = {};
  const Duration most =
      installs ? world_->options().member.flush_time : world_->options().member.disk.sync_min;
  UndoAfter(Between(Duration::zero(), most), [this, position] {
    if (!world_->member(position).running()) return;
    Count("crashed-in-install");
    world_->EndMember(position, random_.OneIn(2) ? EndOfProcess::kKill : EndOfProcess::kCrash);
    RestartLater(position);
  });
}

void Nemesis::CutClients() {
  Count("client-cut");
  const End member = world_->member(random_.Below(world_->size())).end();
  for (End client = kFirstClient; client < kFirstClient + kClientsCut; ++client) {
    if (random_.OneIn(2)) world_->network().Cut(client, member);
    if (random_.OneIn(2)) world_->network().Cut(member, client);
  }
  UndoAfter(Lasts(), [this, member] {
    for (End client = kFirstClient; client < kFirstClient + kClientsCut; ++client) {
      world_->network().Heal(client, member);
      world_->network().Heal(member, client);
    }
  });
}

// ---- Disks. ----

void Nemesis::HangDisk() {
  const size_t position = random_.Below(world_->size());
  Count("disk-hang");
  world_->Note("the disk of {} hangs", world_->member(position).name());
  world_->member(position).disk().Hang();
  const Duration lasts = random_.OneIn(3) ? Between(Seconds(4), Seconds(16)) : Lasts();
  UndoAfter(lasts, [this, position] { Unhang(position); });
}

void Nemesis::Unhang(size_t position) {
  Member& member = world_->member(position);
  // Pauses and want of space are excuses, and a watchdog looks only so often.
  const Duration held_up = member.disk().WriteHeldUp();
  const Duration endured = world_->options().member.node.log_watchdog.stall_max;
  if (!options_.pause && !options_.disk_full && held_up > endured * 5 / 4 + Seconds(1)) {
    world_->Report(fmt::format("disk: a hung disk endured: {} went on for {:.3g} s", member.name(),
                               ToSeconds(held_up)));
  }
  member.disk().Unhang();
}

void Nemesis::FillDisk() {
  const size_t position = random_.Below(world_->size());
  Count("disk-full");
  world_->Note("the disk of {} is full", world_->member(position).name());
  world_->member(position).disk().SetFull(true);
  UndoAfter(Lasts(), [this, position] { world_->member(position).disk().SetFull(false); });
}

void Nemesis::KeepFull(size_t position) {
  kept_full_ = position;
  world_->member(position).disk().SetFull(true);
}

void Nemesis::EndFull() {
  if (kept_full_) world_->member(*kept_full_).disk().SetFull(false);
  kept_full_.reset();
}

void Nemesis::FailSync() {
  const std::optional<size_t> position = SomeRunning();
  if (!position) return;
  Count("sync-error");
  world_->member(*position).disk().FailNextSync();
}

void Nemesis::Rot() {
  Count("rot");
  DamageAtRest(&SimDisk::Rot);
}

void Nemesis::Misdirect() {
  Count("misdirect");
  DamageAtRest(&SimDisk::Misdirect);
}

void Nemesis::DamageAtRest(bool (SimDisk::*damage)(const std::string&, Random&)) {
  const std::optional<size_t> position = EndOneToDamage();
  if (!position) return;
  Member& member = world_->member(*position);
  std::unique_ptr<MemoryFileSystem> sound = member.disk().Copy();
  if ((member.disk().*damage)(Member::kWalDirectory, random_)) {
    world_->OnDamaged(*position, std::move(sound));
  }
  RestartLater(*position);
}

void Nemesis::DamageEngine() {
  Count("engine-damage");
  const std::optional<size_t> position = EndOneToDamage();
  if (!position) return;
  Member& member = world_->member(*position);
  if (member.DamageEngine()) world_->Note("the engine of {} is damaged", member.name());
  RestartLater(*position);
}

// A member that the others can do without; it does not run any more.
std::optional<size_t> Nemesis::EndOneToDamage() {
  const size_t position = random_.Below(world_->size());
  if (!world_->IsWhole(position) || !world_->MayLose(position)) return std::nullopt;
  if (world_->member(position).running()) {
    if (world_->member(position).silent()) return std::nullopt;
    world_->EndMember(position, EndOfProcess::kCrash);
  }
  return position;
}

// ---- Healing. ----

void Nemesis::HealMember(size_t position) {
  Member& member = world_->member(position);
  DiskOptions swift = world_->options().member.disk;
  swift.slow_one_in = 0;
  member.disk().SetOptions(swift);
  if (kept_full_ != position) member.disk().SetFull(false);
  Unhang(position);
  Resume(position);
  // Before its fuse blows in the middle of what must succeed.
  if (fused_.erase(position) != 0 && member.running()) {
    world_->EndMember(position, EndOfProcess::kCrash);
  }
  Restart(position);
}

std::set<size_t> Nemesis::HealCore() {
  ++healed_;
  install_crash_until_ = {};
  // One full disk keeps the whole cluster from growing: whose it is does not matter.
  for (size_t position = 0; position < world_->size(); ++position) {
    world_->member(position).disk().SetFull(false);
  }
  const std::set<size_t> core = world_->DrawCore(random_);

  world_->HealLinks();
  NetworkOptions passable = world_->options().network;
  passable.slow_permille = 0;  // beyond an election timeout nobody could lead
  world_->network().set_options(passable);
  KeepHealed(core);
  // Half the time the others run, are heard, and hear nothing: they must not disturb. But who was
  // out of space and gets no more entries does not notice that it has space, and goes on to say so.
  const bool one_way = random_.OneIn(2) && !options_.disk_full;
  for (size_t from = 0; from < world_->size(); ++from) {
    for (size_t to = 0; to < world_->size(); ++to) {
      if (core.contains(from) == core.contains(to)) continue;
      if (!one_way || core.contains(from)) world_->CutLink(from, to);
    }
    if (one_way && !core.contains(from)) HealMember(from);
  }
  return core;
}

void Nemesis::HealAll() {
  ++healed_;
  NetworkOptions whole = world_->options().network;
  whole.loss_permille = 0;
  whole.slow_permille = 0;
  world_->network().set_options(whole);
  world_->HealLinks();
  std::set<size_t> all;
  for (size_t position = 0; position < world_->size(); ++position) all.insert(position);
  KeepHealed(all);
}

// Now, and again when what was on its way before (a stop, a failed sync) ends one of them.
void Nemesis::KeepHealed(const std::set<size_t>& members) {
  for (size_t position : members) HealMember(position);
  UndoAfter(Milliseconds(500), [this, members] { KeepHealed(members); });
}

}  // namespace conclave::sim
