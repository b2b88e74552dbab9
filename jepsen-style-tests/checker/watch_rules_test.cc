// Corners of the watch rules that random histories do not reach.
#include "jepsen-style-tests/checker/watch_rules.h"

#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace conclave::checker {
namespace {

using etcdserverpb::WatchResponse;

// Revisions 2 to 9 put "a"; one watcher of it.
class WatchRulesTest : public testing::Test {
 protected:
  WatchRulesTest() {
    for (int64_t revision = 2; revision <= 9; ++revision) {
      KvEvent event;
      event.key = "a";
      event.value = std::to_string(revision);
      event.create_revision = 2;
      event.version = revision - 1;
      log_.Add(revision, {event}, revision);
    }
    watcher_.attempts.emplace_back();
    attempt().request.set_key("a");
  }

  WatchAttempt& attempt() { return watcher_.attempts.back(); }

  static WatchResponse At(int64_t revision) {
    WatchResponse response;
    response.mutable_header()->set_revision(revision);
    return response;
  }
  void Created(int64_t revision) {
    WatchResponse created = At(revision);
    created.set_created(true);
    Receive(created);
  }
  WatchResponse Events(int64_t first, int64_t last) const {
    WatchResponse response = At(last);
    for (int64_t revision = first; revision <= last; ++revision) {
      const KvEvent& logged = log_.At(revision)[0];
      mvccpb::KeyValue& kv = *response.add_events()->mutable_kv();
      kv.set_key(logged.key);
      kv.set_value(logged.value);
      kv.set_create_revision(logged.create_revision);
      kv.set_mod_revision(revision);
      kv.set_version(logged.version);
    }
    return response;
  }
  void Receive(WatchResponse response) { attempt().responses.push_back({0, std::move(response)}); }

  Report Check(WatchRulesOptions options = {}) const {
    options.events_min = 0;
    return CheckWatches({watcher_}, log_, options);
  }

  EventLog log_;
  WatcherHistory watcher_;
};

TEST_F(WatchRulesTest, AFragmentWithoutItsEndIsNotSeen) {
  Created(1);
  Receive(Events(2, 3));
  WatchResponse part = Events(4, 5);
  part.set_fragment(true);
  Receive(part);
  EXPECT_EQ(NextRevision(attempt()), 4);
  EXPECT_EQ(Check().verdict, Verdict::kPass) << Check().explanation;
}

TEST_F(WatchRulesTest, ProgressOfTheStreamFromBeforeTheWatcherIsNotItsOwn) {
  WatchResponse progress = At(8);
  progress.set_watch_id(-1);
  Receive(progress);
  attempt().request.set_start_revision(5);
  Created(8);
  Receive(Events(5, 8));
  EXPECT_EQ(NextRevision(attempt()), 9);
  EXPECT_EQ(Check().verdict, Verdict::kPass) << Check().explanation;
  Receive(progress);
  EXPECT_EQ(Check().verdict, Verdict::kPass) << Check().explanation;
}

TEST_F(WatchRulesTest, AFutureStartWaits) {
  attempt().request.set_start_revision(8);
  Created(3);
  EXPECT_EQ(NextRevision(attempt()), 8);
  Receive(Events(8, 8));
  EXPECT_EQ(NextRevision(attempt()), 9);
  EXPECT_EQ(Check().verdict, Verdict::kPass) << Check().explanation;
}

TEST_F(WatchRulesTest, ANeverAnsweredAttemptIsResumedWhereItStarted) {
  watcher_.attempts.push_back(attempt());
  Created(4);
  EXPECT_EQ(Check().verdict, Verdict::kPass) << Check().explanation;
  attempt().request.set_start_revision(3);
  EXPECT_EQ(Check().anomaly, "watch-resume");
}

TEST_F(WatchRulesTest, ACompactionExcusesMissingPrevKvOnly) {
  attempt().request.set_prev_kv(true);
  Created(3);
  Receive(Events(4, 4));
  EXPECT_EQ(Check().verdict, Verdict::kPass);
  EXPECT_EQ(Check({.compact_revisions = std::set<int64_t>{4}}).verdict, Verdict::kPass);
  EXPECT_EQ(Check({.compact_revisions = std::set<int64_t>{3}}).anomaly, "watch-wrong-prev-kv");
  Receive(Events(6, 6));
  EXPECT_EQ(Check().anomaly, "watch-gap");
}

TEST_F(WatchRulesTest, ACompactionCancelsOnlyWhoNeedsWhatIsGone) {
  attempt().request.set_start_revision(2);
  Created(9);
  Receive(Events(2, 4));
  WatchResponse canceled;
  canceled.set_canceled(true);
  canceled.set_compact_revision(6);
  Receive(canceled);
  EXPECT_EQ(NextRevision(attempt()), 6);
  EXPECT_EQ(Check().verdict, Verdict::kPass) << Check().explanation;
  attempt().responses.back().response.set_compact_revision(5);
  EXPECT_EQ(Check().anomaly, "watch-compaction");
}

TEST_F(WatchRulesTest, AtRestAllMustHaveCome) {
  Created(3);
  Receive(Events(4, 8));
  watcher_.synced_revision = 8;
  EXPECT_EQ(Check().verdict, Verdict::kPass);
  watcher_.synced_revision = 9;
  EXPECT_EQ(Check().anomaly, "watch-gap");
}

TEST_F(WatchRulesTest, AProgressBelowAnEventBeforeItIsWrong) {
  Created(3);
  Receive(Events(4, 8));
  Receive(At(7));
  EXPECT_EQ(Check().anomaly, "watch-header");
}

}  // namespace
}  // namespace conclave::checker
