// The fixture of the tests of the thesis (Ongaro, "Consensus: Bridging Theory and Practice"): one
// short test for each of its rules, named after the section, by chapter. Tests only.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <variant>
#include <vector>

#include "raft/core/driven_cluster.h"

namespace conclave::raft {

using Commands = std::vector<std::string>;

inline TestCluster::Options Cluster(size_t voters, size_t learners = 0) {
  TestCluster::Options options;
  options.voters = voters;
  options.learners = learners;
  return options;
}

class ThesisTest : public testing::Test {
 protected:
  explicit ThesisTest(const TestCluster::Options& options = Cluster(3)) : cluster_(options) {
    cluster_.on_sent = [this](const Message& message) { sent_.push_back(message); };
  }
  void TearDown() override { EXPECT_EQ(cluster_.Verdict(), ""); }

  // What `from` would say to `to` if it were so.
  void Say(NodeId from, NodeId to, uint64_t term, const MessageBody& body) {
    cluster_.Inject({from, to, Term(term), body});
    cluster_.DeliverAll(from, to);
  }

  // Messages of one kind to one member since the last call.
  template <typename Body>
  std::vector<Body> Sent(NodeId to) {
    std::vector<Body> bodies;
    for (const Message& message : sent_) {
      const Body* body = std::get_if<Body>(&message.body);
      if (message.to == to && body != nullptr) bodies.push_back(*body);
    }
    sent_.clear();
    return bodies;
  }

  Term TermOf(NodeId member) { return cluster_.core(member).term(); }
  LogIndex CommitOf(NodeId member) { return cluster_.core(member).commit(); }

  DrivenCluster cluster_;
  std::vector<Message> sent_;
};

class FiveVotersThesisTest : public ThesisTest {
 protected:
  FiveVotersThesisTest() : ThesisTest(Cluster(5)) {}
};

// A request for a vote by a member whose log ends with this entry.
inline VoteRequest AskForVote(uint64_t last_index, uint64_t last_term) {
  return {.pre_vote = false,
          .transfer = false,
          .last_index = LogIndex(last_index),
          .last_term = Term(last_term)};
}

// `count` entries of `term` after (prev, prev_term).
inline AppendRequest Entries(uint64_t prev, uint64_t prev_term, uint64_t term, size_t count) {
  AppendRequest request;
  request.prev_index = LogIndex(prev);
  request.prev_term = Term(prev_term);
  for (size_t i = 1; i <= count; ++i) {
    request.entries.push_back({Term(term), LogIndex(prev + i), EntryKind::kCommand, {}});
  }
  return request;
}

}  // namespace conclave::raft
