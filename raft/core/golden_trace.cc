#include "raft/core/golden_trace.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <vector>

#include "fmt/format.h"
#include "raft/core/test_cluster.h"
#include "raft/core/trace_text.h"

namespace conclave::raft {
namespace {

constexpr std::string_view kPrompt = "> ";
constexpr std::string_view kIndent = "    ";

class Replay {
 public:
  // What the command brings about, a line each.
  std::vector<std::string> Run(const std::string& command) {
    lines_.clear();
    words_ = std::istringstream(command);
    std::string verb;
    words_ >> verb;
    if (verb == "cluster") {
      MakeCluster();
    } else if (cluster_ == nullptr || !RunVerb(verb)) {
      lines_.push_back("PROBLEM: cannot " + command);
    }
    if (cluster_ == nullptr) return lines_;
    for (const std::string& problem : cluster_->problems()) lines_.push_back("PROBLEM: " + problem);
    return lines_;
  }

 private:
  using Action = std::function<bool()>;

  void MakeCluster() {
    TestCluster::Options options;
    words_ >> options.voters;
    for (std::string option; words_ >> option;) {
      words_ >> (option == "learners" ? options.learners : options.config.append_entries_max);
    }
    cluster_ = std::make_unique<TestCluster>(options);
    cluster_->on_output = [this](NodeId member, const Output& output) {
      if (quiet_) return;
      for (const std::string& line : ToLines(member, output)) lines_.push_back(line);
    };
    cluster_->on_sent = [this](const Message& message) {
      if (!quiet_) lines_.push_back(ToText(message));
    };
  }

  bool RunVerb(const std::string& verb) {
    const std::map<std::string, Action> verbs = {
        {"elect", [&] { return Quietly([&] { cluster_->Elect(Member()); }); }},
        {"settle", [&] { return Quietly([&] { cluster_->Settle(); }); }},
        {"status", [&] { return Status(); }},
        {"propose", [&] { return Propose(); }},
        {"read", [&] { return Read(); }},
        {"write", [&] { return cluster_->FinishWrite(Member()); }},
        {"apply", [&] { return cluster_->Apply(Member()); }},
        {"deliver", [&] { return OnLink(&TestCluster::Deliver); }},
        {"drop", [&] { return OnLink(&TestCluster::Drop); }},
        {"timeout", [&] { return Do([&] { cluster_->TimeOut(Member()); }); }},
        {"run",
         [&] {
           return Quietly([&] { cluster_->RunFor(Milliseconds(static_cast<int64_t>(Number()))); });
         }},
        {"due", [&] { return Quietly([&] { cluster_->RunUntilDue(Member()); }); }},
        {"wake", [&] { return Do([&] { cluster_->Wake(Member()); }); }},
        {"lost", [&] { return StepWith([&] { return PeerUnreachable{Member()}; }); }},
        {"cut", [&] { return Do([&] { cluster_->Isolate(Member()); }); }},
        {"heal", [&] { return Do([&] { cluster_->Heal(); }); }},
        {"crash", [&] { return Do([&] { cluster_->Crash(Member()); }); }},
        {"restart", [&] { return Do([&] { cluster_->Restart(Member()); }); }},
        {"transfer", [&] { return StepWith([&] { return TransferRequested{Member()}; }); }},
        {"compact", [&] { return Compact(); }},
    };
    const auto known = verbs.find(verb);
    return known != verbs.end() && known->second() && !words_.fail();
  }

  uint64_t Number() {
    uint64_t number = 0;
    words_ >> number;
    return number;
  }

  NodeId Member() { return NodeId(Number()); }

  bool Do(const std::function<void()>& action) {
    action();
    return true;
  }

  bool Quietly(const std::function<void()>& action) {
    quiet_ = true;
    action();
    quiet_ = false;
    return true;
  }

  template <typename MakeEvent>
  bool StepWith(MakeEvent make_event) {
    const NodeId member = Member();
    cluster_->Step(member, make_event());
    return true;
  }

  bool OnLink(bool (TestCluster::*verb)(NodeId, NodeId, size_t)) {
    const NodeId from = Member();
    char arrow[2] = {};
    words_ >> arrow[0] >> arrow[1];
    const NodeId to = Member();
    return (cluster_.get()->*verb)(from, to, 0);
  }

  bool Propose() {
    const NodeId member = Member();
    std::vector<std::string> payloads;
    for (std::string payload; words_ >> payload;) payloads.push_back(payload);
    words_.clear();
    cluster_->ProposeAll(member, payloads);
    return !payloads.empty();
  }

  bool Read() {
    const NodeId member = Member();
    uint64_t count = 1;
    if (!(words_ >> count)) words_.clear();
    cluster_->ReadAll(member, count);
    return true;
  }

  bool Compact() {
    const NodeId member = Member();
    cluster_->Compact(member, LogIndex(Number()));
    return true;
  }

  bool Status() {
    for (NodeId member : cluster_->members()) {
      lines_.push_back(
          fmt::format("{}: {}", member.value(),
                      cluster_->alive(member) ? ToText(cluster_->status(member)) : "down"));
    }
    return true;
  }

  std::unique_ptr<TestCluster> cluster_;
  std::istringstream words_;
  std::vector<std::string> lines_;
  bool quiet_ = false;
};

}  // namespace

std::string ReplayTrace(std::string_view trace) {
  Replay replay;
  std::string text;
  std::istringstream lines{std::string(trace)};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(kIndent)) continue;  // an outcome, made anew
    text += line + "\n";
    if (!line.starts_with(kPrompt)) continue;
    for (const std::string& outcome : replay.Run(line.substr(kPrompt.size()))) {
      text += fmt::format("{}{}\n", kIndent, outcome);
    }
  }
  return text;
}

}  // namespace conclave::raft
