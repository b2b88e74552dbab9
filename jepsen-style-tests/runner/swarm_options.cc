#include "jepsen-style-tests/runner/swarm_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <initializer_list>
#include <vector>

namespace conclave::sim {

namespace {

template <typename T>
T OneOf(Random& random, std::initializer_list<T> choices) {
  return choices.begin()[random.Below(choices.size())];
}

Duration Between(Random& random, Duration low, Duration high) {
  return Duration(static_cast<int64_t>(
      random.Between(static_cast<uint64_t>(low.count()), static_cast<uint64_t>(high.count()))));
}

bool Chance(Random& random, uint64_t percent) { return random.Below(100) < percent; }

void DrawRaft(Random random, MemberOptions& member) {
  raft::CoreConfig& core = member.node.core;
  core.heartbeat_interval = Milliseconds(OneOf<int64_t>(random, {20, 50, 100, 100, 200}));
  core.election_timeout = core.heartbeat_interval * OneOf<int64_t>(random, {4, 5, 10, 10, 10, 15});
  core.append_bytes_max = OneOf<size_t>(random, {256, 4 << 10, 64 << 10, 1 << 20});
  core.append_entries_max = OneOf<size_t>(random, {1, 3, 16, 4096});
  core.inflight_appends_max = OneOf<size_t>(random, {1, 2, 8, 64});
  core.inflight_bytes_max = OneOf<size_t>(random, {1 << 10, 64 << 10, 8 << 20});
  core.uncommitted_bytes_max = OneOf<size_t>(random, {2 << 10, 1 << 20, 64 << 20, 64 << 20});
  core.apply_bytes_max = OneOf<size_t>(random, {128, 4 << 10, 4 << 20});
  member.segment_bytes = OneOf<size_t>(random, {4 << 10, 8 << 10, 32 << 10, 128 << 10});
  member.node.log_keeper.entries_max = OneOf<uint64_t>(random, {2, 10, 10, 50, 1000});
  member.node.unapplied_entries_max = OneOf<size_t>(random, {20, 5000, 5000});
}

// Logs so short that whoever was away for a moment needs a snapshot, and all that bounds its way.
void DrawSnapshots(Random random, MemberOptions& member) {
  raft::CoreConfig& core = member.node.core;
  core.tail_entries_max = OneOf<uint64_t>(random, {0, 1, 5, 5, 20, 5000});
  core.tail_bytes_max = OneOf<size_t>(random, {200, 64 << 20, 64 << 20});
  server::SnapshotSourceOptions& source = member.node.snapshot_source;
  source.chunk_bytes = OneOf<size_t>(random, {500, 4 << 10, 64 << 10});
  source.bytes_per_second = OneOf<uint64_t>(random, {100 << 10, 256 << 20, 256 << 20});
  source.sessions_max = OneOf<size_t>(random, {1, 4});
  source.idle_max = Seconds(OneOf<int64_t>(random, {3, 10}));
  source.held_back_bytes_max = OneOf<size_t>(random, {40 << 10, 100 << 10, 512 << 20});
  source.age_max = Seconds(OneOf<int64_t>(random, {60, 600, 3600}));
  server::SnapshotFetcherOptions& fetcher = member.node.snapshot_fetcher;
  fetcher.call_timeout = Seconds(OneOf<int64_t>(random, {1, 10}));
  fetcher.retry_after = Milliseconds(OneOf<int64_t>(random, {10, 100}));
  fetcher.source_lost_after = Seconds(OneOf<int64_t>(random, {1, 10}));
  fetcher.rest = Milliseconds(OneOf<int64_t>(random, {10, 1000}));
  fetcher.unwanted_after = Seconds(OneOf<int64_t>(random, {2, 60}));
  // Each chunk takes as long as a flush, twice.
  if (member.flush_time > Milliseconds(100)) source.chunk_bytes = 64 << 10;
}

void DrawMembership(Random random, MemberOptions& member) {
  server::MemberKeeperOptions& keeper = member.membership;
  keeper.strict_reconfig_check = Chance(random, 50);
  keeper.learners_max = OneOf<size_t>(random, {1, 3});
  keeper.promote_learners = Chance(random, 30);
  keeper.health_interval = Milliseconds(OneOf<int64_t>(random, {500, 5000}));
}

// Where memory is short, nobody who has stopped holds it for long.
void DrawRangeReplies(Random random, MemberOptions& member) {
  member.store.long_range_bytes = OneOf<size_t>(random, {1, 100, 1 << 20});
  server::RangeReplyOptions& ranges = member.api.ranges;
  ranges.first_chunk_keys = OneOf<size_t>(random, {1, 3, 10});
  ranges.whole_bytes_max = OneOf<size_t>(random, {300, 1 << 20});
  ranges.part_bytes = OneOf<size_t>(random, {500, 256 << 10});
  ranges.collected_bytes_max = ranges.whole_bytes_max * (1 + ranges.part_bytes % 3);
  ranges.view_age_max = Milliseconds(OneOf<int64_t>(random, {1, 100, 60'000}));
  if (!Chance(random, 30)) return;
  ranges.budget.bytes = OneOf<uint64_t>(random, {1 << 20, 8 << 20});
  ranges.room_check_interval = Milliseconds(100);
  ranges.stalled_max = Seconds(2);
}

void DrawStore(Random random, MemberOptions& member) {
  kv::StoreOptions& store = member.store;
  store.seed = random.Next();
  store.compaction_batch = OneOf<size_t>(random, {1, 5, 50, 1000});
  Random ranges = random.Stream("ranges");
  store.long_range_keys = OneOf<int64_t>(ranges, {1, 3, 2000});
  Random cache = random.Stream("cache");
  store.record_cache_bytes = OneOf<size_t>(cache, {0, 2'000, 16 << 20});
  // So few that they go all the time, or more than a run makes.
  Random results = random.Stream("results");
  if (results.OneIn(3)) store.results = {.results_max = 8, .response_bytes_max = 60};
  member.long_read_time = Milliseconds(OneOf<int64_t>(ranges, {1, 20}));
  member.node.apply.compaction_pause = Milliseconds(OneOf<int64_t>(random, {1, 10, 200}));
  store.watch.response_bytes_max = OneOf<size_t>(random, {200, 2 << 10, 2 << 20});
  store.watch.progress_interval = Milliseconds(OneOf<int64_t>(random, {500, 3000, 600'000}));
  store.watch.catch_up_revisions_max = OneOf<size_t>(random, {1, 7, 1000});
  store.watch.catch_up_bytes_max = OneOf<size_t>(random, {100, 4 << 20});
  store.watch.recent_bytes_max = OneOf<size_t>(random, {0, 500, 64 << 20});
  member.call_window_bytes = OneOf<size_t>(random, {64, 1 << 10, 64 << 10});
  if (Chance(random, 10)) member.node.auto_compaction.revisions = 50;
  member.leveldb = Chance(random, 12);
  member.write_buffer_bytes = 64 << 10;  // LevelDB takes no less
  member.flush_time = Milliseconds(OneOf<int64_t>(random, {1, 5, 500}));
  Random buffer = random.Stream("buffer");
  member.full_buffer.one_commit_in = OneOf<uint32_t>(buffer, {0, 0, 5, 100});
  member.full_buffer.time_max = Milliseconds(OneOf<int64_t>(buffer, {5, 50, 300}));
  member.node.apply.held_bytes_max = OneOf<size_t>(buffer, {1, 2000, 64 << 20});
  Random cold = random.Stream("cold");
  member.disk_read_one_in = OneOf<uint32_t>(cold, {0, 0, 2, 20});
  member.disk_read_time = Milliseconds(OneOf<int64_t>(cold, {1, 10, 100}));
}

// More than any load keeps. Only where large puts are accepted, and compactions and snapshots come
// to an end before anybody gets impatient.
void DrawQuota(Random random, MemberOptions& member) {
  const double events_per_s = static_cast<double>(member.store.compaction_batch) /
                              ToSeconds(member.node.apply.compaction_pause);
  const bool suits = events_per_s >= 500 && member.node.core.uncommitted_bytes_max >= 1 << 20 &&
                     member.node.snapshot_source.bytes_per_second >= 1 << 20;
  if (Chance(random, 25) && suits) member.node.space.quota_bytes = 8 << 20;
}

void DrawLeases(Random random, server::LeaseStageOptions& leases) {
  leases.checkpoint_step_min = Seconds(OneOf<int64_t>(random, {1, 1, 2, 30}));
  leases.checkpoint_pause = Milliseconds(OneOf<int64_t>(random, {50, 200, 1000}));
  leases.leases_per_checkpoint_max = OneOf<size_t>(random, {2, 1000, 1000});
  leases.revokes_per_scan_max = OneOf<size_t>(random, {2, 20});
  leases.revokes_under_way_max = OneOf<size_t>(random, {8, 64});
}

void DrawDisk(Random random, DiskOptions& disk) {
  disk.sync_min = std::chrono::microseconds(OneOf<int64_t>(random, {20, 100, 1000}));
  disk.sync_max = disk.sync_min * OneOf<int64_t>(random, {1, 5, 20});
  disk.slow_one_in = OneOf<uint32_t>(random, {0, 0, 100, 20});
  disk.slow_max = Milliseconds(OneOf<int64_t>(random, {50, 400, 3000}));
  disk.faults_under = Member::kWalDirectory;
}

std::vector<uint32_t> DrawPriorities(Random random, size_t members) {
  std::vector<uint32_t> priorities;
  if (!Chance(random, 20)) return priorities;
  while (priorities.size() < members) {
    priorities.push_back(static_cast<uint32_t>(random.Below(3)));
  }
  return priorities;
}

void DrawTrouble(Random random, MemberOptions& member) {
  member.node.log_watchdog.stall_max = Seconds(OneOf<int64_t>(random, {4, 10}));
}

NetworkOptions DrawNetwork(Random random) {
  NetworkOptions network;
  network.delay_min = std::chrono::microseconds(OneOf<int64_t>(random, {20, 200, 2000}));
  network.delay_max = network.delay_min * OneOf<int64_t>(random, {1, 3, 10});
  network.slow_permille = OneOf<uint64_t>(random, {0, 0, 5, 50});
  network.slow_max = Milliseconds(OneOf<int64_t>(random, {20, 200, 2000}));
  network.loss_permille = OneOf<uint64_t>(random, {0, 0, 0, 5, 50});
  network.repeat_permille = OneOf<uint64_t>(random, {0, 0, 5, 50});
  network.ordered = Chance(random, 60);
  return network;
}

NemesisOptions DrawNemesis(Random random) {
  NemesisOptions nemesis;
  for (bool* fault : {&nemesis.kill, &nemesis.crash, &nemesis.stop, &nemesis.pause,
                      &nemesis.partition, &nemesis.clog, &nemesis.weather, &nemesis.client_cut}) {
    *fault = Chance(random, 45);
  }
  nemesis.wall_jump = Chance(random, 10);
  nemesis.strand = Chance(random, 25);
  nemesis.flap = Chance(random, 30);
  nemesis.away = Chance(random, 30);
  nemesis.install_crash = Chance(random, 30);
  nemesis.disk_hang = Chance(random, 20);
  nemesis.disk_full = Chance(random, 10);
  nemesis.sync_error = Chance(random, 15);
  nemesis.rot = Chance(random, 10);
  nemesis.misdirect = Chance(random, 5);
  nemesis.between_max = Milliseconds(OneOf<int64_t>(random, {600, 2000, 2000, 8000}));
  nemesis.lasts_max = Milliseconds(OneOf<int64_t>(random, {500, 3000, 10'000}));
  return nemesis;
}

std::string Faults(const NemesisOptions& nemesis) {
  const std::vector<std::pair<bool, const char*>> all = {
      {nemesis.kill, "kill"},
      {nemesis.crash, "crash"},
      {nemesis.stop, "stop"},
      {nemesis.pause, "pause"},
      {nemesis.wall_jump, "wall-jump"},
      {nemesis.partition, "partition"},
      {nemesis.clog, "clog"},
      {nemesis.weather, "weather"},
      {nemesis.strand, "strand"},
      {nemesis.flap, "flap"},
      {nemesis.away, "away"},
      {nemesis.install_crash, "crash-in-install"},
      {nemesis.client_cut, "client-cut"},
      {nemesis.disk_hang, "disk-hang"},
      {nemesis.disk_full, "disk-full"},
      {nemesis.sync_error, "sync-error"},
      {nemesis.rot, "rot"},
      {nemesis.misdirect, "misdirect"},
      {nemesis.engine_damage, "engine-damage"}};
  std::string names;
  for (const auto& [on, name] : all) {
    if (on) names += (names.empty() ? "" : " ") + std::string(name);
  }
  return names.empty() ? "none" : names;
}

}  // namespace

SwarmOptions DrawSwarmOptions(Random random) {
  SwarmOptions options;
  WorldOptions& world = options.world;
  world.voters = OneOf<size_t>(random, {1, 3, 3, 3, 3, 3, 3, 3, 5, 5, 5, 7});
  if (Chance(random, 15)) world.learners = random.Between(1, 2);
  world.clock_rate_ppm_max = OneOf<int64_t>(random, {0, 50, 500, 20'000});
  world.connection_timeout = Milliseconds(OneOf<int64_t>(random, {500, 2000, 10'000}));
  world.network = DrawNetwork(random.Stream("network"));
  DrawRaft(random.Stream("raft"), world.member);
  DrawMembership(random.Stream("membership"), world.member);
  DrawStore(random.Stream("store"), world.member);
  DrawRangeReplies(random.Stream("range replies"), world.member);
  DrawLeases(random.Stream("leases"), world.member.node.leases);
  DrawSnapshots(random.Stream("snapshots"), world.member);
  DrawQuota(random.Stream("quota"), world.member);
  DrawDisk(random.Stream("disk"), world.member.disk);
  DrawTrouble(random.Stream("trouble"), world.member);
  world.leader_priorities =
      DrawPriorities(random.Stream("priorities"), world.voters + world.learners);
  options.nemesis = DrawNemesis(random.Stream("nemesis"));
  Random engine_damage = random.Stream("engine damage");
  options.nemesis.engine_damage = Chance(engine_damage, 10);
  options.fault_phase = Between(random, Seconds(10), Seconds(50));
  if (Chance(random, 15)) options.late_start = options.fault_phase;
  options.divergence = Chance(random, 20);
  return options;
}

std::string SwarmOptions::Describe() const {
  const MemberOptions& member = world.member;
  const raft::CoreConfig& core = member.node.core;
  const NetworkOptions& net = world.network;
  std::string text = fmt::format(
      "cluster   {} voters, {} learners, engine {}, clocks within {} ppm\n", world.voters,
      world.learners, member.leveldb ? "leveldb" : "memory", world.clock_rate_ppm_max);
  text += fmt::format(
      "raft      heartbeat {} ms, election {} ms, append {} bytes / {} entries, window {} / {} "
      "bytes, uncommitted {} bytes, apply {} bytes\n",
      ToMilliseconds(core.heartbeat_interval), ToMilliseconds(core.election_timeout),
      core.append_bytes_max, core.append_entries_max, core.inflight_appends_max,
      core.inflight_bytes_max, core.uncommitted_bytes_max, core.apply_bytes_max);
  text += fmt::format("log       segments of {} bytes, kept {} entries, flush takes {} ms\n",
                      member.segment_bytes, member.node.log_keeper.entries_max,
                      ToMilliseconds(member.flush_time));
  text +=
      fmt::format("buffer    full after one commit in {} (0: never), for up to {} ms\n",
                  member.full_buffer.one_commit_in, ToMilliseconds(member.full_buffer.time_max));
  text += fmt::format("lookups   one in {} waits for the disk (0: none), for {} ms\n",
                      member.disk_read_one_in, ToMilliseconds(member.disk_read_time));
  text += fmt::format("results   {} kept\n", member.store.results.results_max);
  const server::LeaseStageOptions& leases = member.node.leases;
  text += fmt::format(
      "leases    checkpoints in steps of {} ms, {} in an entry, one each {} ms; {} revokes at a "
      "time, {} under way\n",
      ToMilliseconds(leases.checkpoint_step_min), leases.leases_per_checkpoint_max,
      ToMilliseconds(leases.checkpoint_pause), leases.revokes_per_scan_max,
      leases.revokes_under_way_max);
  const server::SnapshotSourceOptions& snapshots = member.node.snapshot_source;
  text += fmt::format(
      "snapshots tail of {} entries / {} bytes, chunks of {} bytes, {} bytes/s, {} at a time, held "
      "back {} bytes\n",
      core.tail_entries_max, core.tail_bytes_max, snapshots.chunk_bytes, snapshots.bytes_per_second,
      snapshots.sessions_max, snapshots.held_back_bytes_max);
  if (member.node.space.quota_bytes != 0) {
    text += fmt::format("quota     {} bytes\n", member.node.space.quota_bytes);
  }
  text += fmt::format("members   {}, at most {} learners{}, leader priorities {}\n",
                      member.membership.strict_reconfig_check ? "strict check" : "no strict check",
                      member.membership.learners_max,
                      member.membership.promote_learners ? ", promoted by themselves" : "",
                      world.leader_priorities.empty()
                          ? "none"
                          : fmt::format("{}", fmt::join(world.leader_priorities, " ")));
  text += fmt::format(
      "network   {:.3g}-{:.3g} ms, {}/1000 up to {} ms, lost {}/1000, repeated {}/1000, {}\n",
      ToSeconds(net.delay_min) * 1e3, ToSeconds(net.delay_max) * 1e3, net.slow_permille,
      ToMilliseconds(net.slow_max), net.loss_permille, net.repeat_permille,
      net.ordered ? "in order" : "out of order");
  text +=
      fmt::format("disk      sync {:.3g}-{:.3g} ms, one in {} up to {} ms, endured for {:.3g} s\n",
                  ToSeconds(member.disk.sync_min) * 1e3, ToSeconds(member.disk.sync_max) * 1e3,
                  member.disk.slow_one_in, ToMilliseconds(member.disk.slow_max),
                  ToSeconds(member.node.log_watchdog.stall_max));
  text += fmt::format("faults    {} for {:.1f} s{}\n", Faults(nemesis), ToSeconds(fault_phase),
                      late_start > Duration::zero() ? ", some members start late" : "");
  if (divergence) text += "states    one goes wrong\n";
  return text;
}

}  // namespace conclave::sim
