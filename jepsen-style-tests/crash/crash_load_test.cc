#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "jepsen-style-tests/crash/journal.h"
#include "jepsen-style-tests/crash/write_check.h"

namespace conclave::crash {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

std::string PathOf(const char* name) { return testing::TempDir() + "/" + name; }

void WriteFile(const std::string& path, const char* text) { std::ofstream(path) << text; }

mvccpb::KeyValue PairOf(std::uint64_t number, std::int64_t revision) {
  mvccpb::KeyValue pair;
  pair.set_key(kShape.KeyOf(number));
  pair.set_value(kShape.ValueOf(number));
  pair.set_create_revision(revision);
  pair.set_mod_revision(revision);
  pair.set_version(1);
  return pair;
}

TEST(JournalTest, ReadsWhatWasWritten) {
  const std::string path = PathOf("crash-journal");
  {
    auto writer = JournalWriter::Create(path);
    ASSERT_TRUE(writer.ok());
    const auto now = std::chrono::steady_clock::now();
    writer->Acknowledge(5, 10, now, now);
    writer->Acknowledge(3, 11, now, now);
  }
  const auto journal = ReadJournal(path);
  ASSERT_TRUE(journal.ok()) << journal.status();
  EXPECT_THAT(*journal, UnorderedElementsAre(Pair(5, 10), Pair(3, 11)));
}

TEST(JournalTest, AnUnfinishedLineIsNotPartOfIt) {
  const std::string path = PathOf("crash-journal-cut");
  WriteFile(path, "1 2 3\n4 5");
  EXPECT_THAT(*ReadJournal(path), UnorderedElementsAre(Pair(1, 2)));
}

TEST(JournalTest, OneRevisionForTwoWritesIsALie) {
  const std::string path = PathOf("crash-journal-lie");
  WriteFile(path, "1 7 3\n2 7 4\n");
  EXPECT_EQ(ReadJournal(path).status().code(), absl::StatusCode::kDataLoss);
  WriteFile(path, "1 7 3\n1 8 4\n");
  EXPECT_EQ(ReadJournal(path).status().code(), absl::StatusCode::kDataLoss);
}

TEST(WriteCheckTest, AllIsWell) {
  const std::unordered_map<std::uint64_t, std::int64_t> acknowledged{{1, 5}, {2, 6}};
  WriteCheck check(acknowledged);
  check.Add(PairOf(1, 5));
  check.Add(PairOf(2, 6));
  check.Add(PairOf(3, 7));  // its answer was lost
  EXPECT_THAT(check.Violations(), IsEmpty());
  EXPECT_EQ(check.violations(), 0u);
  EXPECT_EQ(check.unacknowledged(), 1u);
}

TEST(WriteCheckTest, ALostWrite) {
  const std::unordered_map<std::uint64_t, std::int64_t> acknowledged{{1, 5}, {2, 6}};
  WriteCheck check(acknowledged);
  check.Add(PairOf(2, 6));
  EXPECT_EQ(check.lost(), 1u);
  EXPECT_EQ(check.violations(), 1u);
  EXPECT_THAT(check.Violations(), ElementsAre("1 acknowledged writes are lost",
                                              "lost: crash/000000000001 of revision 5"));
}

TEST(WriteCheckTest, AWriteAppliedTwice) {
  const std::unordered_map<std::uint64_t, std::int64_t> acknowledged{{1, 5}};
  WriteCheck check(acknowledged);
  mvccpb::KeyValue pair = PairOf(1, 5);
  pair.set_version(2);
  check.Add(pair);
  EXPECT_THAT(check.Violations(), ElementsAre(HasSubstr("applied 2 times")));
}

TEST(WriteCheckTest, AnotherRevisionOrValue) {
  const std::unordered_map<std::uint64_t, std::int64_t> acknowledged{{1, 5}};
  WriteCheck check(acknowledged);
  mvccpb::KeyValue pair = PairOf(1, 6);
  pair.set_value("x");
  check.Add(pair);
  EXPECT_THAT(check.Violations(), ElementsAre(HasSubstr("a value that nobody wrote"),
                                              HasSubstr("revision 5 and has 6")));
}

TEST(WriteCheckTest, AStrangersKeyAndAKeyListedTwice) {
  const std::unordered_map<std::uint64_t, std::int64_t> acknowledged;
  WriteCheck check(acknowledged);
  mvccpb::KeyValue pair = PairOf(1, 5);
  check.Add(pair);
  check.Add(pair);
  pair.set_key("crash/00000000000x");
  check.Add(pair);
  EXPECT_THAT(check.Violations(),
              ElementsAre(HasSubstr("listed twice"), HasSubstr("nobody wrote")));
}

}  // namespace
}  // namespace conclave::crash
