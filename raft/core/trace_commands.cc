#include "raft/core/trace_commands.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "raft/core/trace_text.h"

namespace conclave::raft {

TraceCommands::TraceCommands() {
  AddRunning();
  AddNetwork();
  AddRequests();
  AddViews();
}

std::vector<std::string> TraceCommands::Run(const std::string& command) {
  lines_.clear();
  words_ = std::istringstream(command);
  std::string verb;
  words_ >> verb;
  const auto known = verbs_.find(verb);
  const bool ready = cluster_ != nullptr || verb == "cluster";
  if (known == verbs_.end() || !ready || !known->second() || words_.fail()) {
    lines_.push_back("PROBLEM: cannot " + command);
  }
  if (cluster_ == nullptr) return lines_;
  for (const std::string& problem : cluster_->problems()) lines_.push_back("PROBLEM: " + problem);
  return lines_;
}

void TraceCommands::AddRunning() {
  const auto milliseconds = [this] { return Milliseconds(static_cast<int64_t>(Number())); };
  const auto quietly = [this](const std::function<void()>& action) {
    return Quietly([&] { return Do(action); });
  };
  verbs_["cluster"] = [this] { return MakeCluster(); };
  verbs_["elect"] = [=, this] { return quietly([&] { cluster_->Elect(Member()); }); };
  verbs_["settle"] = [=, this] { return quietly([&] { cluster_->Settle(); }); };
  verbs_["run"] = [=, this] { return quietly([&] { cluster_->RunFor(milliseconds()); }); };
  verbs_["due"] = [=, this] { return quietly([&] { cluster_->RunUntilDue(Member()); }); };
  verbs_["quietly"] = [this] {
    std::string verb;
    words_ >> verb;
    const auto known = verbs_.find(verb);
    return known != verbs_.end() && Quietly(known->second);
  };
  verbs_["pass"] = [=, this] { return Do([&] { cluster_->Advance(milliseconds()); }); };
  verbs_["wake"] = [this] { return Do([&] { cluster_->Wake(Member()); }); };
  verbs_["timeout"] = [this] { return Do([&] { cluster_->TimeOut(Member()); }); };
  verbs_["write"] = [this] { return cluster_->FinishWrite(Member()); };
  verbs_["apply"] = [this] { return cluster_->Apply(Member()); };
  verbs_["crash"] = [this] { return Do([&] { cluster_->Crash(Member()); }); };
  verbs_["restart"] = [this] { return Do([&] { cluster_->Restart(Member()); }); };
  verbs_["join"] = [this] {
    const NodeId member = Member();
    return Do([&] { cluster_->Join(member, Member()); });
  };
  verbs_["compact"] = [this] {
    const NodeId member = Member();
    return Do([&] { cluster_->Compact(member, LogIndex(Number())); });
  };
  verbs_["fetch"] = [this] { return cluster_->FetchSnapshot(Member()); };
  verbs_["damage"] = [this] {
    const NodeId member = Member();
    return Do([&] { cluster_->Damage(member, LogIndex(Number())); });
  };
}

void TraceCommands::AddNetwork() {
  verbs_["deliver"] = [this] { return OnLink(&TestCluster::Deliver); };
  verbs_["drop"] = [this] { return OnLink(&TestCluster::Drop); };
  verbs_["lose"] = [this] {
    const Link link = ReadLink();
    bool any = false;
    while (cluster_->Drop(link.from, link.to)) any = true;
    return any;
  };
  verbs_["repeat"] = [this] { return OnLink(&TestCluster::Repeat); };
  verbs_["delay"] = [this] { return OnLink(&TestCluster::Delay); };
  verbs_["late"] = [this] {
    const Link link = ReadLink();
    return cluster_->DeliverLate(link.from, link.to);
  };
  verbs_["lost"] = [this] {
    const NodeId member = Member();
    return Do([&] { cluster_->Step(member, PeerUnreachable{Member()}); });
  };
  verbs_["cut"] = [this] { return Do([this] { cluster_->Isolate(Member()); }); };
  verbs_["block"] = [this] {
    const Link link = ReadLink();
    return Do([&] { cluster_->Cut(link.from, link.to); });
  };
  verbs_["split"] = [this] { return Split(); };
  verbs_["heal"] = [this] { return Do([this] { cluster_->Heal(); }); };
}

void TraceCommands::AddRequests() {
  verbs_["propose"] = [this] { return Propose(); };
  verbs_["change"] = [this] { return Change(); };
  verbs_["read"] = [this] {
    const NodeId member = Member();
    return Do([&] { cluster_->ReadAll(member, NumberOr(1)); });
  };
  verbs_["transfer"] = [this] {
    const NodeId member = Member();
    return Do([&] { cluster_->Step(member, TransferRequested{NodeId(NumberOr(0))}); });
  };
}

void TraceCommands::AddViews() {
  verbs_["status"] = [this] {
    for (NodeId member : cluster_->members()) {
      const bool alive = cluster_->alive(member);
      lines_.push_back(
          fmt::format("{}: {}", member.value(), alive ? ToText(cluster_->status(member)) : "down"));
    }
    return true;
  };
  verbs_["peers"] = [this] {
    const NodeId member = Member();
    for (const PeerStatus& peer : cluster_->status(member).peers) Say(member, ToText(peer));
    return true;
  };
  verbs_["log"] = [this] {
    const std::vector<NodeId> members = Members();
    for (NodeId member : members) Say(member, "has the log " + ToText(cluster_->log(member)));
    return !members.empty();
  };
  verbs_["disk"] = [this] {
    const std::vector<NodeId> members = Members();
    for (NodeId member : members) {
      const Disk& disk = cluster_->disk(member);
      Say(member, fmt::format("has on its disk {}; {}", ToText(disk.hard_state), ToText(disk)));
    }
    return !members.empty();
  };
  verbs_["members"] = [this] {
    const std::vector<NodeId> members = Members();
    for (NodeId member : members) {
      Say(member, "goes by " + ToText(cluster_->core(member).configuration()));
    }
    return !members.empty();
  };
  verbs_["applied"] = [this] {
    const std::vector<NodeId> members = Members();
    for (NodeId member : members) {
      const std::vector<std::string>& commands = cluster_->applied(member);
      const std::string list = fmt::format("'{}'", fmt::join(commands, "' '"));
      Say(member, "has applied " + (commands.empty() ? "no command" : list));
    }
    return !members.empty();
  };
  verbs_["underway"] = [this] {
    const Link link = ReadLink();
    for (const Message& message : cluster_->Link(link.from, link.to)) {
      lines_.push_back("on its way: " + ToText(message));
    }
    return true;
  };
}

bool TraceCommands::MakeCluster() {
  TestCluster::Options options;
  CoreConfig& config = options.config;
  const std::map<std::string, size_t*> named = {
      {"learners", &options.learners},          {"entries", &config.append_entries_max},
      {"window", &config.inflight_appends_max}, {"uncommitted", &config.uncommitted_bytes_max},
      {"apply_bytes", &config.apply_bytes_max}, {"tail", &config.tail_entries_max},
  };
  words_ >> options.voters;
  for (std::string name; words_ >> name;) {
    if (name == "prefer") {
      ++options.leader_priorities[Member()];
      continue;
    }
    const auto known = named.find(name);
    if (known == named.end()) return false;
    *known->second = Number();
  }
  words_.clear();
  cluster_ = std::make_unique<TestCluster>(options);
  cluster_->on_output = [this](NodeId member, const Output& output) {
    if (quiet_) return;
    for (const std::string& line : ToLines(member, output)) lines_.push_back(line);
  };
  cluster_->on_sent = [this](const Message& message) {
    if (!quiet_) lines_.push_back(ToText(message));
  };
  return options.voters > 0;
}

bool TraceCommands::Propose() {
  const NodeId member = Member();
  std::vector<std::string> payloads;
  for (std::string payload; words_ >> payload;) payloads.push_back(payload);
  words_.clear();
  cluster_->ProposeAll(member, payloads);
  return !payloads.empty();
}

bool TraceCommands::Change() {
  const std::map<std::string, MemberChangeKind> kinds = {
      {"add", MemberChangeKind::kAddVoter},
      {"learner", MemberChangeKind::kAddLearner},
      {"remove", MemberChangeKind::kRemove},
  };
  const NodeId member = Member();
  std::vector<MemberChange> changes;
  for (std::string kind; words_ >> kind;) {
    const auto known = kinds.find(kind);
    if (known == kinds.end()) return false;
    changes.push_back({known->second, Member()});
  }
  words_.clear();
  cluster_->ProposeChange(member, changes);
  return !changes.empty();
}

bool TraceCommands::Split() {
  const std::vector<NodeId> apart = Members();
  const auto among = [&](NodeId member) {
    return std::find(apart.begin(), apart.end(), member) != apart.end();
  };
  for (NodeId from : cluster_->members()) {
    for (NodeId to : cluster_->members()) {
      if (among(from) != among(to)) cluster_->Cut(from, to);
    }
  }
  return !apart.empty();
}

bool TraceCommands::OnLink(bool (TestCluster::*verb)(NodeId, NodeId, size_t)) {
  const Link link = ReadLink();
  const uint64_t place = NumberOr(1);
  return place > 0 && (cluster_.get()->*verb)(link.from, link.to, place - 1);
}

uint64_t TraceCommands::Number() {
  uint64_t number = 0;
  words_ >> number;
  return number;
}

uint64_t TraceCommands::NumberOr(uint64_t otherwise) {
  uint64_t number = 0;
  if (words_ >> number) return number;
  words_.clear();
  return otherwise;
}

std::vector<NodeId> TraceCommands::Members() {
  std::vector<NodeId> members;
  for (uint64_t number = 0; words_ >> number;) members.push_back(NodeId(number));
  words_.clear();
  return members;
}

TraceCommands::Link TraceCommands::ReadLink() {
  Link link;
  link.from = Member();
  char arrow[2] = {};
  words_ >> arrow[0] >> arrow[1];
  link.to = Member();
  return link;
}

bool TraceCommands::Do(const std::function<void()>& action) {
  action();
  return true;
}

bool TraceCommands::Quietly(const Action& action) {
  const bool outer = std::exchange(quiet_, true);
  const bool applies = action();
  quiet_ = outer;
  return applies;
}

void TraceCommands::Say(NodeId member, const std::string& line) {
  lines_.push_back(fmt::format("{} {}", member.value(), line));
}

}  // namespace conclave::raft
