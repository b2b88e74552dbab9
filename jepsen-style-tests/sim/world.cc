#include "jepsen-style-tests/sim/world.h"

#include <algorithm>
#include <utility>

#include "kvstore/command.h"
#include "kvstore/engine/memory_engine.h"
#include "kvstore/errors.h"
#include "raft/base/check.h"
#include "raft/base/crash_images.h"
#include "raft/base/manual_executor.h"
#include "raft/base/text.h"

namespace conclave::sim {

namespace {

std::vector<checker::KvEvent> ToKvEvents(const kv::RevisionEvents& revision) {
  std::vector<checker::KvEvent> events;
  for (const kv::Event& event : revision.events) {
    checker::KvEvent& out = events.emplace_back();
    out.key = event.key;
    out.is_delete = event.is_delete;
    if (event.is_delete) continue;
    out.value = event.record.value;
    out.lease = event.record.lease;
    out.create_revision = event.record.create_revision;
    out.version = event.record.version;
  }
  return events;
}

}  // namespace

World::World(const WorldOptions& options, Random random, Trace* trace)
    : options_(options),
      random_(random),
      trace_(trace),
      network_(&scheduler_, options.network, random_.Stream("network")),
      atlas_(options.voters, random_),
      images_(random_.Stream("crash images")),
      calls_(options.voters + options.learners) {
  for (size_t i = 1; i <= options.voters + options.learners; ++i) {
    (i <= options.voters ? initial_.voters : initial_.learners).push_back(raft::NodeId(i));
    bootstrap_.emplace_back().set_id(i);
    bootstrap_.back().set_islearner(i > options.voters);
  }
  configuration_ = initial_;
  for (size_t i = 0; i < options.voters + options.learners; ++i) {
    positions_[raft::NodeId(i + 1)] = i;
    members_.push_back(NewMachine(raft::NodeId(i + 1), i));
  }
}

World::~World() { scheduler_.Clear(); }

Duration World::Between(Duration low, Duration high) {
  return Duration(static_cast<int64_t>(
      random_.Between(static_cast<uint64_t>(low.count()), static_cast<uint64_t>(high.count()))));
}

Member* World::leader() {
  Member* best = nullptr;
  for (const auto& member : members_) {
    if (!member->running() || member->silent() || !member->node().leading()) continue;
    if (best == nullptr || member->node().core().term() > best->node().core().term())
      best = member.get();
  }
  return best;
}

// ---- Members. ----

void World::StartMember(size_t position) {
  const auto max = static_cast<uint64_t>(options_.clock_rate_ppm_max);
  const ClockOptions clock{
      .offset = Seconds(static_cast<int64_t>(random_.Below(1000))),
      .rate_ppm = static_cast<int64_t>(random_.Below(2 * max + 1)) - static_cast<int64_t>(max)};
  members_[position]->Start(clock);
}

void World::OnStarted(Member& member) {
  Note("{} starts", member.name());
  unread_.erase(member.position());
  for (const auto& other : members_) {
    if (other->id() != member.id()) Connect(member.id(), other->id());
  }
}

// After a while both ends have a connection again, if both are there and the link is whole.
void World::Connect(raft::NodeId a, raft::NodeId b) {
  const auto connected = [this](raft::NodeId self, raft::NodeId peer) {
    Member& at = member(self);
    if (at.running() && member(peer).running() && !network_.IsCut(at.end(), member(peer).end()) &&
        !network_.IsCut(member(peer).end(), at.end())) {
      at.OnConnected(peer);
    }
  };
  scheduler_.After(Between(Milliseconds(1), options_.reconnect_max), [connected, a, b] {
    connected(a, b);
    connected(b, a);
  });
}

void World::Disconnect(raft::NodeId from, raft::NodeId peer, Duration after) {
  scheduler_.After(after, [this, from, peer] { member(from).OnUnreachable(peer); });
}

void World::OnEnded(Member& member, EndOfProcess how) {
  static constexpr const char* kHow[] = {"stops", "is killed", "loses power"};
  Note("{} {}", member.name(), kHow[static_cast<int>(how)]);
  invariants_.OnCrash(member.id());
  // A machine without power closes no connection: its peers and clients find out by themselves.
  const bool silently = how == EndOfProcess::kCrash && random_.OneIn(2);
  BreakCalls(member, silently);
  for (const auto& other : members_) {
    if (other->id() == member.id()) continue;
    const Duration notice = silently ? options_.connection_timeout : Milliseconds(5);
    Disconnect(other->id(), member.id(), Between(std::chrono::microseconds(100), notice));
  }
}

void World::OnLeads(Member& member, raft::Term term) {
  Note("{} leads term {}", member.name(), term.value());
  if (leader_observer_) leader_observer_(member);
}

// Only damage that left no way to tell where the log starts may keep a member from starting, or a
// disk without room.
void World::OnRefusedToStart(Member& member, const absl::Status& why) {
  const auto unread = unread_.find(member.position());
  const bool damaged =
      unread != unread_.end() && (!unread->second.start_told || unread->second.damaged_before);
  if (damaged && member.broken()) return;
  if (member.disk().full() && absl::IsResourceExhausted(why)) return;
  Report(fmt::format("durability: refused to start: {}: {}", member.name(), MessageOf(why)));
}

void World::OnDamaged(size_t position, std::unique_ptr<MemoryFileSystem> sound) {
  Member& member = *members_[position];
  std::optional<DamagedLog> damage =
      FindDamage(std::move(sound), member.disk(), member.wal_options());
  if (!damage) return;
  Note("the log of {} is damaged", member.name());
  damaged_.insert(position);
  invariants_.OnDamaged(member.id(), *damage);
  unread_[position] = *std::move(damage);
}

void World::AfterEvent(Member& member) {
  trace_->Mix(member.id().value());
  trace_->Mix(static_cast<uint64_t>(NowNs()));
  if (member.silent()) return BurySoon(member);
  member.AfterEvent();
  invariants_.AfterEvent(member.id(), member.node().core());
  if (damaged_.contains(member.position()) && !member.node().Status().incomplete) {
    damaged_.erase(member.position());
    Note("{} is whole again", member.name());
  }
  CheckHeldLog(member);
  CheckStall(member);
  CheckCrashImages(member);
  if (event_observer_) event_observer_(member);
}

// While a log is started anew, and once more when that is done, the power could go at any moment:
// the log of before, with the new state, or the new log is there then, and never a mix.
void World::CheckCrashImages(Member& member) {
  constexpr uint64_t kTriesMax = 12;  // for each reset
  constexpr int kTorn = 2;
  const auto tried = images_tried_.find(member.position());
  const bool under_way = invariants_.ResetUnderWay(member.id());
  if (!under_way && tried == images_tried_.end()) return;
  const bool enough = tried != images_tried_.end() && tried->second >= kTriesMax;
  if (under_way && enough) return;
  if (!under_way) images_tried_.erase(tried);
  if (under_way) ++images_tried_[member.position()];
  if (damaged_.contains(member.position())) return;
  ForEachCrashImage(member.disk(), kTorn, images_, [&](MemoryFileSystem& image) {
    ManualExecutor lane;
    const auto opened = raft::Wal::Open(image, member.wal_options(), &lane);
    if (opened.ok()) return invariants_.OnCrashImage(member.id(), opened->contents);
    Report(fmt::format("durability: crash image: {} would not open its log: {}", member.name(),
                       MessageOf(opened.status())));
  });
}

// A leader whose disk stalls notices after an election timeout, and has another one to hand over;
// a transfer that somebody asks for meanwhile may take as long.
void World::CheckStall(Member& member) {
  LeaderWrite& at = leader_writes_[member.position()];
  const Instant now = scheduler_.Now();
  const raft::Core& core = member.node().core();
  const Duration election = options_.member.node.core.election_timeout;
  const std::optional<raft::WriteId> write = invariants_.OldestWrite(member.id());
  const bool stood_still = now - std::exchange(at.last_event, now) > election / 4;
  const bool may_go = core.leading() && core.configuration().voters.size() > 1;
  if (stood_still || !may_go || write != at.write) {
    at.write = write;
    at.since = now;
  }
  if (!write.has_value() || now - at.since <= 3 * election + Seconds(1)) return;
  Report(
      fmt::format("liveness: a stalled leader leads on: {} leads with write {} on its way since "
                  "{:.3f}",
                  member.name(), write->value(), ToSeconds(at.since - Instant{})));
  at.since = now;
}

// Whoever fetches a snapshot here will go on from the log after it.
void World::CheckHeldLog(Member& member) {
  const raft::Core& core = member.node().core();
  const std::optional<raft::LogIndex> held = member.node().log_held_for_snapshots();
  if (!held || core.log_starts_anew() || core.LogStartAt(*held)) return;
  Report(
      fmt::format("snapshots: held log: {} has let go of its log after {}, which is to follow a "
                  "snapshot",
                  member.name(), held->value()));
}

void World::OnIntegrityNews(Member& member, server::IntegrityNews news, raft::NodeId about) {
  using server::IntegrityNews;
  constexpr const char* kWords[] = {"differs", "is disputed", "is fenced", "is sound again"};
  const char* const words = kWords[static_cast<size_t>(news)];
  Note("{}: the state of {:x} {}", member.name(), about.value(), words);
  if (news == IntegrityNews::kSound || about == diverging_) return;
  Report(fmt::format("integrity: diverged: {} says that the state of {:x} {}", member.name(),
                     about.value(), words));
}

// Not from within its own event.
void World::BurySoon(Member& member) {
  scheduler_.After(Duration::zero(), [&member] { member.BuryIfDead(); });
}

// ---- Links. ----

void World::CutLink(size_t from, size_t to) {
  if (LinkIsCut(from, to)) return;
  const raft::NodeId a = members_[from]->id();
  const raft::NodeId b = members_[to]->id();
  network_.Cut(members_[from]->end(), members_[to]->end());
  scheduler_.After(Between(options_.connection_timeout / 2, options_.connection_timeout),
                   [this, from, to, a, b] {
                     if (!LinkIsCut(from, to)) return;
                     if (!broken_connections_.emplace(std::minmax(from, to)).second) return;
                     Disconnect(a, b, Duration::zero());
                     Disconnect(b, a, Duration::zero());
                   });
}

bool World::LinkIsCut(size_t from, size_t to) const {
  return network_.IsCut(members_[from]->end(), members_[to]->end());
}

void World::HealLinks() {
  network_.HealAll();
  for (const auto& [a, b] : broken_connections_) Connect(members_[a]->id(), members_[b]->id());
  broken_connections_.clear();
}

// ---- Clients. ----

std::shared_ptr<ClientCall> World::Call(End client, size_t position, const CallRequest& request,
                                        ClientCall::Events events) {
  Member& member = *members_[position];
  auto call = std::make_shared<ClientCall>(
      &network_, client, member.end(),
      [&member](std::function<void()> task) {
        if (member.running()) member.lane().Deliver(std::move(task));
      },
      std::move(events));
  std::vector<std::weak_ptr<ClientCall>>& open = calls_[position];
  if (open.size() % 64 == 0) {
    std::erase_if(open, [](const auto& other) { return other.expired(); });
  }
  open.push_back(call);
  network_.Send(client, member.end(), Carriage::kStream, [this, &member, call, request] {
    if (call->over()) return;
    if (member.running()) return member.Accept(call, request);
    scheduler_.After(Between(options_.network.delay_min, options_.network.delay_max), [call] {
      call->Finish({.status = absl::UnavailableError("connection refused"), .refused = true});
    });
  });
  return call;
}

void World::BreakCalls(Member& member, bool silently) {
  std::vector<std::weak_ptr<ClientCall>> broken;
  broken.swap(calls_[member.position()]);
  const Duration notice = silently ? 2 * options_.connection_timeout : Milliseconds(5);
  for (const auto& weak : broken) {
    const auto call = weak.lock();
    if (call == nullptr || call->over()) continue;
    scheduler_.After(Between(std::chrono::microseconds(100), notice), [call] {
      call->Finish({.status = absl::UnavailableError("connection lost")});
    });
  }
}

// ---- What happened. ----

void World::Report(std::string problem) {
  Note("problem: {}", problem);
  problems_.push_back(std::move(problem));
}

std::vector<std::string> World::Problems() const {
  std::vector<std::string> all = problems_;
  for (const std::string& broken : invariants_.problems()) all.push_back("raft: " + broken);
  return all;
}

void World::OnEvents(Member& /*member*/, const std::vector<kv::SharedRevisionEvents>& revisions) {
  for (const kv::SharedRevisionEvents& revision : revisions) {
    events_.Add(revision->revision, ToKvEvents(*revision), NowNs());
  }
}

void World::OnApplied(raft::NodeId /*member*/, const AppliedEntry& entry,
                      const kv::ApplyResult& result, int64_t revision) {
  const auto [applied, first] = applied_.try_emplace(entry.index);
  if (!first) return;
  applied->second = {.term = entry.term, .command = std::string(entry.command)};
  if (entry.configuration) {
    applied->second.configuration.emplace(*entry.configuration);
    auto decoded = raft::DecodeConfiguration(*entry.configuration);
    CHECK(decoded.ok());
    configuration_ = *std::move(decoded);
  }
  const int64_t before = std::exchange(last_revision_, revision);
  if (entry.command.empty()) return;
  const absl::StatusOr<kv::Command> decoded = kv::DecodeCommand(entry.command);
  CHECK(decoded.ok());
  if (decoded->header.kind != kv::CommandKind::kLeaseRevoke || !result.status.ok()) return;
  etcdserverpb::LeaseRevokeRequest revoke;
  CHECK(revoke.ParseFromArray(decoded->request.data(), static_cast<int>(decoded->request.size())));
  // Of a lease without keys no revision tells.
  lease_ends_.push_back(
      {.lease = revoke.id(), .revision = revision > before ? revision : 0, .applied_ns = NowNs()});
}

uint32_t World::ReplayHash(uint64_t up_to_index) const {
  kv::MemoryEngine engine;
  auto store = kv::Store::Open(&engine, options_.member.store, bootstrap_);
  CHECK(store.ok());
  for (uint64_t index = 1; index <= up_to_index; ++index) {
    const auto found = applied_.find(index);
    CHECK_MSG(found != applied_.end(), fmt::format("index {} was never applied", index));
    const Applied& entry = found->second;
    if (entry.configuration) {
      (*store)->ApplyConfiguration(index, entry.term, *entry.configuration, entry.command,
                                   /*want_response=*/false);
    } else if (entry.command.empty()) {
      (*store)->ApplyNothing(index, entry.term);
    } else {
      (*store)->Apply(index, entry.term, entry.command, /*want_response=*/false);
    }
    (*store)->Commit();
  }
  return (*store)->Hash();
}

}  // namespace conclave::sim
