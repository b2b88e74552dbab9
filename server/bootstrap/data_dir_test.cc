#include "server/bootstrap/data_dir.h"
#include "raft/base/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/base/memory_file_system.h"
#include "server/config/command_line.h"

namespace conclave::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kThree[] =
    "m1=http://127.0.0.1:2380,m2=http://127.0.0.1:22380,m3=http://127.0.0.1:32380";

class DataDirTest : public ::testing::Test {
 protected:
  static ServerConfig Config(std::vector<std::string> arguments) {
    arguments.push_back("--data-dir=/d");
    absl::StatusOr<ParseOutcome> outcome = ParseCommandLine(arguments, {}, nullptr);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return outcome->config;
  }
  // One of the three members of the usual cluster.
  static ServerConfig Member(const std::string& name, std::vector<std::string> more = {}) {
    const std::string port = name == "m1" ? "2380" : name == "m2" ? "22380" : "32380";
    std::vector<std::string> arguments = {"--name",
                                          name,
                                          "--initial-cluster",
                                          kThree,
                                          "--initial-advertise-peer-urls",
                                          "http://127.0.0.1:" + port};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Config(arguments);
  }

  absl::StatusOr<std::unique_ptr<DataDir>> Open(const ServerConfig& config) {
    return DataDir::Open(fs_, config, [&config] { return InitialIdentity(config); });
  }
  std::unique_ptr<DataDir> MustOpen(const ServerConfig& config) {
    absl::StatusOr<std::unique_ptr<DataDir>> opened = Open(config);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? *std::move(opened) : nullptr;
  }
  // Makes a complete directory with a log and a store in it.
  void Make(const ServerConfig& config) {
    const std::unique_ptr<DataDir> dir = MustOpen(config);
    ASSERT_TRUE(dir->is_new());
    Fill(*dir);
    ASSERT_TRUE(dir->Commit().ok());
  }
  void Fill(const DataDir& dir) {
    ASSERT_TRUE(fs_.CreateDirectory(dir.wal()).ok());
    ASSERT_TRUE(ReplaceFile(fs_, dir.wal() + "/1", "log").ok());
    ASSERT_TRUE(ReplaceFile(fs_, dir.db() + "/1", "store").ok());
  }
  std::string Error(const ServerConfig& config) {
    const absl::Status status = Open(config).status();
    EXPECT_FALSE(status.ok());
    const std::string text(status.message());
    EXPECT_THAT(text, Not(HasSubstr("\n")));
    return text;
  }

  MemoryFileSystem fs_;
};

TEST_F(DataDirTest, ANewOneIsNewUntilItIsCommitted) {
  const std::unique_ptr<DataDir> dir = MustOpen(Member("m2"));
  EXPECT_TRUE(dir->is_new());
  EXPECT_EQ(dir->wal(), "/d/member/wal");
  EXPECT_EQ(dir->db(), "/d/member/db");
  EXPECT_EQ(dir->identity().name, "m2");
  EXPECT_TRUE(dir->Commit().ok());
  EXPECT_FALSE(dir->is_new());
}

TEST_F(DataDirTest, ARestartWithTheSameFlagsFindsItsData) {
  Make(Member("m1"));
  fs_.CrashAndLose();
  const std::unique_ptr<DataDir> dir = MustOpen(Member("m1"));
  EXPECT_FALSE(dir->is_new());
  EXPECT_EQ(dir->identity(), *InitialIdentity(Member("m1")));
  EXPECT_EQ(fs_.Contents("/d/member/wal/1"), "log");
}

TEST_F(DataDirTest, InitialSettingsAreIgnoredWhenThereIsData) {
  Make(Member("m1"));
  const std::unique_ptr<DataDir> dir = MustOpen(
      Config({"--name=m1", "--initial-cluster-state=existing", "--initial-cluster-token=another"}));
  EXPECT_EQ(dir->identity(), *InitialIdentity(Member("m1")));
}

TEST_F(DataDirTest, TheDirectoryOfAnotherMemberIsRefusedWithBothIdentities) {
  Make(Member("m1"));
  const std::string m1 = HexId(InitialIdentity(Member("m1"))->member_id.value());
  const std::string m2 = HexId(InitialIdentity(Member("m2"))->member_id.value());
  EXPECT_THAT(Error(Member("m2")), AllOf(HasSubstr("--data-dir: /d "), HasSubstr(m1 + " (m1)"),
                                         HasSubstr(m2 + " (m2)")));
}

// Members are added, removed and moved, and the flags of a restart may say so.
TEST_F(DataDirTest, ARestartMayNameAnotherCluster) {
  Make(Member("m1"));
  for (const char* flag :
       {"--initial-cluster-token=another", "--initial-cluster=m1=http://127.0.0.1:2380"}) {
    const std::unique_ptr<DataDir> dir = MustOpen(Member("m1", {flag}));
    EXPECT_EQ(dir->identity(), *InitialIdentity(Member("m1")));
    ASSERT_EQ(dir->warnings().size(), 1u);
    EXPECT_THAT(dir->warnings()[0], HasSubstr("--initial-cluster: ignored"));
  }
}

TEST_F(DataDirTest, AMemberThatJoinedIsFoundAgain) {
  const ServerConfig config = Member("m2", {"--initial-cluster-state=existing"});
  Identity joining = *InitialIdentity(config);
  joining.members_at_join = joining.members;
  joining.member_id = raft::NodeId(0x42);
  {
    auto dir = DataDir::Open(fs_, config, [&] { return absl::StatusOr<Identity>(joining); });
    ASSERT_TRUE(dir.ok() && (*dir)->Commit().ok());
  }
  EXPECT_EQ(MustOpen(config)->identity(), joining);
  EXPECT_EQ(MustOpen(Member("m2"))->identity(), joining) << "whatever the flags say now";
}

TEST_F(DataDirTest, AMemberMayBeRenamed) {
  Make(Config({"--name=old"}));
  const std::unique_ptr<DataDir> dir = MustOpen(Config({"--name=new"}));
  EXPECT_EQ(dir->identity().name, "new");
  ASSERT_EQ(dir->warnings().size(), 1u);
  EXPECT_THAT(dir->warnings()[0], HasSubstr("old"));
}

TEST_F(DataDirTest, TwoProcessesCannotShareIt) {
  const std::unique_ptr<DataDir> first = MustOpen(Member("m1"));
  EXPECT_THAT(Error(Member("m1")), HasSubstr("--data-dir: /d is in use by another process"));
}

TEST_F(DataDirTest, AnInterruptedCreationIsStartedOver) {
  Fill(*MustOpen(Member("m1")));
  fs_.KillProcess();
  const std::unique_ptr<DataDir> dir = MustOpen(Member("m2"));
  EXPECT_TRUE(dir->is_new());
  EXPECT_EQ(dir->identity().name, "m2");
  EXPECT_FALSE(fs_.Exists("/d/member/wal/1"));
  EXPECT_FALSE(fs_.Exists("/d/member/db/1"));
}

// Fails every operation of one creation in turn, crashes there, and starts over: it must always
// come to a whole directory, never to a refusal.
TEST_F(DataDirTest, ACrashAtAnyPointOfTheCreationIsStartedOver) {
  for (int survived = 0;; ++survived) {
    ASSERT_TRUE(fs_.RemoveTree("/d").ok());
    int left = survived;
    fs_.SetFault([&](MemoryFileSystem::Operation, const std::string&) {
      return left-- > 0 ? absl::OkStatus() : absl::UnavailableError("no power");
    });
    bool whole = false;
    if (absl::StatusOr<std::unique_ptr<DataDir>> dir = Open(Member("m1")); dir.ok()) {
      whole = (*dir)->Commit().ok();
    }
    fs_.SetFault(nullptr);
    survived % 2 == 0 ? fs_.CrashAndLose() : fs_.KillProcess();
    const std::unique_ptr<DataDir> again = MustOpen(Member("m1"));
    ASSERT_NE(again, nullptr) << "after " << survived << " operations";
    EXPECT_EQ(again->identity(), *InitialIdentity(Member("m1")));
    if (whole) {
      EXPECT_FALSE(again->is_new());
      EXPECT_GT(survived, 5);
      return;
    }
  }
}

TEST_F(DataDirTest, FilesThatNobodyKnowsAreNotTouched) {
  ASSERT_TRUE(fs_.CreateDirectory("/d/member/wal").ok());
  ASSERT_TRUE(ReplaceFile(fs_, "/d/member/wal/1", "precious").ok());
  EXPECT_THAT(Error(Member("m1")), HasSubstr("--data-dir: /d/member has files but no identity"));
  EXPECT_EQ(fs_.Contents("/d/member/wal/1"), "precious");
}

TEST_F(DataDirTest, DataOfEtcdIsRefusedAndNotTouched) {
  ASSERT_TRUE(fs_.CreateDirectory("/d/member/snap").ok());
  ASSERT_TRUE(ReplaceFile(fs_, "/d/member/snap/db", "bbolt").ok());
  EXPECT_THAT(Error(Member("m1")), HasSubstr("--data-dir: /d holds data of etcd"));
  EXPECT_EQ(fs_.Contents("/d/member/snap/db"), "bbolt");
}

TEST_F(DataDirTest, ADamagedIdentityIsReportedWithItsPath) {
  Make(Member("m1"));
  fs_.FlipBits("/d/member/identity.json", 0, 0xff);
  EXPECT_THAT(Error(Member("m1")), HasSubstr("--data-dir: /d/member/identity.json"));
}

TEST_F(DataDirTest, ANewMemberMustBeInItsCluster) {
  EXPECT_THAT(Error(Member("m4")), HasSubstr("--initial-cluster: "));
  EXPECT_THAT(Error(Member("m1", {"--initial-advertise-peer-urls=http://127.0.0.1:1"})),
              HasSubstr("--initial-advertise-peer-urls"));
  EXPECT_FALSE(fs_.Exists("m4.etcd")) << "a mistyped setting leaves nothing behind";
  EXPECT_FALSE(fs_.Exists("m1.etcd"));
}

TEST_F(DataDirTest, AMemberThatMustNotStartLeavesNothingBehind) {
  const absl::Status status = DataDir::Open(fs_, Member("m1"), []() -> absl::StatusOr<Identity> {
                                return absl::FailedPreconditionError("it has run before");
                              }).status();
  EXPECT_EQ(status.message(), "it has run before");
  EXPECT_FALSE(fs_.Exists("/d"));
}

TEST_F(DataDirTest, AWalDirectoryApartMustBeEmptyAtFirst) {
  const ServerConfig config = Member("m1", {"--wal-dir=/w"});
  ASSERT_TRUE(fs_.CreateDirectory("/w").ok());
  ASSERT_TRUE(ReplaceFile(fs_, "/w/x", "precious").ok());
  EXPECT_THAT(Error(config), HasSubstr("--wal-dir: /w is not empty"));
  ASSERT_TRUE(fs_.Remove("/w/x").ok());
  {
    const std::unique_ptr<DataDir> dir = MustOpen(config);
    EXPECT_EQ(dir->wal(), "/w");
    Fill(*dir);  // and is interrupted
  }
  const std::unique_ptr<DataDir> dir = MustOpen(config);
  EXPECT_TRUE(dir->is_new());
  EXPECT_FALSE(fs_.Exists("/w/1"));
}

}  // namespace
}  // namespace conclave::server
