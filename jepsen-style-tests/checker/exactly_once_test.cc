// Each damage to a good history of writes under request ids must be found and called by its name.
#include "jepsen-style-tests/checker/exactly_once.h"

#include <functional>

#include "gtest/gtest.h"

namespace conclave::checker {
namespace {

KvEvent PutOf(std::string key, std::string value) {
  return {.revision = 0, .sub = 0, .key = std::move(key), .value = std::move(value)};
}

// Revisions 2, 3 and 4 put what writes 0, 1 and 2 ask for; write 3 was refused, and of write 2
// nobody knows.
struct GoodHistory {
  std::vector<std::vector<KvEvent>> revisions = {
      {PutOf("a", "1")}, {PutOf("a", "2")}, {PutOf("b", "3"), PutOf("c", "9")}};
  std::vector<OnceWrite> writes = {
      {.id = 1, .key = "a", .value = "1", .attempts = 3, .revision = 2, .response = "r2"},
      {.id = 2, .key = "a", .value = "2", .attempts = 1, .revision = 3, .response = "r3"},
      {.id = 3, .key = "b", .value = "3", .outcome = Outcome::kInfo},
      {.id = 4, .key = "b", .value = "4", .outcome = Outcome::kFail}};

  GoodHistory() {
    writes[0].repeated = {
        {.response = "r2"},
        {.outcome = Outcome::kInfo},
        {.same = false, .outcome = Outcome::kFail, .refused_as_other = true},
    };
  }

  Report Check(uint64_t ok_writes_min = 2) const {
    EventLog log;
    int64_t revision = 1;
    for (const std::vector<KvEvent>& events : revisions) {
      ++revision;
      log.Add(revision, events, revision);
    }
    return CheckExactlyOnce(writes, log, ok_writes_min);
  }
};

TEST(ExactlyOnceTest, GoodHistoriesPass) {
  EXPECT_TRUE(GoodHistory().Check().passed());
  GoodHistory unknown_never_done;
  unknown_never_done.revisions[2] = {PutOf("c", "9")};
  EXPECT_TRUE(unknown_never_done.Check().passed());
}

TEST(ExactlyOnceTest, TooLittleIsInvalid) {
  EXPECT_EQ(GoodHistory().Check(3).verdict, Verdict::kInvalid);
}

struct Damage {
  std::string anomaly;
  std::function<void(GoodHistory&)> apply;
};

TEST(ExactlyOnceTest, EveryDamageIsFound) {
  const std::vector<Damage> damages = {
      {"applied-twice", [](GoodHistory& h) { h.revisions.push_back({PutOf("a", "1")}); }},
      {"applied-twice", [](GoodHistory& h) { h.revisions.push_back({PutOf("b", "3")}); }},
      {"lost", [](GoodHistory& h) { h.revisions[0] = {PutOf("a", "7")}; }},
      {"wrong-revision", [](GoodHistory& h) { h.writes[1].revision = 2; }},
      {"refused-yet-applied", [](GoodHistory& h) { h.revisions.push_back({PutOf("b", "4")}); }},
      {"other-answer", [](GoodHistory& h) { h.writes[0].repeated[0].response = "r4"; }},
      {"other-answer",
       [](GoodHistory& h) {
         h.writes[0].repeated[0] = {.outcome = Outcome::kFail, .refused_as_other = true};
       }},
      {"reused-id-answered",
       [](GoodHistory& h) { h.writes[0].repeated[2] = {.same = false, .response = "r2"}; }},
  };
  for (const Damage& damage : damages) {
    GoodHistory history;
    damage.apply(history);
    const Report report = history.Check();
    EXPECT_EQ(report.verdict, Verdict::kFail) << damage.anomaly;
    EXPECT_EQ(report.anomaly, damage.anomaly);
  }
}

}  // namespace
}  // namespace conclave::checker
