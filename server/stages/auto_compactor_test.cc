// When history is forgotten, and by whom (reference: behaviour section 3.7).
#include "server/stages/auto_compactor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "kvstore/errors.h"
#include "kvstore/proto/rpc.pb.h"
#include "raft/base/manual_executor.h"

namespace conclave::server {
namespace {

using raft::NodeId;
using raft::RoleName;
using raft::Term;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr NodeId kSelf{1};
constexpr Duration kMinute = Seconds(60);
constexpr Duration kHour = Seconds(3600);

// Revisions as the test says; the events in them do not matter here.
class FakeHistory : public kv::History {
 public:
  int64_t revision() const override { return revision_; }
  int64_t compact_revision() const override { return compact_revision_; }
  std::vector<kv::SharedRevisionEvents> ReadEvents(int64_t, size_t, size_t) const override {
    return {};
  }
  std::optional<kv::Record> RecordAt(std::string_view, kv::Revision) const override {
    return std::nullopt;
  }

  int64_t revision_ = 1;
  int64_t compact_revision_ = -1;
};

class AutoCompactorTest : public ::testing::Test {
 protected:
  void Start(const AutoCompactorOptions& options) {
    compactor_ = std::make_unique<AutoCompactor>(options, &lane_, &history_, &proposer_);
    compactor_->Start();
  }

  void Change(RoleName role, uint64_t term, NodeId leader) {
    const raft::RoleChange change{.role = role, .term = Term(term), .leader = leader};
    proposer_.OnRoleChange(change);
    compactor_->OnRoleChange(change);
    term_ = Term(term);
    leading_ = role == RoleName::kLeader;
  }
  void Lead(uint64_t term) { Change(RoleName::kLeader, term, kSelf); }
  void Follow(uint64_t term) { Change(RoleName::kFollower, term, NodeId(2)); }

  // The revisions that are proposed for compaction now; each is answered with `answer`.
  std::vector<int64_t> Compacted(const absl::Status& answer = absl::OkStatus()) {
    std::vector<int64_t> revisions;
    for (const raft::Proposal& proposal : proposer_.TakeProposals(term_, leading_)) {
      const auto command = kv::DecodeCommand(proposal.payload.view());
      EXPECT_EQ(command->header.kind, kv::CommandKind::kCompact);
      etcdserverpb::CompactionRequest request;
      EXPECT_TRUE(request.ParseFromArray(command->request.data(),
                                         static_cast<int>(command->request.size())));
      revisions.push_back(request.revision());
      if (answer.ok()) history_.compact_revision_ = request.revision();
      proposer_.Complete(command->header, {.status = answer, .response = {}});
    }
    return revisions;
  }

  // Writes 10 revisions a minute for so long, and returns what was compacted meanwhile.
  std::vector<int64_t> Write(Duration duration) {
    std::vector<int64_t> all;
    for (Duration gone{}; gone < duration; gone += kMinute) {
      lane_.Advance(kMinute);
      history_.revision_ += 10;
      for (int64_t revision : Compacted()) all.push_back(revision);
    }
    return all;
  }

  ManualExecutor lane_;
  FakeHistory history_;
  Proposer proposer_{{.member = kSelf}, &lane_, [] {}};
  std::unique_ptr<AutoCompactor> compactor_;
  Term term_{0};
  bool leading_ = false;
};

TEST_F(AutoCompactorTest, WithoutOptionsNothingIsForgotten) {
  Start({});
  Lead(1);
  EXPECT_THAT(Write(3 * kHour), IsEmpty());
}

TEST_F(AutoCompactorTest, ByTimeTheFirstRunIsAfterOnePeriodAndForgetsWhatIsOlder) {
  Start({.period = 20 * kMinute});
  Lead(1);
  EXPECT_THAT(Write(19 * kMinute), IsEmpty());
  EXPECT_THAT(Write(kMinute), ElementsAre(1));
  EXPECT_THAT(Write(19 * kMinute), IsEmpty());
  // At 40 minutes: the sample of minute 20, when 19 minutes' writes were in.
  EXPECT_THAT(Write(kMinute), ElementsAre(191));
}

TEST_F(AutoCompactorTest, ALongPeriodRunsEveryHour) {
  Start({.period = 5 * kHour});
  Lead(1);
  EXPECT_THAT(Write(5 * kHour - kMinute), IsEmpty());
  EXPECT_THAT(Write(kMinute), ElementsAre(1));
  EXPECT_THAT(Write(kHour), ElementsAre(591));
  EXPECT_THAT(Write(kHour), ElementsAre(1191));
}

TEST_F(AutoCompactorTest, ATimeWithoutWritesIsForgottenOnce) {
  Start({.period = 10 * kMinute});
  Lead(1);
  history_.revision_ = 7;
  lane_.Advance(10 * kMinute);
  EXPECT_THAT(Compacted(), ElementsAre(1));
  lane_.Advance(10 * kMinute);
  EXPECT_THAT(Compacted(), ElementsAre(7));
  lane_.Advance(10 * kHour);
  EXPECT_THAT(Compacted(), IsEmpty());
}

TEST_F(AutoCompactorTest, ByCountItKeepsThatManyAndRunsEveryFiveMinutes) {
  Start({.revisions = 100});
  Lead(1);
  history_.revision_ = 100;
  lane_.Advance(5 * kMinute);
  EXPECT_THAT(Compacted(), IsEmpty());
  history_.revision_ = 150;
  lane_.Advance(5 * kMinute - Milliseconds(1));
  EXPECT_THAT(Compacted(), IsEmpty());
  lane_.Advance(Milliseconds(1));
  EXPECT_THAT(Compacted(), ElementsAre(50));
  lane_.Advance(kHour);
  EXPECT_THAT(Compacted(), IsEmpty());
}

TEST_F(AutoCompactorTest, OnlyTheLeaderDecidesAndANewOneKnowsThePast) {
  Start({.period = 20 * kMinute});
  Follow(1);
  EXPECT_THAT(Write(kHour), IsEmpty());
  EXPECT_EQ(proposer_.pending(), 0u);
  Lead(2);
  lane_.Advance(2 * kMinute);
  EXPECT_THAT(Compacted(), ElementsAre(411));  // what it saw 20 minutes before minute 62
}

TEST_F(AutoCompactorTest, ADecisionIsNeverPassedOnToTheNextLeader) {
  Start({.revisions = 1});
  Lead(1);
  history_.revision_ = 50;
  lane_.Advance(5 * kMinute);
  ASSERT_EQ(proposer_.pending(), 1u);
  Follow(2);
  EXPECT_THAT(Compacted(), IsEmpty());
  EXPECT_EQ(proposer_.pending(), 0u);
}

TEST_F(AutoCompactorTest, AFailureIsTriedAgainAtTheNextSample) {
  Start({.period = 10 * kMinute});
  Lead(1);
  history_.revision_ = 5;
  lane_.Advance(10 * kMinute);
  EXPECT_THAT(Compacted(kv::ErrTooManyRequests()), ElementsAre(1));
  lane_.Advance(kMinute);
  EXPECT_THAT(Compacted(), ElementsAre(5));
}

TEST_F(AutoCompactorTest, WhatAClientHasCompactedAlreadyIsLeftAlone) {
  Start({.period = 10 * kMinute});
  Lead(1);
  history_.revision_ = 500;
  history_.compact_revision_ = 400;
  lane_.Advance(10 * kMinute);
  EXPECT_THAT(Compacted(), IsEmpty());
}

TEST_F(AutoCompactorTest, AnAbsurdlyShortPeriodIsNoBusyLoop) {
  Start({.period = Duration(1)});
  Lead(1);
  lane_.Advance(Milliseconds(100));  // would not return
  EXPECT_THAT(Compacted(), ElementsAre(1));
}

}  // namespace
}  // namespace conclave::server
