// How a member without data learns who it is, from members that are played by the test: what it
// believes of them, and that it gives up.
#include "server/join.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "raft/base/manual_executor.h"
#include "raft/base/posix_clock.h"
#include "server/config/command_line.h"
#include "server/peer/peer_network.h"
#include "server/proto/peer.pb.h"

namespace conclave::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kOwnUrl[] = "http://127.0.0.1:1";
constexpr uint64_t kCluster = 0xc1;

// A member of the cluster on the joining member's own loop, which says what it is told to say.
class Teller {
 public:
  Teller(EventLoop* loop, Executor* background, std::string url, uint64_t cluster_id)
      : url_(std::move(url)) {
    PeerNetworkOptions options;
    options.cluster_id = cluster_id;
    options.id = raft::NodeId(11);
    options.listen_urls = {url_};
    auto network = PeerNetwork::Start(loop, background, std::move(options));
    EXPECT_TRUE(network.ok()) << network.status();
    network_ = *std::move(network);
    network_->SetHandler(PeerMethod::kMembers, [this](std::string_view, PeerCalls::Answer answer) {
      ++asked_;
      says_.set_up_to_date(asked_ >= up_to_date_from_);
      answer(says_.SerializeAsString());
    });
    says_.set_cluster_id(cluster_id);
    Knows(11, "m1", url_);
  }
  peerpb::MembersResponse& says() { return says_; }
  int asked() const { return asked_; }

  // From this question on, counted from 1, it knows a leader.
  void BecomesUpToDate(int question) { up_to_date_from_ = question; }
  // This member is in its list, too.
  void Knows(uint64_t id, const std::string& name, const std::string& url) {
    etcdserverpb::Member* member = says_.add_members();
    member->set_id(id);
    member->set_name(name);
    member->add_peerurls(url);
  }

 private:
  const std::string url_;
  std::unique_ptr<PeerNetwork> network_;
  peerpb::MembersResponse says_;
  int asked_ = 0;
  int up_to_date_from_ = 1'000'000;
};

class JoinTest : public ::testing::Test {
 protected:
  JoinTest() {
    const std::string test = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    url_ = "unix://" + ::testing::TempDir() + "join_" + test + ".sock";
  }

  // Of member m9 that starts a cluster with m1, or joins it.
  ServerConfig Config(const std::string& state) const {
    absl::StatusOr<ParseOutcome> outcome =
        ParseCommandLine({"--name=m9", "--data-dir=/d", "--initial-cluster-state=" + state,
                          std::string("--initial-advertise-peer-urls=") + kOwnUrl,
                          std::string("--initial-cluster=m9=") + kOwnUrl + ",m1=" + url_},
                         {}, nullptr);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return outcome->config;
  }
  void StartTeller(uint64_t cluster_id) {
    teller_ = std::make_unique<Teller>(&loop_, &background_, url_, cluster_id);
  }

  absl::StatusOr<Identity> Join(const ServerConfig& config) {
    return IdentityOfNewMember(config, &loop_, options_);
  }
  std::string ErrorOf(const ServerConfig& config) {
    const absl::Status status = Join(config).status();
    EXPECT_FALSE(status.ok());
    return std::string(status.message());
  }

  PosixClock clock_;
  EventLoop loop_{&clock_};
  ManualExecutor background_;
  std::string url_;
  JoinOptions options_{.patience_of_new = Milliseconds(300),
                       .patience_of_joining = Milliseconds(1000),
                       .ask_again = Milliseconds(50)};
  std::unique_ptr<Teller> teller_;
};

TEST_F(JoinTest, AMemberJoinsByAnAnswerThatIsUpToDate) {
  StartTeller(kCluster);
  teller_->Knows(9, "", kOwnUrl);
  teller_->BecomesUpToDate(3);
  const absl::StatusOr<Identity> identity = Join(Config("existing"));
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(identity->member_id, raft::NodeId(9));
  EXPECT_EQ(identity->cluster_id, kCluster);
  EXPECT_EQ(teller_->asked(), 3);
}

// To a member that lags, the id may be new, or the URLs those of the one that was there before.
TEST_F(JoinTest, NobodyJoinsByWhatMayBeOutOfDate) {
  StartTeller(kCluster);
  teller_->Knows(9, "", kOwnUrl);
  EXPECT_THAT(
      ErrorOf(Config("existing")),
      AllOf(HasSubstr("--initial-cluster: expected a member that answers and knows a leader"),
            HasSubstr("one answered that knows no leader")));
  teller_->says().mutable_members(1)->set_name("m9");
  EXPECT_THAT(ErrorOf(Config("existing")), HasSubstr("knows no leader"));
  teller_->BecomesUpToDate(0);
  EXPECT_THAT(ErrorOf(Config("existing")), HasSubstr("m9 (9) at http://127.0.0.1:1 has run"));
}

TEST_F(JoinTest, WhoJoinsSaysThatNobodyAnswers) {
  EXPECT_THAT(ErrorOf(Config("existing")),
              AllOf(HasSubstr("--initial-cluster: expected a member that answers"),
                    HasSubstr("cannot connect to " + url_)));
}

TEST_F(JoinTest, AClusterStartsBeforeItHasALeader) {
  EXPECT_TRUE(Join(Config("new")).ok()) << "nobody is there yet";
  StartTeller(InitialIdentity(Config("new"))->cluster_id);
  const absl::StatusOr<Identity> identity = Join(Config("new"));
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(identity->members.size(), 2u);
  EXPECT_EQ(teller_->asked(), 1);
}

// One of them may have lost its data, and the one that knows it may be down.
TEST_F(JoinTest, AClusterThatHasRunStartsNobodyWithoutALeader) {
  const ServerConfig config = Config("new");
  const Identity identity = *InitialIdentity(config);
  StartTeller(identity.cluster_id);
  teller_->Knows(identity.member_id.value(), "", kOwnUrl);
  teller_->says().set_has_log(true);
  EXPECT_THAT(ErrorOf(config), AllOf(HasSubstr("--data-dir: /d is empty, but the cluster has run"),
                                     HasSubstr("expected a member that knows a leader")));
  teller_->BecomesUpToDate(teller_->asked() + 3);
  EXPECT_TRUE(Join(config).ok());

  // It was removed while it was away.
  teller_->says().mutable_members()->RemoveLast();
  EXPECT_THAT(ErrorOf(config), HasSubstr("was removed from the cluster for good"));
}

// That stays true however old the answer is.
TEST_F(JoinTest, WhoHasRunIsRefusedByWhoeverKnowsIt) {
  const ServerConfig config = Config("new");
  const Identity identity = *InitialIdentity(config);
  StartTeller(identity.cluster_id);
  teller_->Knows(identity.member_id.value(), "m9", kOwnUrl);
  EXPECT_THAT(ErrorOf(config), HasSubstr("has run before"));
  EXPECT_EQ(teller_->asked(), 1);
}

TEST_F(JoinTest, ItStopsWhenToldTo) {
  options_.patience_of_joining = Seconds(60);
  bool stop = false;
  options_.stop_wanted = [&stop] { return stop; };
  loop_.RunTurn(Duration::zero());
  const Instant began = loop_.Now();
  loop_.RunAt(began + Milliseconds(100), [&stop] { stop = true; });
  EXPECT_TRUE(absl::IsCancelled(Join(Config("existing")).status()));
  EXPECT_LT(loop_.Now() - began, Seconds(10));
}

}  // namespace
}  // namespace conclave::server
