// The commands that change membership, with etcd's rules and words (reference: behaviour sections 5
// and 9.2), and against an oracle that knows nothing of the code.
#include "kvstore/members.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/errors.h"
#include "kvstore/test_store.h"
#include "raft/base/random.h"
#include "raft/base/test_scale.h"
#include "raft/base/text.h"

namespace conclave::kv {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using etcdserverpb::Member;
using etcdserverpb::MemberPromoteRequest;
using etcdserverpb::MemberRemoveRequest;
using etcdserverpb::MemberUpdateRequest;
using Urls = std::vector<std::string>;

Member MemberOf(uint64_t id, const Urls& peer_urls, bool learner = false) {
  Member member;
  member.set_id(id);
  for (const std::string& url : peer_urls) member.add_peerurls(url);
  member.set_islearner(learner);
  return member;
}

template <typename Request>
Request OfId(uint64_t id) {
  Request request;
  request.set_id(id);
  return request;
}

MemberUpdateRequest UpdateOf(uint64_t id, const Urls& peer_urls) {
  auto update = OfId<MemberUpdateRequest>(id);
  for (const std::string& url : peer_urls) update.add_peerurls(url);
  return update;
}

std::string Text(const Member& member) {
  std::string text = std::to_string(member.id()) + " " + member.name() + " [";
  for (const std::string& url : member.peerurls()) text += url + " ";
  text += "] [";
  for (const std::string& url : member.clienturls()) text += url + " ";
  return text + "]" + (member.islearner() ? " learner" : "");
}

template <typename List>
std::vector<std::string> Texts(const List& members) {
  std::vector<std::string> texts;
  for (const Member& member : members) texts.push_back(Text(member));
  return texts;
}

// Of TestStore, member 7 is there from the start, with one peer URL.
class MembersTest : public ::testing::TestWithParam<EngineKind> {
 protected:
  template <typename Request>
  ApplyResult Change(CommandKind kind, const Request& request) {
    return store_.RunConfiguration("c" + std::to_string(++configurations_), kind, request);
  }
  absl::Status Add(const Member& member) { return Change(CommandKind::kMemberAdd, member).status; }
  absl::Status Remove(uint64_t id) {
    return Change(CommandKind::kMemberRemove, OfId<MemberRemoveRequest>(id)).status;
  }
  absl::Status Promote(uint64_t id) {
    return Change(CommandKind::kMemberPromote, OfId<MemberPromoteRequest>(id)).status;
  }
  absl::Status Update(uint64_t id, const Urls& peer_urls) {
    return Change(CommandKind::kMemberUpdate, UpdateOf(id, peer_urls)).status;
  }

  TestStore store_{GetParam()};
  int configurations_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Engines, MembersTest,
                         ::testing::Values(EngineKind::kMemory, EngineKind::kLevelDb), EngineName);

TEST_P(MembersTest, AnAddedMemberHasNoNameBeforeItPublishesOne) {
  Member asked = MemberOf(9, {"http://nine:2380"}, true);
  asked.set_name("nine");
  asked.add_clienturls("http://nine:2379");
  const ApplyResult result = Change(CommandKind::kMemberAdd, asked);
  ASSERT_TRUE(result.status.ok());
  const auto& response = std::get<etcdserverpb::MemberAddResponse>(result.response);
  EXPECT_EQ(response.header().revision(), store_->revision());
  EXPECT_EQ(Text(response.member()), "9  [http://nine:2380 ] [] learner");
  EXPECT_THAT(Texts(response.members()),
              ElementsAre("7  [http://one:2380 ] []", "9  [http://nine:2380 ] [] learner"));
  EXPECT_TRUE(store_.Run(CommandKind::kMemberAttributes, asked).status.ok());
  EXPECT_THAT(Texts(store_->Members()),
              ElementsAre("7  [http://one:2380 ] []",
                          "9 nine [http://nine:2380 ] [http://nine:2379 ] learner"));
  EXPECT_EQ(store_->revision(), 1) << "no change of a key";
}

TEST_P(MembersTest, AddRefusesWhatIsTaken) {
  EXPECT_EQ(Add(MemberOf(7, {"http://new:2380"})), ErrMemberExists());
  EXPECT_EQ(Add(MemberOf(9, {"http://new:2380", "http://one:2380"})), ErrPeerUrlExists());
  EXPECT_THAT(store_->Members(), testing::SizeIs(1));
}

TEST_P(MembersTest, ARemovedIdNeverComesBack) {
  ASSERT_TRUE(Add(MemberOf(9, {"http://nine:2380"})).ok());
  const ApplyResult result = Change(CommandKind::kMemberRemove, OfId<MemberRemoveRequest>(9));
  ASSERT_TRUE(result.status.ok());
  EXPECT_THAT(Texts(std::get<etcdserverpb::MemberRemoveResponse>(result.response).members()),
              ElementsAre("7  [http://one:2380 ] []"));
  EXPECT_EQ(Remove(9), ErrMemberNotFound());
  EXPECT_TRUE(store_->IsRemoved(9));
  store_.Restart();
  EXPECT_TRUE(store_->IsRemoved(9));
  EXPECT_FALSE(store_->IsRemoved(7));
  EXPECT_FALSE(store_->IsRemoved(8));
  EXPECT_EQ(Add(MemberOf(9, {"http://nine:2380"})), ErrMemberNotFound());
  EXPECT_TRUE(Add(MemberOf(10, {"http://nine:2380"})).ok()) << "its URL may";
}

TEST_P(MembersTest, OnlyALearnerIsPromoted) {
  ASSERT_TRUE(Add(MemberOf(9, {"http://nine:2380"}, true)).ok());
  EXPECT_EQ(Promote(7), ErrMemberNotLearner());
  EXPECT_EQ(Promote(8), ErrMemberNotFound());
  const ApplyResult result = Change(CommandKind::kMemberPromote, OfId<MemberPromoteRequest>(9));
  ASSERT_TRUE(result.status.ok());
  EXPECT_THAT(Texts(std::get<etcdserverpb::MemberPromoteResponse>(result.response).members()),
              ElementsAre("7  [http://one:2380 ] []", "9  [http://nine:2380 ] []"));
  EXPECT_EQ(Promote(9), ErrMemberNotLearner());
}

TEST_P(MembersTest, UpdateReplacesThePeerUrlsOnly) {
  ASSERT_TRUE(Add(MemberOf(9, {"http://nine:2380"}, true)).ok());
  Member published = OfId<Member>(9);
  published.set_name("nine");
  ASSERT_TRUE(store_.Run(CommandKind::kMemberAttributes, published).status.ok());
  EXPECT_EQ(Update(8, {"http://new:2380"}), ErrMemberNotFound());
  EXPECT_EQ(Update(9, {"http://one:2380"}), ErrPeerUrlExists());
  const ApplyResult result =
      Change(CommandKind::kMemberUpdate, UpdateOf(9, {"http://new:2380", "http://nine:2380"}));
  ASSERT_TRUE(result.status.ok()) << "its own URL is free to it";
  EXPECT_THAT(Texts(std::get<etcdserverpb::MemberUpdateResponse>(result.response).members()),
              ElementsAre("7  [http://one:2380 ] []",
                          "9 nine [http://new:2380 http://nine:2380 ] [] learner"));
}

TEST_P(MembersTest, NobodyWaitsNobodyIsAnswered) {
  const Bytes command = EncodeCommand({CommandKind::kMemberAdd, 1, 1},
                                      MemberOf(9, {"http://nine:2380"}).SerializeAsString());
  const ApplyResult result = store_->ApplyConfiguration(1, 1, "c", command.view(), false);
  store_->Commit();
  EXPECT_TRUE(result.status.ok());
  EXPECT_EQ(result.response.index(), 0u);
  EXPECT_THAT(store_->Members(), testing::SizeIs(2));
}

TEST_P(MembersTest, MembershipIsPartOfTheHash) {
  std::set<uint32_t> hashes = {store_->Hash()};
  ASSERT_TRUE(Add(MemberOf(9, {"http://nine:2380"}, true)).ok());
  hashes.insert(store_->Hash());
  ASSERT_TRUE(Promote(9).ok());
  hashes.insert(store_->Hash());
  ASSERT_TRUE(Remove(9).ok());
  hashes.insert(store_->Hash());
  EXPECT_EQ(hashes.size(), 4u);
}

// ---- Against an oracle. ----

struct OracleMember {
  std::string name;
  Urls peer_urls;
  Urls client_urls;
  bool learner = false;
};

class Oracle {
 public:
  Oracle() { members_[7] = {.name = "", .peer_urls = {"http://one:2380"}, .client_urls = {}}; }

  std::string Add(uint64_t id, const Urls& urls, bool learner) {
    if (removed_.contains(id)) return "etcdserver: member not found";
    if (members_.contains(id)) return "etcdserver: member ID already exist";
    if (Taken(id, urls)) return "etcdserver: Peer URLs already exists";
    members_[id] = {.name = "", .peer_urls = urls, .client_urls = {}, .learner = learner};
    return "";
  }
  std::string Remove(uint64_t id) {
    if (members_.erase(id) == 0) return "etcdserver: member not found";
    removed_.insert(id);
    return "";
  }
  std::string Promote(uint64_t id) {
    if (!members_.contains(id)) return "etcdserver: member not found";
    if (!members_[id].learner) return "etcdserver: can only promote a learner member";
    members_[id].learner = false;
    return "";
  }
  std::string Update(uint64_t id, const Urls& urls) {
    if (!members_.contains(id)) return "etcdserver: member not found";
    if (Taken(id, urls)) return "etcdserver: Peer URLs already exists";
    members_[id].peer_urls = urls;
    return "";
  }
  std::string Publish(uint64_t id, const std::string& name, const Urls& urls) {
    if (!members_.contains(id)) return "etcdserver: member not found";
    members_[id].name = name;
    members_[id].client_urls = urls;
    return "";
  }

  bool IsRemoved(uint64_t id) const { return removed_.contains(id); }
  std::vector<std::string> Texts() const {
    std::vector<std::string> texts;
    for (const auto& [id, known] : members_) {
      Member member = MemberOf(id, known.peer_urls, known.learner);
      member.set_name(known.name);
      for (const std::string& url : known.client_urls) member.add_clienturls(url);
      texts.push_back(Text(member));
    }
    return texts;
  }

 private:
  bool Taken(uint64_t id, const Urls& urls) const {
    std::set<std::string> taken;
    for (const auto& [other, member] : members_) {
      if (other != id) taken.insert(member.peer_urls.begin(), member.peer_urls.end());
    }
    return std::any_of(urls.begin(), urls.end(),
                       [&](const std::string& url) { return taken.contains(url); });
  }

  std::map<uint64_t, OracleMember> members_;
  std::set<uint64_t> removed_;
};

class MembersModelTest : public MembersTest {
 protected:
  Urls RandomUrls() {
    Urls urls(random_.Between(0, 2));
    for (std::string& url : urls) url = "http://m" + std::to_string(random_.Below(25)) + ":2380";
    return urls;
  }

  template <typename Request>
  void Expect(CommandKind kind, const Request& request, const std::string& expected) {
    const std::string bytes = request.SerializeAsString();
    const absl::Status checked = store_->CheckMemberChange(kind, bytes);
    const ApplyResult result = Change(kind, request);
    EXPECT_EQ(MessageOf(result.status), expected) << request.DebugString();
    EXPECT_EQ(checked, result.status);
    refused_ += !expected.empty();
  }

  void Step() {
    const uint64_t id = random_.Between(1, 60);
    const Urls urls = RandomUrls();
    const bool learner = random_.OneIn(2);
    switch (random_.Below(5)) {
      case 0:
        return Expect(CommandKind::kMemberAdd, MemberOf(id, urls, learner),
                      oracle_.Add(id, urls, learner));
      case 1:
        if (random_.OneIn(2)) return;
        return Expect(CommandKind::kMemberRemove, OfId<MemberRemoveRequest>(id),
                      oracle_.Remove(id));
      case 2:
        return Expect(CommandKind::kMemberPromote, OfId<MemberPromoteRequest>(id),
                      oracle_.Promote(id));
      case 3:
        return Expect(CommandKind::kMemberUpdate, UpdateOf(id, urls), oracle_.Update(id, urls));
      default:
        break;
    }
    Member published = OfId<Member>(id);
    published.set_name("m" + std::to_string(id));
    for (const std::string& url : urls) published.add_clienturls(url);
    const ApplyResult result = store_.Run(CommandKind::kMemberAttributes, published);
    EXPECT_EQ(MessageOf(result.status), oracle_.Publish(id, published.name(), urls));
  }

  Random random_{3};
  Oracle oracle_;
  int refused_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Engines, MembersModelTest,
                         ::testing::Values(EngineKind::kMemory, EngineKind::kLevelDb), EngineName);

TEST_P(MembersModelTest, EveryAnswerAndEveryListIsTheOracles) {
  for (int i = 0; i < Scaled(1500) && !HasFailure(); ++i) {
    Step();
    if (random_.OneIn(100)) store_.Restart();
    ASSERT_EQ(Texts(store_->Members()), oracle_.Texts());
    for (uint64_t id = 1; id <= 60; ++id) {
      ASSERT_EQ(store_->IsRemoved(id), oracle_.IsRemoved(id)) << id;
    }
  }
  EXPECT_GT(refused_, 100);
}

// What a store says of where it stands.
TEST_P(MembersTest, ThePositionIsThatOfTheLastEntry) {
  EXPECT_EQ(store_->position(), LogPosition());
  store_->ApplyNothing(1, 2);
  store_->Commit();
  EXPECT_EQ(store_->position(), (LogPosition{1, 2, ""}));
  store_->ApplyConfiguration(2, 5, "one", {}, false);
  EXPECT_EQ(store_->position(), (LogPosition{2, 5, "one"}));
  store_->Commit();
  store_.Restart();
  EXPECT_EQ(store_->position(), (LogPosition{2, 5, "one"}));
  ASSERT_TRUE(Add(MemberOf(9, {"http://nine:2380"})).ok());
  EXPECT_EQ(store_->position(), (LogPosition{3, TestStore::kTerm, "c1"}));
  EXPECT_EQ(Add(MemberOf(9, {"http://nine:2380"})), ErrMemberExists());
  EXPECT_EQ(store_->position().configuration, "c2") << "in force, whatever became of the command";
  ASSERT_TRUE(store_.Put("a", "1").ok());
  store_.Restart();
  EXPECT_EQ(store_->position(), (LogPosition{5, TestStore::kTerm, "c2"}));
}

}  // namespace
}  // namespace conclave::kv
