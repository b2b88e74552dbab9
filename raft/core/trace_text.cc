#include "raft/core/trace_text.h"

#include "fmt/format.h"

namespace conclave::raft {
namespace {

std::string ToText(const std::vector<NodeId>& nodes) {
  std::string text;
  for (NodeId node : nodes) text += fmt::format("{}{}", text.empty() ? "" : " ", node.value());
  return text;
}

}  // namespace

std::string ToText(const Configuration& configuration) {
  std::string text = "voters " + ToText(configuration.voters);
  if (configuration.joint()) text += " and " + ToText(configuration.outgoing);
  if (!configuration.learners.empty()) text += ", learners " + ToText(configuration.learners);
  return text;
}

namespace {

std::string ToText(const Entry& entry) {
  const std::string place = fmt::format("{}/{}", entry.index.value(), entry.term.value());
  switch (entry.kind) {
    case EntryKind::kNoop:
      return place + " no-op";
    case EntryKind::kConfiguration:
      return fmt::format("{} configuration: {}", place,
                         ToText(DecodeConfigurationEntry(entry.payload.view())->configuration));
    case EntryKind::kCommand:
      break;
  }
  return fmt::format("{} '{}'", place, entry.payload.view());
}

std::string ToText(const std::vector<Entry>& entries) {
  if (entries.empty()) return "no entries";
  std::string text;
  for (const Entry& entry : entries) text += (text.empty() ? "" : ", ") + ToText(entry);
  return text;
}

std::string Round(uint64_t round) { return round == 0 ? "" : fmt::format(", round {}", round); }

std::string Body(const VoteRequest& body) {
  return fmt::format("{}Request{}, my log ends at {}/{}", body.pre_vote ? "PreVote" : "Vote",
                     body.transfer ? " (transfer)" : "", body.last_index.value(),
                     body.last_term.value());
}

std::string Body(const VoteResponse& body) {
  return fmt::format("{}Response, {}", body.pre_vote ? "PreVote" : "Vote",
                     body.granted ? "granted" : "refused");
}

std::string Body(const AppendRequest& body) {
  return fmt::format("AppendRequest after {}/{}, commit {}{}: {}", body.prev_index.value(),
                     body.prev_term.value(), body.commit.value(), Round(body.round),
                     ToText(body.entries));
}

std::string Body(const AppendResponse& body) {
  if (body.accepted) {
    return fmt::format("AppendResponse, {} is durable{}", body.index.value(), Round(body.round));
  }
  return fmt::format("AppendResponse, nothing fits after {}, try after {}/{}{}{}",
                     body.index.value(), body.hint_index.value(), body.hint_term.value(),
                     body.incomplete ? ", entries were lost here" : "", Round(body.round));
}

std::string Body(const Heartbeat& body) {
  return fmt::format("Heartbeat, commit {}{}", body.commit.value(), Round(body.round));
}

std::string Body(const HeartbeatResponse& body) {
  const std::string priority =
      body.priority == 0 ? "" : fmt::format(", my priority is {}", body.priority);
  return "HeartbeatResponse" + priority + Round(body.round);
}

std::string Body(const ReadIndexRequest& body) {
  return fmt::format("ReadIndexRequest {}", body.read.value());
}

std::string Body(const ReadIndexResponse& body) {
  return fmt::format("ReadIndexResponse {}, {}", body.read.value(),
                     body.ok ? fmt::format("index {}", body.index.value()) : "refused");
}

std::string ToText(const MemberChange& change) {
  switch (change.kind) {
    case MemberChangeKind::kAddVoter:
      return fmt::format(" add {}", change.node.value());
    case MemberChangeKind::kAddLearner:
      return fmt::format(" learner {}", change.node.value());
    case MemberChangeKind::kRemove:
      return fmt::format(" remove {}", change.node.value());
  }
  return " unknown";
}

std::string Body(const ProposeRequest& body) {
  std::string text = "ProposeRequest";
  for (const Proposal& proposal : body.proposals) {
    for (const MemberChange& change : proposal.changes) text += ToText(change);
    if (proposal.changes.empty()) text += fmt::format(" '{}'", proposal.payload.view());
  }
  return text;
}

std::string Body(const ProposeResponse& body) {
  return fmt::format("ProposeResponse, {} refused", body.rejected.size());
}

std::string Body(const TimeoutNow&) { return "TimeoutNow"; }

std::string Body(const SnapshotOffer& body) {
  return fmt::format("SnapshotOffer as of {}", body.index.value());
}

std::string ToText(const AppendTask& task) {
  std::vector<std::string> parts;
  if (task.hard_state) parts.push_back(ToText(*task.hard_state));
  if (task.reset) {
    parts.push_back(fmt::format("the log starts anew after {}/{}", task.reset->index.value(),
                                task.reset->term.value()));
  }
  if (!task.entries.empty()) parts.push_back(ToText(task.entries));
  if (task.complete) parts.push_back("the log is complete again");
  if (parts.empty()) parts.push_back("nothing new");
  return fmt::format("write {}: {}", task.write.value(), fmt::join(parts, "; "));
}

std::string ToText(const RoleChange& change) {
  std::string text = fmt::format("{} of term {}", ToString(change.role), change.term.value());
  if (change.role == RoleName::kFollower && change.leader != kNoNode) {
    text += fmt::format(" under {}", change.leader.value());
  }
  return text;
}

const char* ToText(RejectReason reason) {
  switch (reason) {
    case RejectReason::kNoLeader:
      return "no leader";
    case RejectReason::kTooMany:
      return "too many";
    case RejectReason::kTransferring:
      return "leadership is being handed over";
    case RejectReason::kChangeUnderWay:
      return "a change of membership is under way";
    case RejectReason::kBadChange:
      return "the change does not fit the membership";
  }
  return "unknown";
}

}  // namespace

std::string ToText(const Message& message) {
  return fmt::format("{} to {}, term {}: {}", message.from.value(), message.to.value(),
                     message.term.value(),
                     std::visit([](const auto& body) { return Body(body); }, message.body));
}

std::vector<std::string> ToLines(NodeId member, const Output& output) {
  std::vector<std::string> lines;
  const auto add = [&](const std::string& line) {
    lines.push_back(fmt::format("{} {}", member.value(), line));
  };
  if (output.role_change) add("is now " + ToText(*output.role_change));
  if (output.append) add("starts " + ToText(*output.append));
  if (output.append && !output.append->after_durable.empty()) {
    const size_t count = output.append->after_durable.size();
    add(fmt::format("holds {} message{} back until write {} is durable", count,
                    count == 1 ? "" : "s", output.append->write.value()));
  }
  if (!output.apply.empty()) add("applies " + ToText(output.apply));
  for (const ReadReady& ready : output.reads_ready) {
    add(fmt::format("may answer read {} once {} is applied", ready.read.value(),
                    ready.index.value()));
  }
  for (const ReadFailed& failed : output.reads_failed) {
    add(fmt::format("fails read {}: {}", failed.read.value(), ToText(failed.reason)));
  }
  for (const ProposalFailed& failed : output.proposals_failed) {
    add(fmt::format("fails proposal {}: {}", failed.id.value(), ToText(failed.reason)));
  }
  if (output.fetch_snapshot) {
    add(fmt::format("fetches a snapshot of {}, of {} or later", output.fetch_snapshot->from.value(),
                    output.fetch_snapshot->at_least.value()));
  }
  if (output.install_snapshot) {
    add(fmt::format("installs the snapshot of {}/{}", output.install_snapshot->index.value(),
                    output.install_snapshot->term.value()));
  }
  if (output.compacted)
    add(fmt::format("lets its log go up to {}", output.compacted->index.value()));
  return lines;
}

std::string ToText(const CoreStatus& status) {
  return fmt::format("{}, log {}..{}, durable {}, commit {}, applied {}{}",
                     ToText(RoleChange{status.role, status.term, status.leader}),
                     status.first_index.value(), status.last_index.value(), status.durable.value(),
                     status.commit.value(), status.applied.value(),
                     status.incomplete ? ", has lost entries" : "");
}

std::string ToText(const PeerStatus& peer) {
  return fmt::format("knows of {}: match {}, next {}{}{}{}", peer.id.value(), peer.match.value(),
                     peer.next.value(), peer.learner ? ", learner" : "",
                     peer.needs_snapshot ? ", needs a snapshot" : "",
                     peer.recently_active ? "" : ", silent");
}

std::string ToText(const HardState& hard_state) {
  const std::string vote =
      hard_state.vote == kNoNode ? "" : fmt::format(", vote for {}", hard_state.vote.value());
  return fmt::format("term {}{}", hard_state.term.value(), vote);
}

std::string ToText(const Disk& disk) {
  if (disk.start.index == LogIndex(0)) return ToText(disk.entries);
  return fmt::format("after {}/{}: {}", disk.start.index.value(), disk.start.term.value(),
                     ToText(disk.entries));
}

}  // namespace conclave::raft
