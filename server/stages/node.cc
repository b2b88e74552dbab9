#include "server/stages/node.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kvstore/errors.h"
#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/random.h"
#include "raft/base/seeded_bug.h"
#include "raft/base/text.h"
#include "raft/core/configuration.h"

namespace conclave::server {

namespace {

constexpr size_t kReadsBehindMax = 64;
// Each is some hundred bytes of a lane's queue.
constexpr size_t kDiskReadsMax = 10'000;

// Ids that no earlier run of this member can have used: each run draws where its own begin.
uint64_t FirstId(uint64_t seed, std::string_view kind) {
  if (SEEDED_BUG(kRequestIdReused) && kind == "request") return 1;
  if (SEEDED_BUG(kReadIdReused) && kind == "read") return 1;
  return Random(seed).Stream(kind).Next();
}

SnapshotFetcherOptions FetcherOptions(const NodeOptions& options, uint64_t seed) {
  SnapshotFetcherOptions fetcher = options.snapshot_fetcher;
  fetcher.member = options.core.id;
  fetcher.first_session = FirstId(seed, "snapshot session");
  return fetcher;
}

// Whether the state machine's member list may be another one after it. The name and the client URLs
// that members publish of themselves concern nobody here.
bool ChangesMembers(const raft::Entry& entry) {
  if (entry.kind == raft::EntryKind::kConfiguration) return true;
  if (entry.kind != raft::EntryKind::kCommand || entry.payload.size() == 0) return false;
  return kv::CommandKind(entry.payload.view().front()) == kv::CommandKind::kMemberUpdate;
}

LeaseStageOptions LeaseOptions(const NodeOptions& options) {
  LeaseStageOptions leases = options.leases;
  leases.extend_on_promotion = options.core.election_timeout;
  return leases;
}

IntegrityOptions IntegrityOptionsOf(const NodeOptions& options, bool state_lost) {
  return {.member = options.core.id,
          .state_lost = state_lost && !SEEDED_BUG(kLostStateServed),
          .look_every = options.core.heartbeat_interval,
          .round_max = 3 * options.core.heartbeat_interval,
          .hand_over_every = options.core.election_timeout};
}

Duration RequestTimeout(Duration election_timeout) { return Seconds(5) + 2 * election_timeout; }

}  // namespace

Node::Node(const NodeOptions& options, const NodeParts& parts, raft::RecoveredState recovered,
           uint64_t seed)
    : options_(options),
      parts_(parts),
      unapplied_(recovered),
      transport_(parts.transport, [this] { return integrity_.fenced(); }),
      core_(options.core, std::move(recovered), seed, parts.lane->Now()),
      proposer_({.member = options.core.id,
                 .first_request_id = FirstId(seed, "request"),
                 .first_proposal_id = FirstId(seed, "proposal"),
                 .timeout = RequestTimeout(options.core.election_timeout)},
                parts.lane, [this] { raft_.Wake(); }),
      reads_({.timeout = RequestTimeout(options.core.election_timeout),
              .applied = raft::LogIndex(parts.store->applied_index()),
              .first_read_id = FirstId(seed, "read")},
             parts.lane, [this] { raft_.Wake(); }),
      disk_reads_(parts.lane, parts.disk_reads, parts.engine),
      apply_(options.apply, parts.lane, parts.store, &disk_reads_, &proposer_,
             {.entry = [this] { integrity_.OnEntry(); },
              .applied = [this](const raft::Entry& last, size_t bytes) { OnApplied(last, bytes); },
              .removed = [this] { log_keeper_.OnRemoved(); }}),
      leases_(LeaseOptions(options), parts.lane, &parts.store->lessor(), &proposer_),
      compactor_(options.auto_compaction, parts.lane, parts.store, &proposer_),
      log_keeper_(options.log_keeper, parts.lane, parts.background, parts.engine,
                  [this](raft::LogIndex index) { raft_.Compacted(index); }),
      log_watchdog_(options.log_watchdog, parts.lane),
      space_(options.space, options.core.id, parts.lane, parts.file_system, parts.store, &proposer_,
             [this](SpaceNews news) {
               if (observer_ != nullptr) observer_->OnSpaceNews(news);
             }),
      snapshot_source_(
          options.snapshot_source, parts.lane, parts.background, parts.engine, parts.store, &core_,
          {.hold_log = [this](std::optional<raft::LogIndex> from) { log_keeper_.Hold(from); },
           .log = [this](std::string_view line) { TellSnapshotNews(line); }}),
      snapshot_fetcher_(FetcherOptions(options, seed), parts.lane, parts.background, parts.peers,
                        parts.engine_home,
                        {.fetched =
                             [this](const raft::LogStart& start) {
                               if (!rebuild_.Take(start)) raft_.SnapshotFetched(start);
                             },
                         .log = [this](std::string_view line) { TellSnapshotNews(line); }}),
      integrity_(IntegrityOptionsOf(options, parts.state_lost), parts.lane, parts.peers,
                 parts.store, &core_, &proposer_,
                 {.changed = [this] { OnIntegrityChanged(); },
                  .hand_over = [this](raft::NodeId to) { raft_.Transfer(to); },
                  .news = [this](IntegrityNews news,
                                 raft::NodeId member) { OnIntegrityNews(news, member); }}),
      rebuild_(
          options.rebuild, options.core.id, parts.lane, parts.store, &apply_, &snapshot_fetcher_,
          [this] { return role_.leader; },
          [this](const raft::LogStart& start) { OnInstallSnapshot(start); }),
      raft_(parts.lane, &core_, parts.wal, &transport_, &log_watchdog_, this) {
  parts.peers->SetHandler(PeerMethod::kSnapshotChunk,
                          [this](std::string_view request, PeerCalls::Answer answer) {
                            if (fenced())
                              return answer(absl::UnavailableError("its state is wrong"));
                            snapshot_source_.Answer(request, std::move(answer));
                          });
  parts.peers->SetHandler(PeerMethod::kCompareChain,
                          [this](std::string_view request, PeerCalls::Answer answer) {
                            integrity_.Answer(request, std::move(answer));
                          });
  TakeMembers();
  TakeFence();
}

Node::~Node() {
  *alive_ = false;
  parts_.wal->SetSpaceObserver(nullptr);
  parts_.peers->SetHandler(PeerMethod::kSnapshotChunk, nullptr);
  parts_.peers->SetHandler(PeerMethod::kCompareChain, nullptr);
}

void Node::Start() {
  if (parts_.state_lost) rebuild_.StartWithoutState(core_.applied());
  compactor_.Start();
  parts_.wal->SetSpaceObserver([this](bool low) {
    log_watchdog_.SetDiskFull(low);
    space_.SetLogShort(low);
  });
  space_.Start();
  raft_.Wake();
}

void Node::Propose(kv::CommandKind kind, std::string_view request, Proposer::Done done,
                   const kv::RequestIdentity& identity) {
  // Its result would come from the state.
  if (fenced()) return done({.status = kv::ErrCorrupt(), .response = {}});
  if (core_.commit() - core_.applied() > options_.unapplied_entries_max) {
    SIM_REACHED("stages.proposal.too_many_unapplied");
    done({.status = kv::ErrTooManyRequests(), .response = {}});
    return;
  }
  proposer_.Propose(kind, request, std::move(done), identity);
}

void Node::ChangeMembers(kv::CommandKind kind, std::string_view request,
                         std::vector<raft::MemberChange> changes, Proposer::Done done) {
  if (fenced()) return done({.status = kv::ErrNotLeader(), .response = {}});
  proposer_.ProposeChange(kind, request, std::move(changes), role_.term, std::move(done));
}

std::vector<etcdserverpb::Member> Node::KnownMembers() const {
  std::vector<etcdserverpb::Member> members = parts_.store->Members();
  for (etcdserverpb::Member& added : unapplied_.Added()) members.push_back(std::move(added));
  return members;
}

void Node::ReadAsLessor(ReadGate::Done done) {
  if (SEEDED_BUG(kKeepAliveWithoutRound) && leading() && store().lessor().promoted()) {
    return done(absl::OkStatus());
  }
  Read([this, done = std::move(done)](const absl::Status& status) mutable {
    if (!status.ok()) return done(status);
    if (!leading() || !store().lessor().promoted()) return done(kv::ErrNotPrimaryLessor());
    done(absl::OkStatus());
  });
}

void Node::MoveLeader(raft::NodeId target, absl::AnyInvocable<void(const absl::Status&)> done) {
  if (!leading()) return done(kv::ErrNotLeader());
  const auto& voters = core_.configuration().voters;
  if (std::find(voters.begin(), voters.end(), target) == voters.end()) {
    return done(kv::ErrBadLeaderTransferee());
  }
  if (target == id()) return done(absl::OkStatus());
  raft_.Transfer(target);
  WatchTransfer(parts_.lane->Now() + RequestTimeout(options_.core.election_timeout), target,
                role_.term, std::move(done));
}

void Node::StepAside(absl::AnyInvocable<void()> done) {
  if (!leading() || core_.configuration().voters.size() < 2) return done();
  raft_.Transfer(raft::kNoNode);
  WatchTransfer(parts_.lane->Now() + options_.core.election_timeout, raft::kNoNode, role_.term,
                [done = std::move(done)](const absl::Status&) mutable { done(); });
}

// Looks every few milliseconds: transfers are rare, and a list of waiters would have to be kept
// right in every race.
void Node::WatchTransfer(Instant deadline, raft::NodeId target, raft::Term term,
                         absl::AnyInvocable<void(const absl::Status&)> done) {
  const bool moved = role_.leader != raft::kNoNode && role_.term > term;
  if (moved) {
    if (role_.leader != target) SIM_REACHED("stages.transfer.another_leads");
    return done(role_.leader == target ? absl::OkStatus() : kv::ErrTimeoutLeaderTransfer());
  }
  if (parts_.lane->Now() >= deadline) {
    SIM_REACHED("stages.transfer.timed_out");
    return done(kv::ErrTimeoutLeaderTransfer());
  }
  parts_.lane->RunAt(
      parts_.lane->Now() + Milliseconds(5),
      [this, alive = alive_, deadline, target, term, done = std::move(done)]() mutable {
        if (*alive) WatchTransfer(deadline, target, term, std::move(done));
      });
}

void Node::FillHeader(etcdserverpb::ResponseHeader* header) const {
  header->set_cluster_id(options_.cluster_id);
  header->set_member_id(options_.core.id.value());
  header->set_raft_term(role_.term.value());
}

NodeCounters Node::counters() const {
  return {.leader_changes = leader_changes_,
          .proposals_failed = proposer_.failed_total(),
          .leases_expired = leases_.expired_total(),
          .divergences_found = divergences_found_,
          .disk_lookups = disk_reads_.total()};
}

std::vector<raft::Proposal> Node::TakeProposals(raft::Term term, bool leading) {
  return proposer_.TakeProposals(term, leading);
}

std::optional<raft::ReadId> Node::TakeRead() { return reads_.TakeRead(); }

void Node::OnAppend(const raft::AppendTask& task) {
  if (unapplied_.OnAppend(task)) TakeMembers();
}

void Node::TakeMembers() {
  is_learner_ = false;
  for (const etcdserverpb::Member& member : parts_.store->Members()) {
    if (member.id() == id().value()) is_learner_ = member.islearner();
  }
  if (observer_ == nullptr) return;
  observer_->OnMembersChanged();
  if (removed_told_ || !HasLeft(*parts_.store, id())) return;
  removed_told_ = true;
  observer_->OnRemoved();
}

bool HasLeft(const kv::Store& store, raft::NodeId member) {
  if (!store.IsRemoved(member.value())) return false;
  const std::string encoded = store.position().configuration;
  if (encoded.empty()) return true;
  const absl::StatusOr<raft::Configuration> applied = raft::DecodeConfiguration(encoded);
  if (!applied.ok()) Fatal(std::string(MessageOf(applied.status())));
  if (applied->Contains(member)) SIM_REACHED("stages.members.removed_but_needed");
  return !applied->Contains(member);
}

void Node::OnRoleChange(const raft::RoleChange& change) {
  if (change.leader != role_.leader && change.leader != raft::kNoNode) ++leader_changes_;
  role_ = change;
  leases_.OnRoleChange(RoleToAct());
  compactor_.OnRoleChange(RoleToAct());
  integrity_.OnRoleChange(change);
  proposer_.OnRoleChange(change);
  reads_.OnRoleChange(change);
  if (observer_ != nullptr) observer_->OnRoleChange(change);
  Publish();
}

void Node::OnProposalsFailed(const std::vector<raft::ProposalFailed>& failed) {
  proposer_.OnFailed(failed);
}

void Node::OnReadsReady(const std::vector<raft::ReadReady>& ready) { reads_.OnReady(ready); }

void Node::OnReadsFailed(const std::vector<raft::ReadFailed>& failed) { reads_.OnFailed(failed); }

void Node::OnApply(std::vector<raft::Entry> entries) {
  members_changed_ |= std::any_of(entries.begin(), entries.end(), ChangesMembers);
  apply_.Apply(std::move(entries));
}

void Node::OnApplied(const raft::Entry& last, size_t bytes) {
  unapplied_.OnApplied(last.index);
  applied_term_ = last.term;
  leases_.OnApplied(last.term);
  reads_.OnApplied(last.index);
  proposer_.OnAppliedTerm(last.term);
  log_keeper_.OnApplied(last.index, bytes);
  snapshot_source_.OnApplied(last.index, bytes);
  integrity_.OnApplied();
  raft_.Applied(last.index);
  if (!members_changed_) return;
  members_changed_ = apply_.behind();
  TakeMembers();
}

void Node::ReadBehind(absl::AnyInvocable<void()> work,
                      absl::AnyInvocable<void(const absl::Status&)> done) {
  if (reads_behind_ >= kReadsBehindMax) return done(kv::ErrTooManyRequests());
  ++reads_behind_;
  RunBehind(std::move(work), [this, done = std::move(done)]() mutable {
    --reads_behind_;
    done(absl::OkStatus());
  });
}

void Node::ReadFromDisk(std::vector<kv::ColdRead> reads,
                        absl::AnyInvocable<void(const absl::Status&)> done) {
  if (disk_reads_.under_way() >= kDiskReadsMax) return done(kv::ErrTooManyRequests());
  disk_reads_.Run(std::move(reads), [done = std::move(done)]() mutable { done(absl::OkStatus()); });
}

std::shared_ptr<Node::HeldRange> Node::Hold(std::unique_ptr<kv::RangeView> view) {
  std::erase_if(held_ranges_, [](const auto& held) { return held.expired(); });
  auto held = std::make_shared<HeldRange>();
  held->view = std::move(view);
  held_ranges_.push_back(held);
  return held;
}

// The view dies on either lane: here if nothing reads it, else there, after the reading. In both
// cases that is before its engine goes (OnSnapshotOpened).
void Node::ReadPiece(const HeldRange& held, absl::AnyInvocable<void(const kv::RangeView&)> work,
                     absl::AnyInvocable<void()> done) {
  RunBehind([view = held.view, work = std::move(work)]() mutable { work(*view); }, std::move(done));
}

void Node::RunBehind(absl::AnyInvocable<void()> work, absl::AnyInvocable<void()> done) {
  parts_.reads->Post([alive = alive_, lane = parts_.lane, engine = *parts_.engine,
                      work = std::move(work), done = std::move(done)]() mutable {
    work();
    work =
        nullptr;  // before the engine it reads, and both here: another may come to be the live one
    engine = nullptr;
    lane->Post([alive, done = std::move(done)]() mutable {
      if (*alive) done();
    });
  });
}

void Node::OnFetchSnapshot(const raft::SnapshotWanted& wanted) { snapshot_fetcher_.Fetch(wanted); }

void Node::OnInstallSnapshot(const raft::LogStart& start) {
  snapshot_fetcher_.Install([this, start](std::unique_ptr<kv::Engine> engine) {
    OnSnapshotOpened(start, std::move(engine));
  });
}

// The one moment at which the state changes other than by applying. On disk it has changed already.
void Node::OnSnapshotOpened(const raft::LogStart& start, std::unique_ptr<kv::Engine> engine) {
  snapshot_source_.EndAll("this member installs a snapshot itself");
  for (const std::weak_ptr<HeldRange>& weak : held_ranges_) {
    if (const std::shared_ptr<HeldRange> held = weak.lock()) held->view = nullptr;
  }
  std::shared_ptr<kv::Engine> old = std::exchange(*parts_.engine, std::move(engine));
  const absl::Status adopted = parts_.store->Adopt(parts_.engine->get());
  if (!adopted.ok()) Fatal(fmt::format("the snapshot is no state: {}", MessageOf(adopted)));
  CHECK(parts_.store->applied_index() == start.index.value());
  state_lost_ = false;
  // Everything else that holds the old engine does so on one of these lanes, before this.
  absl::AnyInvocable<void()> remove = [old = std::move(old), home = parts_.engine_home]() mutable {
    CHECK(old.use_count() == 1);
    old = nullptr;
    const absl::Status removed = home->RemoveOld();
    if (!removed.ok()) Fatal(fmt::format("the old engine stays: {}", MessageOf(removed)));
  };
  disk_reads_.AfterAll(
      [reads = parts_.reads, background = parts_.background, remove = std::move(remove)]() mutable {
        reads->Post([background, remove = std::move(remove)]() mutable {
          background->Post(std::move(remove));
        });
      });

  unapplied_.OnApplied(start.index);
  applied_term_ = start.term;
  TakeMembers();
  apply_.OnInstalled();
  integrity_.OnInstalled();
  rebuild_.OnInstalled();
  leases_.OnApplied(start.term);
  reads_.OnApplied(start.index);
  proposer_.OnInstalled(start.term);
  raft_.Applied(start.index);
  log_keeper_.OnInstalled(start.index);
}

// ---- A state that is wrong. ----

void Node::OnIntegrityChanged() {
  TakeFence();
  leases_.OnRoleChange(RoleToAct());
  compactor_.OnRoleChange(RoleToAct());
  if (integrity_.diverged()) rebuild_.Start();
  if (!fenced()) return Publish();
  snapshot_source_.EndAll("its state is wrong");
  for (FenceWaiter& waiter : std::exchange(fence_waiters_, {})) {
    if (!waiter.with.expired()) waiter.fenced();
  }
}

void Node::TakeFence() {
  apply_.WithholdResults(fenced());
  reads_.Refuse(fenced() ? kv::ErrCorrupt() : absl::OkStatus());
}

void Node::OnIntegrityNews(IntegrityNews news, raft::NodeId member) {
  if (news == IntegrityNews::kDiverged) ++divergences_found_;
  if (observer_ != nullptr) observer_->OnIntegrityNews(news, member);
}

raft::RoleChange Node::RoleToAct() const {
  if (!fenced() || role_.role != raft::RoleName::kLeader) return role_;
  return {.role = raft::RoleName::kFollower, .term = role_.term, .leader = role_.leader};
}

void Node::WhenFenced(std::weak_ptr<void> with, absl::AnyInvocable<void()> fenced) {
  if (fence_waiters_.size() >= forget_waiters_at_) {
    std::erase_if(fence_waiters_, [](const FenceWaiter& waiter) { return waiter.with.expired(); });
    forget_waiters_at_ = 2 * fence_waiters_.size() + 64;
  }
  fence_waiters_.push_back({std::move(with), std::move(fenced)});
}

void Node::TellSnapshotNews(std::string_view line) {
  if (observer_ != nullptr) observer_->OnSnapshotNews(line);
}

bool Node::IsPublished() const {
  for (const etcdserverpb::Member& member : parts_.store->Members()) {
    if (member.id() != options_.core.id.value()) continue;
    return member.name() == options_.name &&
           std::equal(member.clienturls().begin(), member.clienturls().end(),
                      options_.client_urls.begin(), options_.client_urls.end());
  }
  return false;
}

void Node::Publish() {
  if (publishing_ || published_ || fenced() || role_.leader == raft::kNoNode) return;
  if (IsPublished()) {
    published_ = true;
    if (observer_ != nullptr) observer_->OnPublished();
    return;
  }
  publishing_ = true;
  etcdserverpb::Member self;
  self.set_id(options_.core.id.value());
  self.set_name(options_.name);
  for (const std::string& url : options_.client_urls) self.add_clienturls(url);
  proposer_.Propose(kv::CommandKind::kMemberAttributes, self.SerializeAsString(),
                    [this](kv::ApplyResult result) {
                      publishing_ = false;
                      OnPublishAnswered(result.status);
                    });
}

void Node::OnPublishAnswered(const absl::Status& status) {
  if (status.ok()) {
    published_ = true;
    if (observer_ != nullptr) observer_->OnPublished();
    return;
  }
  SIM_REACHED("stages.publish.tried_again");
  // Whatever it was (no quorum, a list that does not have this member), it will not be better at
  // once.
  parts_.lane->RunAt(parts_.lane->Now() + Seconds(1), [this, alive = alive_] {
    if (*alive) Publish();
  });
}

}  // namespace conclave::server
