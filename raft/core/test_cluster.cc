#include "raft/core/test_cluster.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "raft/base/check.h"

namespace conclave::raft {

TestCluster::TestCluster(const Options& options) : options_(options) {
  Configuration configuration;
  for (uint64_t id = 1; id <= options.voters + options.learners; ++id) {
    (id <= options.voters ? configuration.voters : configuration.learners).push_back(NodeId(id));
    members_.push_back(NodeId(id));
  }
  for (NodeId member : members_) nodes_[member].disk.start.configuration = configuration;
  for (NodeId member : members_) Start(member);
}

void TestCluster::Start(NodeId member) {
  Node& node = nodes_.at(member);
  CHECK(node.core == nullptr);
  CoreConfig config = options_.config;
  config.id = member;
  const auto priority = options_.leader_priorities.find(member);
  if (priority != options_.leader_priorities.end()) config.leader_priority = priority->second;
  const uint64_t seed = options_.seed * 1'000'003 + member.value() * 101 + ++node.runs;
  RecoveredState recovered = Recover(node);
  node.log = node.disk;
  node.log.entries = recovered.entries;
  node.core = std::make_unique<Core>(config, std::move(recovered), seed, now_);
  Take(member);
}

RecoveredState TestCluster::Recover(const Node& node) const {
  std::vector<Entry> entries = node.disk.entries;
  if (node.lost_from.has_value()) entries.resize(*node.lost_from - node.disk.start.index - 1);
  return {.hard_state = node.disk.hard_state,
          .snapshot_index = node.disk.start.index,
          .snapshot_term = node.disk.start.term,
          .configuration = node.disk.start.configuration,
          .entries = std::move(entries),
          .applied = node.applied,
          .lost_through = node.lost_through,
          .reset_log = node.reset_owed};
}

Core& TestCluster::core(NodeId member) {
  CHECK(alive(member));
  return *nodes_.at(member).core;
}

void TestCluster::Step(NodeId member, Event event) {
  StepOnly(member, std::move(event));
  Take(member);
}

void TestCluster::StepOnly(NodeId member, Event event) {
  core(member).Step(now_, std::move(event));
  if (const auto broken = core(member).CheckInvariants()) {
    findings_.Report(fmt::format("{}: {}", member.value(), *broken));
  }
}

void TestCluster::Take(NodeId member) {
  Output output = core(member).TakeOutput();
  if (on_output) on_output(member, output);
  CarryOut(member, std::move(output));
  Check(member);
}

void TestCluster::CarryOut(NodeId member, Output output) {
  Node& node = nodes_.at(member);
  if (output.role_change || !output.reads_failed.empty() || !output.apply.empty()) ++said_;
  Send(member, output.messages);
  if (output.append) {
    node.log.Write(*output.append);
    checker_.OnWritten(member, node.log, output.append->entries);
    node.writes.push_back(std::move(*output.append));
  }
  if (output.role_change) NoteRole(member, *output.role_change);
  for (const ProposalFailed& failed : output.proposals_failed) {
    const auto command = proposals_.find(failed.id);  // else it is a change of membership
    if (command != proposals_.end()) requests_.OnProposalFailed(command->second);
  }
  for (const ReadReady& ready : output.reads_ready) {
    requests_.OnReadReady(member, ready.read, ready.index);
  }
  for (const ReadFailed& failed : output.reads_failed) requests_.OnReadFailed(member, failed.read);
  if (!output.proposals_failed.empty()) proposals_failed = output.proposals_failed;
  if (!output.reads_ready.empty()) reads_ready = output.reads_ready;
  if (!output.reads_failed.empty()) reads_failed = output.reads_failed;
  if (output.fetch_snapshot) node.wanted = output.fetch_snapshot;
  if (output.install_snapshot) {
    node.log.start = *output.install_snapshot;
    node.log.entries.clear();
    node.applies.push_back({{}, output.install_snapshot});
  }
  // What was committed is known to the checker before it is applied.
  Check(member);
  for (const Entry& entry : output.apply) {
    const bool command = entry.kind == EntryKind::kCommand;
    checker_.OnApply(member, entry.index, command ? entry.payload.view() : "", node.disk);
  }
  if (!output.apply.empty()) node.applies.push_back({std::move(output.apply), {}});
  if (output.compacted) {
    node.disk.Release(*output.compacted);
    node.log.Release(*output.compacted);
  }
  node.deadline = output.next_deadline;
}

void TestCluster::NoteRole(NodeId member, const RoleChange& change) {
  const Node& node = nodes_.at(member);
  if (change.role != RoleName::kLeader) return;
  CHECK(change.leader == member);
  checker_.OnLeader(member, change.term, core(member).configuration(), node.log, node.disk);
}

void TestCluster::Check(NodeId member) {
  const Core& of = core(member);
  checker_.OnCommit(member, of.commit(), of.configuration(), log(member),
                    [this](NodeId id, LogIndex index, Term term) {
                      return nodes_.contains(id) && HoldsOrHeld(nodes_.at(id), index, term);
                    });
  requests_.OnCommit();
}

// What a member has lost it goes on to answer for, by not voting: an acknowledgement may be on its
// way from before the loss.
bool TestCluster::HoldsOrHeld(const Node& node, LogIndex index, Term term) {
  const auto has = [&](const Disk& disk) { return disk.TermAt(index) == term; };
  return has(node.disk) || std::any_of(node.damaged.begin(), node.damaged.end(), has);
}

void TestCluster::ProposeAll(NodeId member, const std::vector<std::string>& payloads) {
  Proposed proposed;
  for (const std::string& payload : payloads) {
    const ProposalId id = ++last_proposal_;
    proposals_[id] = payload;
    requests_.OnProposed(core(member).term(), payload);
    proposed.proposals.push_back({id, Bytes::Copy(payload)});
  }
  Step(member, std::move(proposed));
}

ReadId TestCluster::ReadAll(NodeId member, uint64_t count) {
  CHECK(count > 0);
  for (uint64_t i = 0; i < count; ++i) {
    const ReadId read = ++last_read_;
    requests_.OnReadRequested(member, read);
    StepOnly(member, ReadRequested{read});
  }
  Take(member);
  return last_read_;
}

void TestCluster::ProposeChange(NodeId member, const std::vector<MemberChange>& changes) {
  Proposal proposal{++last_proposal_, Bytes(), changes};
  Step(member, Proposed{{std::move(proposal)}});
}

void TestCluster::Join(NodeId member, NodeId contact) {
  CHECK(!nodes_.contains(member));
  Configuration known = core(contact).configuration();
  std::erase(known.voters, member);
  std::erase(known.learners, member);
  if (known.voters.empty()) known.voters = {contact};
  members_.push_back(member);
  nodes_[member].disk.start.configuration = known;
  Start(member);
}

bool TestCluster::FetchSnapshot(NodeId member) {
  Node& node = nodes_.at(member);
  if (!alive(member) || !node.wanted.has_value()) return false;
  const SnapshotWanted wanted = *std::exchange(node.wanted, std::nullopt);
  if (!alive(wanted.from) || status(wanted.from).applied < wanted.at_least) return false;
  const std::optional<LogStart> start = core(wanted.from).LogStartAt(status(wanted.from).applied);
  if (!start.has_value()) return false;
  node.fetched = nodes_.at(wanted.from).state_machine;
  Step(member, SnapshotFetched{*start});
  return true;
}

// The state machine takes the state durably; the log on disk follows later, and what is being
// written to it is of no use any more.
void TestCluster::Install(NodeId member, const LogStart& start) {
  Node& node = nodes_.at(member);
  node.state_machine = node.fetched;
  node.durable_commands = node.state_machine.size();
  node.applied = start.index;
  node.disk.start = start;
  node.disk.entries.clear();
  node.lost_from.reset();
  node.reset_owed = true;
  for (AppendTask& task : node.writes) task.entries.clear();
  Step(member, Applied{start.index});
}

void TestCluster::Damage(NodeId member, LogIndex from) {
  Node& node = nodes_.at(member);
  CHECK(!alive(member));
  CHECK(from > std::max(node.applied, node.disk.start.index) && from <= node.disk.last_index());
  if (node.lost_from.has_value() && *node.lost_from <= from) return;
  node.lost_from = from;
  node.damaged.push_back(node.disk);
  node.lost_through = std::max(node.lost_through, node.disk.last_index());
}

void TestCluster::Compact(NodeId member, LogIndex index) {
  Node& node = nodes_.at(member);
  node.applied = status(member).applied;
  node.durable_commands = node.state_machine.size();
  // What is handed over but not yet applied is not in the count.
  Step(member, Compacted{std::min(index, node.applied)});
}

void TestCluster::Crash(NodeId member) {
  Node& node = nodes_.at(member);
  CHECK(node.core != nullptr);
  node.core.reset();
  node.writes.clear();
  node.applies.clear();
  node.state_machine.resize(node.durable_commands);
  node.wanted.reset();
  node.deadline = kNever;
  requests_.OnCrash(member);
}

void TestCluster::Restart(NodeId member) { Start(member); }

bool TestCluster::FinishWrite(NodeId member) {
  Node& node = nodes_.at(member);
  if (node.writes.empty()) return false;
  const AppendTask task = std::move(node.writes.front());
  node.writes.pop_front();
  node.disk.Write(task);
  if (task.reset.has_value()) node.reset_owed = false;
  if (task.complete) {
    node.lost_through = LogIndex(0);
    node.damaged.clear();
  }
  if (!task.entries.empty()) node.lost_from.reset();
  checker_.OnHardState(member, node.disk.hard_state);
  Send(member, task.after_durable);
  Step(member, Appended{task.write});
  return true;
}

bool TestCluster::Apply(NodeId member) {
  Node& node = nodes_.at(member);
  if (node.applies.empty()) return false;
  const ApplyTask task = std::move(node.applies.front());
  node.applies.pop_front();
  if (task.install.has_value()) {
    Install(member, *task.install);
    return true;
  }
  const std::vector<Entry>& entries = task.entries;
  for (const Entry& entry : entries) {
    if (entry.kind == EntryKind::kCommand) node.state_machine.emplace_back(entry.payload.view());
  }
  Step(member, Applied{entries.back().index});
  return true;
}

void TestCluster::Send(NodeId from, const std::vector<Message>& messages) {
  for (const Message& message : messages) {
    CHECK(message.from == from);
    checker_.OnSent(message, disk(from));
    ++said_;
    if (on_sent) on_sent(message);
    if (!cut_.contains({from, message.to})) links_[{from, message.to}].push_back(message);
  }
}

bool TestCluster::Deliver(NodeId from, NodeId to, size_t position) {
  std::deque<Message>& link = links_[{from, to}];
  if (position >= link.size()) return false;
  Message message = link[position];
  link.erase(link.begin() + static_cast<ptrdiff_t>(position));
  if (alive(to)) Step(to, Received{std::move(message)});
  return true;
}

bool TestCluster::Drop(NodeId from, NodeId to, size_t position) {
  std::deque<Message>& link = links_[{from, to}];
  if (position >= link.size()) return false;
  link.erase(link.begin() + static_cast<ptrdiff_t>(position));
  return true;
}

bool TestCluster::Repeat(NodeId from, NodeId to, size_t position) {
  std::deque<Message>& link = links_[{from, to}];
  if (position >= link.size()) return false;
  if (std::holds_alternative<ProposeRequest>(link[position].body)) return false;
  link.push_back(Message(link[position]));
  return true;
}

bool TestCluster::Delay(NodeId from, NodeId to, size_t position) {
  std::deque<Message>& link = links_[{from, to}];
  if (position >= link.size()) return false;
  delayed_[{from, to}].push_back(link[position]);
  return Drop(from, to, position);
}

bool TestCluster::DeliverLate(NodeId from, NodeId to) {
  std::deque<Message>& late = delayed_[{from, to}];
  if (late.empty()) return false;
  links_[{from, to}].push_front(late.front());
  late.pop_front();
  return Deliver(from, to);
}

std::deque<Message> TestCluster::Link(NodeId from, NodeId to) const {
  const auto link = links_.find({from, to});
  return link == links_.end() ? std::deque<Message>() : link->second;
}

size_t TestCluster::Underway(NodeId from, NodeId to) const {
  const auto link = links_.find({from, to});
  return link == links_.end() ? 0 : link->second.size();
}

void TestCluster::Inject(const Message& message) {
  CHECK(message.from != message.to);
  links_[{message.from, message.to}].push_back(message);
}

void TestCluster::Cut(NodeId from, NodeId to) {
  CHECK(from != to);
  cut_.insert({from, to});
  links_[{from, to}].clear();
  delayed_[{from, to}].clear();
}

void TestCluster::Isolate(NodeId member) {
  for (NodeId other : members_) {
    if (other == member) continue;
    Cut(member, other);
    Cut(other, member);
  }
}

void TestCluster::Split(const std::set<NodeId>& side) {
  for (NodeId from : members_) {
    for (NodeId to : members_) {
      if (side.contains(from) != side.contains(to)) cut_.insert({from, to});
    }
  }
}

Instant TestCluster::NextDeadline() const {
  Instant next = kNever;
  for (const auto& [id, node] : nodes_) next = std::min(next, node.deadline);
  return next;
}

void TestCluster::WakeDue() {
  for (NodeId member : members_) {
    if (alive(member) && nodes_.at(member).deadline <= now_) Step(member, Woke{});
  }
}

void TestCluster::WakeOnce(NodeId member) {
  const Instant due = nodes_.at(member).deadline;
  CHECK(due != kNever);
  now_ = std::max(now_, due);
  Step(member, Woke{});
}

void TestCluster::Wake(NodeId member) {
  // A wake-up may come earlier than there is something to do.
  const uint64_t said = said_;
  for (int wakes = 0; wakes < 5 && said_ == said; ++wakes) WakeOnce(member);
}

void TestCluster::TimeOut(NodeId member) {
  if (!core(member).leading()) {
    const Term term = core(member).term();
    const uint64_t said = said_;
    // Who needs no other voter says nothing.
    for (int wakes = 0; wakes < 5 && said_ == said && core(member).term() == term; ++wakes) {
      WakeOnce(member);
    }
    return;
  }
  for (int heartbeats = 0; heartbeats < 30 && core(member).leading(); ++heartbeats)
    WakeOnce(member);
}

void TestCluster::Settle() {
  // Far more than any exchange takes: members that answer each other for ever are a bug.
  constexpr int kTurnsMax = 100'000;
  int turns = 0;
  for (bool busy = true; busy;) {
    busy = false;
    if (!findings_.Expect(++turns <= kTurnsMax, "liveness: no rest after {} turns", turns)) return;
    for (NodeId to : members_) {
      for (NodeId from : members_) busy |= Deliver(from, to);
      if (!alive(to)) continue;
      busy |= FinishWrite(to);
      busy |= Apply(to);
      busy |= FetchSnapshot(to);
    }
  }
}

bool TestCluster::RunUntil(const std::function<bool()>& done, Duration limit) {
  const Instant end = now_ + limit;
  for (Settle(); !done(); Settle()) {
    if (NextDeadline() > end) return false;
    now_ = std::max(now_, NextDeadline());
    WakeDue();
  }
  return true;
}

void TestCluster::RunFor(Duration duration) {
  const Instant end = now_ + duration;
  for (Settle(); NextDeadline() <= end; Settle()) {
    now_ = std::max(now_, NextDeadline());
    WakeDue();
  }
  now_ = end;
}

void TestCluster::RunUntilDue(NodeId member) {
  for (Settle(); NextDeadline() < nodes_.at(member).deadline; Settle()) {
    now_ = std::max(now_, NextDeadline());
    WakeDue();
  }
  now_ = std::max(now_, nodes_.at(member).deadline);
}

void TestCluster::Elect(NodeId member) {
  if (Leader() != kNoNode) Step(Leader(), TransferRequested{member});
  Settle();
  if (core(member).leading()) return;
  // The others have lost their leader, if they had one, and do not hold it against a successor.
  for (NodeId other : members_) {
    if (alive(other)) Step(other, PeerUnreachable{Leader()});
  }
  // A member that comes from an earlier term is told so by the first attempt.
  for (int attempt = 0; attempt < 3 && !core(member).leading(); ++attempt) {
    TimeOut(member);
    Settle();
  }
  CHECK_MSG(core(member).leading(), "the member could not win");
}

NodeId TestCluster::Leader() {
  NodeId leader = kNoNode;
  Term latest;
  for (NodeId member : members_) {
    if (!alive(member) || !core(member).leading() || core(member).term() < latest) continue;
    leader = member;
    latest = core(member).term();
  }
  return leader;
}

}  // namespace conclave::raft
