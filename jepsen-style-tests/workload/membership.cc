// Operators who change the membership all the time: grow the cluster, shrink it, replace
// machines whose disks are lost, promote learners, and change several votes at once. Refusals are
// as good as anything; what must hold is that the member list says what was answered and what raft
// goes by. Everything else is for the Raft invariants and for everybody else's histories to say.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "jepsen-style-tests/checker/report_draft.h"
#include "jepsen-style-tests/workload/all_workloads.h"
#include "kvstore/errors.h"
#include "raft/base/seeded_bug.h"

namespace conclave::sim {

namespace {

using checker::Outcome;
using etcdserverpb::Member;

constexpr Duration kPauseMax = Seconds(3);
constexpr Duration kTimeout =
    Seconds(15);  // longer than a member tries, so most outcomes are known
constexpr Duration kStartMax = Seconds(1);
constexpr Duration kVotesGivenMax = Seconds(30);
constexpr size_t kMachinesMax = 16;  // over a run
constexpr size_t kVotersMax = 7;
constexpr int kHastyMax = 6;  // over a run

Outcome OutcomeOf(const absl::Status& status) {
  if (status.ok()) return Outcome::kOk;
  return CertainlyNotApplied(status) ? Outcome::kFail : Outcome::kInfo;
}

class Membership : public Workload {
 public:
  Membership(World* world, History* history, Random drawn)
      : Workload("membership", world, history, drawn) {}
  ~Membership() override { world().SetLeaderObserver(nullptr); }

  bool disturbs() const override { return true; }
  bool changes_members() const override { return true; }
  void Start() override {
    for (uint64_t n = random().Between(1, 2); n > 0; --n) {
      Spawn(Operator(NewSession({.choice = MemberChoice::kRandom, .timeout = kTimeout})));
    }
    world().SetLeaderObserver([this](sim::Member& leader) {
      if (!loading() || hasty_left_ == 0 || !random().OneIn(3)) return;
      --hasty_left_;
      Spawn(ChangeInHaste(&leader));
    });
  }
  Co<void> FinalReads(Session& session) override;
  std::vector<checker::Report> Check() override;

 private:
  // What was answered about one id or URL.
  struct Asked {
    bool ok = false;
    bool maybe = false;
    bool refused = false;

    void Take(Outcome outcome) {
      (outcome == Outcome::kOk ? ok : outcome == Outcome::kInfo ? maybe : refused) = true;
    }
  };

  // A member was to be given another URL.
  struct UrlUpdate {
    std::string url;
    Outcome outcome = Outcome::kInfo;
    int64_t called_ns = 0;
    int64_t returned_ns = 0;
  };

  Co<void> Operator(Session& session);
  Co<void> ChangeOne(Session& session);
  Co<void> Add(Session& session, bool learner);
  Co<void> Remove(Session& session, uint64_t id);
  Co<void> Update(Session& session, uint64_t id);
  Co<void> Promote(Session& session, uint64_t id);
  Co<void> ChangeVotesTogether();
  Co<void> ChangeInHaste(sim::Member* leader);
  Co<void> LoseDisk(Session& session, uint64_t id);

  template <typename Response>
  void End(const Answer<Response>& answer) {
    world().ChangeEnds(answer.outcome != Outcome::kInfo);
  }
  void GiveMachine(uint64_t id, Random& random);
  Member* AnyOf(Random& random, bool learners);
  size_t Count(bool learners) const;
  bool IsGone(uint64_t id);
  std::string NewUrl() { return fmt::format("http://machine-{}:2380", ++urls_); }
  void CheckAnswers(checker::ReportDraft& draft) const;
  void CheckUrls(checker::ReportDraft& draft) const;
  void CheckConfiguration(checker::ReportDraft& draft);

  std::vector<Member> members_;  // as last listed
  size_t wanted_voters_ = 3;
  uint64_t urls_ = 0;
  std::map<std::string, Asked> additions_;              // by peer URL
  std::map<std::string, uint64_t> ids_;                 // of additions that were answered
  std::map<uint64_t, Asked> removals_;                  // by id
  std::map<uint64_t, Asked> promotions_;                // likewise
  std::map<uint64_t, std::vector<UrlUpdate>> updates_;  // likewise
  int hasty_left_ = kHastyMax;
};

Co<void> Membership::Operator(Session& session) {
  while (loading()) {
    co_await session.SleepUpTo(kPauseMax);
    if (session.random().OneIn(4)) wanted_voters_ = 1 + session.random().Below(5);
    const auto list = co_await session.MemberList();
    if (!list.ok() || !loading()) continue;
    members_.assign(list.response.members().begin(), list.response.members().end());
    co_await ChangeOne(session);
  }
}

Co<void> Membership::ChangeOne(Session& session) {
  Random& random = session.random();
  // What is broken is mended first, or the next change could be one too many.
  for (const Member& member : members_) {
    const uint64_t id = member.id();
    if (world().FindMember(raft::NodeId(id)) == nullptr) {
      if (world().size() < kMachinesMax && !random.OneIn(4)) {
        GiveMachine(id, random);
        co_return;
      }
      co_await Remove(session, id);
      co_return;
    }
    if (IsGone(id)) {
      co_await Remove(session, id);
      co_return;
    }
  }
  if (!world().AllWhole()) co_return;
  const size_t voters = Count(/*learners=*/false);
  const bool room = world().size() < kMachinesMax;
  Member* const learner = AnyOf(random, /*learners=*/true);
  Member* const voter = AnyOf(random, /*learners=*/false);
  const uint64_t choice = random.Below(12);
  if (choice == 0 && voter != nullptr) {
    co_await Update(session, voter->id());
  } else if (choice <= 2 && voter != nullptr && room) {
    co_await LoseDisk(session, voter->id());
  } else if (choice == 3 && room) {
    co_await Add(session, /*learner=*/true);
  } else if (choice == 4 && learner != nullptr) {
    co_await Remove(session, learner->id());
  } else if (choice <= 7 && learner != nullptr) {
    co_await Promote(session, learner->id());
  } else if (voters < std::min(wanted_voters_, kVotersMax) && room) {
    co_await Add(session, random.OneIn(2));
    if (loading() && random.OneIn(3)) co_await Add(session, /*learner=*/false);
    if (loading() && random.OneIn(2)) co_await ChangeVotesTogether();
  } else if (voters > wanted_voters_ && voter != nullptr) {
    const sim::Member* const leader = world().leader();
    const bool leads = leader != nullptr && random.OneIn(3);
    const uint64_t id = leads ? leader->id().value() : voter->id();
    co_await Remove(session, id);
  }
}

Co<void> Membership::Add(Session& session, bool learner) {
  const std::string url = NewUrl();
  world().ChangeBegins();
  const auto added = co_await session.MemberAdd(url, learner);
  End(added);
  additions_[url].Take(added.outcome);
  if (!added.ok()) co_return;
  ids_[url] = added.response.member().id();
  GiveMachine(added.response.member().id(), session.random());
}

void Membership::GiveMachine(uint64_t id, Random& random) {
  if (world().FindMember(raft::NodeId(id)) != nullptr) return;
  const size_t position = world().AddMachine(raft::NodeId(id));
  const auto start = static_cast<int64_t>(random.Below(static_cast<uint64_t>(kStartMax.count())));
  world().scheduler().After(Duration(start), [world = &world(), position] {
    const sim::Member& member = world->member(position);
    if (!member.running() && !member.gone()) world->StartMember(position);
  });
}

Co<void> Membership::Remove(Session& session, uint64_t id) {
  world().ChangeBegins();
  const auto removed = co_await session.MemberRemove(id);
  End(removed);
  removals_[id].Take(removed.outcome);
}

Co<void> Membership::Update(Session& session, uint64_t id) {
  const std::string url = NewUrl();
  world().ChangeBegins();
  const auto updated = co_await session.MemberUpdate(id, url);
  End(updated);
  updates_[id].push_back({.url = url,
                          .outcome = updated.outcome,
                          .called_ns = updated.called_ns,
                          .returned_ns = updated.returned_ns});
}

Co<void> Membership::Promote(Session& session, uint64_t id) {
  world().ChangeBegins();
  const auto promoted = co_await session.MemberPromote(id);
  End(promoted);
  promotions_[id].Take(promoted.outcome);
}

// Members that were added as voters get their votes one by one when they have caught up. Here two
// get them at once, or one as another goes, by way of a joint configuration. No request asks for
// that, so the leader is asked itself.
Co<void> Membership::ChangeVotesTogether() {
  sim::Member* const leader = world().leader();
  if (leader == nullptr || !leader->node().MembersSettled()) co_return;
  const raft::Configuration& configuration = leader->node().core().configuration();
  std::vector<uint64_t> voteless;
  uint64_t voter = 0;
  for (const Member& member : leader->store().Members()) {
    const raft::NodeId id(member.id());
    if (configuration.IsVoter(id)) voter = member.id();
    // Who has no machine never answers, and nobody asks here whether it has caught up.
    const bool answers = world().FindMember(id) != nullptr;
    if (!member.islearner() && configuration.IsLearner(id) && answers) {
      voteless.push_back(member.id());
    }
  }
  const bool removes = voteless.size() == 1 && configuration.voters.size() > 1 && voter != 0;
  if (!removes && voteless.size() < 2) co_return;
  std::vector<raft::MemberChange> changes;
  for (const uint64_t id : voteless) {
    changes.push_back({raft::MemberChangeKind::kAddVoter, raft::NodeId(id)});
  }
  etcdserverpb::MemberPromoteRequest promotion;
  promotion.set_id(voteless[0]);
  etcdserverpb::MemberRemoveRequest removal;
  removal.set_id(voter);
  if (removes) changes.push_back({raft::MemberChangeKind::kRemove, raft::NodeId(voter)});
  world().Note("{} is asked to change {} votes at once", leader->name(), changes.size());
  world().ChangeBegins();
  Callback<int> changed([&](const Callback<int>::Done& done) {
    world().scheduler().After(kTimeout, [done] { done(2); });
    leader->lane().Deliver([leader, done, changes, removes, promotion, removal] {
      const auto kind = removes ? kv::CommandKind::kMemberRemove : kv::CommandKind::kMemberPromote;
      const std::string request =
          removes ? removal.SerializeAsString() : promotion.SerializeAsString();
      leader->node().ChangeMembers(kind, request, changes, [done](const kv::ApplyResult& result) {
        done(result.status.ok() ? 0 : CertainlyNotApplied(result.status) ? 1 : 2);
      });
    });
  });
  const int outcome = co_await changed;
  world().ChangeEnds(outcome != 2);
  if (removes) {
    removals_[voter].Take(outcome == 0   ? Outcome::kOk
                          : outcome == 1 ? Outcome::kFail
                                         : Outcome::kInfo);
  }
}

// The service asks for one change at a time, of a leader that has applied all before it. Raft must
// not rely on that: a leader that has only just been elected is asked for two at once, and puts
// both off until it may. A learner comes and goes.
Co<void> Membership::ChangeInHaste(sim::Member* leader) {
  Member added;
  added.set_id(random().Next() | 1);
  added.set_islearner(true);
  added.add_peerurls(NewUrl());
  const raft::NodeId id(added.id());
  etcdserverpb::MemberRemoveRequest removal;
  removal.set_id(added.id());
  world().Note("{} is asked in haste for two changes", leader->name());
  world().ChangeBegins();
  struct Outcomes {
    Outcome addition = Outcome::kInfo;
    Outcome removal = Outcome::kInfo;
  };
  const auto outcomes = std::make_shared<Outcomes>();
  Callback<bool> over([&](const Callback<bool>::Done& done) {
    world().scheduler().After(kTimeout, [done] { done(true); });
    leader->lane().Deliver([leader, outcomes, done, id, addition = added.SerializeAsString(),
                            removal = removal.SerializeAsString()] {
      leader->node().ChangeMembers(kv::CommandKind::kMemberAdd, addition,
                                   {{raft::MemberChangeKind::kAddLearner, id}},
                                   [outcomes](const kv::ApplyResult& result) {
                                     outcomes->addition = OutcomeOf(result.status);
                                   });
      leader->node().ChangeMembers(kv::CommandKind::kMemberRemove, removal,
                                   {{raft::MemberChangeKind::kRemove, id}},
                                   [outcomes, done](const kv::ApplyResult& result) {
                                     outcomes->removal = OutcomeOf(result.status);
                                     done(true);
                                   });
    });
  });
  co_await over;
  const Outcomes known = *outcomes;
  world().ChangeEnds(known.addition != Outcome::kInfo && known.removal != Outcome::kInfo);
  additions_[added.peerurls(0)].Take(known.addition);
  if (known.addition == Outcome::kOk) ids_[added.peerurls(0)] = added.id();
  // A removal may be refused because there never was such a member.
  if (known.addition == Outcome::kOk || known.removal != Outcome::kFail) {
    removals_[added.id()].Take(known.removal);
  }
}

// A machine that lost its disk must not come back under its old id: it is removed, and another one
// joins.
Co<void> Membership::LoseDisk(Session& session, uint64_t id) {
  const size_t position = world().member(raft::NodeId(id)).position();
  if (!world().MayLose(position)) co_return;
  if (SEEDED_BUG(kWipedMemberVotes)) {
    world().Replace(position);
    co_return;
  }
  world().Retire(position);
  co_await Remove(session, id);
  if (loading()) co_await Add(session, session.random().OneIn(2));
}

Member* Membership::AnyOf(Random& random, bool learners) {
  std::vector<Member*> all;
  for (Member& member : members_) {
    if (member.islearner() == learners) all.push_back(&member);
  }
  return all.empty() ? nullptr : all[random.Below(all.size())];
}

size_t Membership::Count(bool learners) const {
  return static_cast<size_t>(
      std::count_if(members_.begin(), members_.end(),
                    [learners](const Member& member) { return member.islearner() == learners; }));
}

bool Membership::IsGone(uint64_t id) {
  const sim::Member* const member = world().FindMember(raft::NodeId(id));
  return member != nullptr && member->gone();
}

// Votes that are due are given soon in a healthy cluster.
Co<void> Membership::FinalReads(Session& session) {
  const Instant end = world().scheduler().Now() + kVotesGivenMax;
  while (true) {
    const auto list = co_await session.MemberList();
    if (list.ok()) {
      members_.assign(list.response.members().begin(), list.response.members().end());
      checker::ReportDraft draft("membership", "changes");
      CheckConfiguration(draft);
      if (!draft.failed() || world().scheduler().Now() >= end) co_return;
    }
    co_await session.Sleep(Milliseconds(200));
  }
}

void Membership::CheckAnswers(checker::ReportDraft& draft) const {
  const auto listed = [this](uint64_t id) {
    return std::any_of(members_.begin(), members_.end(),
                       [id](const Member& member) { return member.id() == id; });
  };
  for (const auto& [url, asked] : additions_) {
    const auto holds = [&url = url](const Member& member) {
      return std::find(member.peerurls().begin(), member.peerurls().end(), url) !=
             member.peerurls().end();
    };
    const bool there = std::any_of(members_.begin(), members_.end(), holds);
    if (asked.refused && there) {
      draft.Fail("refused-addition", fmt::format("{} is a member, but was refused", url));
    }
    if (!asked.ok) continue;
    const uint64_t id = ids_.at(url);
    const auto removal = removals_.find(id);
    const bool may_be_gone =
        removal != removals_.end() && (removal->second.ok || removal->second.maybe);
    if (!listed(id) && !may_be_gone) {
      draft.Fail("lost-member", fmt::format("{:x} was added and is no member", id));
    }
  }
  for (const auto& [id, asked] : removals_) {
    if (asked.ok && listed(id)) {
      draft.Fail("removed-member", fmt::format("{:x} was removed and is a member", id));
    }
    if (asked.refused && !asked.ok && !asked.maybe && !listed(id)) {
      draft.Fail("refused-removal", fmt::format("{:x} is no member, but was not removed", id));
    }
  }
  for (const Member& member : members_) {
    const auto promotion = promotions_.find(member.id());
    if (promotion != promotions_.end() && promotion->second.ok && member.islearner()) {
      draft.Fail("promoted-learner",
                 fmt::format("{:x} was promoted and is a learner", member.id()));
    }
  }
}

// A member is listed with the URL that it was given last, as far as the answers tell.
void Membership::CheckUrls(checker::ReportDraft& draft) const {
  for (const Member& member : members_) {
    const auto found = updates_.find(member.id());
    if (found == updates_.end()) continue;
    const std::vector<UrlUpdate>& updates = found->second;
    const std::string listed = member.peerurls().empty() ? "none" : member.peerurls(0);
    const auto update =
        std::find_if(updates.begin(), updates.end(),
                     [&listed](const UrlUpdate& given) { return given.url == listed; });
    if (update != updates.end() && update->outcome == Outcome::kFail) {
      draft.Fail("refused-update",
                 fmt::format("{:x} has {}, but that was refused", member.id(), listed));
    }
    // One whose outcome is unknown may have been made at any time since.
    const bool maybe = update != updates.end() && update->outcome == Outcome::kInfo;
    const bool replaced = std::any_of(updates.begin(), updates.end(), [&](const UrlUpdate& other) {
      return other.outcome == Outcome::kOk &&
             (update == updates.end() || other.called_ns > update->returned_ns);
    });
    if (replaced && !maybe) {
      draft.Fail("lost-update",
                 fmt::format("{:x} has {}, which was replaced", member.id(), listed));
    }
  }
}

// The member list is the configuration. Only who cannot catch up, for want of a machine, may be
// without the vote that is due.
void Membership::CheckConfiguration(checker::ReportDraft& draft) {
  const raft::Configuration& configuration = world().configuration();
  if (configuration.joint() || configuration.Members().size() != members_.size()) {
    draft.Fail("another-configuration", fmt::format("raft goes by {} members, the list has {}{}",
                                                    configuration.Members().size(), members_.size(),
                                                    configuration.joint() ? ", and is joint" : ""));
  }
  for (const Member& member : members_) {
    const raft::NodeId id(member.id());
    const sim::Member* const machine = world().FindMember(id);
    const bool can_catch_up = machine != nullptr && machine->running();
    const bool wanted = !member.islearner();
    // A learner that is promoted by itself may have been since the list was read.
    const bool too_much = !wanted && configuration.IsVoter(id) &&
                          !world().options().member.membership.promote_learners;
    if (!configuration.Contains(id) || too_much) {
      draft.Fail("another-configuration", fmt::format("{:x} is listed as {}, which raft does not "
                                                      "know",
                                                      member.id(), wanted ? "voter" : "learner"));
    } else if (wanted && can_catch_up && !configuration.IsVoter(id)) {
      draft.Fail("no-vote", fmt::format("{:x} never gets its vote", member.id()));
    }
  }
}

std::vector<checker::Report> Membership::Check() {
  checker::ReportDraft draft("membership", "changes");
  CheckAnswers(draft);
  CheckUrls(draft);
  CheckConfiguration(draft);
  return {std::move(draft).Finish(additions_.size() + removals_.size() + promotions_.size() +
                                  updates_.size())};
}

}  // namespace

std::unique_ptr<Workload> MakeMembership(World* world, History* history, Random random) {
  return std::make_unique<Membership>(world, history, random);
}

}  // namespace conclave::sim
