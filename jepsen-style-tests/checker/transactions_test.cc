#include "jepsen-style-tests/checker/transactions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>

#include "raft/base/random.h"

namespace conclave::checker {
namespace {

using testing::HasSubstr;
using History = std::vector<AppendTxn>;
using List = std::vector<uint64_t>;

constexpr TransactionOptions kAnySize{.ok_reads_min = 0, .ok_appends_min = 0};

MicroOp Append(std::string key, uint64_t value) {
  return {.kind = MicroOp::Kind::kAppend, .key = std::move(key), .value = value, .observed = {}};
}

MicroOp Read(std::string key, List observed) {
  return {.kind = MicroOp::Kind::kRead,
          .key = std::move(key),
          .value = 0,
          .observed = std::move(observed)};
}

AppendTxn Txn(int64_t called, int64_t returned, std::vector<MicroOp> micro_ops) {
  return {.id = static_cast<uint64_t>(called),
          .process = 0,
          .called_ns = called,
          .returned_ns = returned,
          .outcome = returned == kNeverReturned ? Outcome::kInfo : Outcome::kOk,
          .micro_ops = std::move(micro_ops)};
}

// Concurrent with all others that are made by it.
AppendTxn Txn(std::vector<MicroOp> micro_ops) {
  static int64_t called = 0;
  return Txn(called++, 1'000'000, std::move(micro_ops));
}

AppendTxn Failed(AppendTxn txn) {
  txn.outcome = Outcome::kFail;
  return txn;
}

std::string AnomalyIn(const History& history) {
  const Report report = CheckTransactions(history, kAnySize);
  return report.passed() ? "" : report.anomaly;
}

TEST(TransactionsTest, AcceptsWhatAStoreDoes) {
  EXPECT_EQ(AnomalyIn({Txn(0, 1, {Read("x", {}), Append("x", 1), Read("x", {1})}),
                       Txn(2, 3, {Append("x", 2), Append("y", 1), Read("x", {1, 2})}),
                       Txn(2, 9, {Append("x", 3), Append("x", 4)}),
                       Txn(4, 5, {Read("x", {1, 2}), Read("y", {1}), Read("x", {1, 2})}),
                       Txn(6, 7, {Read("x", {1, 2, 3, 4})}), Txn(10, 11, {Append("x", 5)})}),
            "");
}

TEST(TransactionsTest, NamesWhatListsContradict) {
  EXPECT_EQ(AnomalyIn({Txn({Append("x", 1), Read("x", {})})}), "internal");
  EXPECT_EQ(AnomalyIn({Txn({Append("x", 1)}), Txn({Read("x", {1}), Read("x", {})})}), "internal");
  EXPECT_EQ(AnomalyIn({Txn({Append("x", 1)}), Txn({Read("x", {1, 1})})}), "duplicate-elements");
  EXPECT_EQ(AnomalyIn({Txn({Read("x", {7})})}), "unwritten-read");
  EXPECT_EQ(AnomalyIn({Failed(Txn({Append("x", 1)})), Txn({Read("x", {1})})}), "G1a");
  EXPECT_EQ(AnomalyIn({Txn({Append("x", 1), Append("x", 2)}), Txn({Read("x", {1})})}), "G1b");
  EXPECT_EQ(AnomalyIn({Txn({Append("x", 1)}), Txn({Append("x", 2)}), Txn({Read("x", {1, 2})}),
                       Txn({Read("x", {2})})}),
            "incompatible-order");
  EXPECT_EQ(AnomalyIn({Txn({Append("x", 1), Append("x", 2)}), Txn({Append("x", 3)}),
                       Txn({Read("x", {2, 1, 3})})}),
            "incompatible-order");
  EXPECT_EQ(AnomalyIn({Txn(0, 1, {Append("x", 1)}), Txn(2, 3, {Append("x", 2)}),
                       Txn(4, 5, {Read("x", {2})})}),
            "lost-append");
}

TEST(TransactionsTest, NamesCycles) {
  // Each of two appends first in one list and last in the other.
  EXPECT_EQ(AnomalyIn({Txn({Append("x", 1), Append("y", 1)}), Txn({Append("x", 2), Append("y", 2)}),
                       Txn({Read("x", {1, 2}), Read("y", {2, 1})})}),
            "G0");
  EXPECT_EQ(
      AnomalyIn({Txn({Append("x", 1), Read("y", {1})}), Txn({Append("y", 1), Read("x", {1})})}),
      "G1c");
  // Read skew.
  EXPECT_EQ(AnomalyIn({Txn({Append("x", 1), Append("y", 1)}), Txn({Read("x", {1}), Read("y", {})}),
                       Txn({Read("y", {1})})}),
            "G-single");
  // Lost update.
  EXPECT_EQ(AnomalyIn({Txn({Read("x", {}), Append("x", 1)}), Txn({Read("x", {}), Append("x", 2)}),
                       Txn({Read("x", {1, 2})})}),
            "G-single");
  // Write skew.
  EXPECT_EQ(AnomalyIn({Txn({Read("x", {}), Append("y", 1)}), Txn({Read("y", {}), Append("x", 1)}),
                       Txn({Read("x", {1}), Read("y", {1})})}),
            "G2");
}

TEST(TransactionsTest, NamesCyclesInRealTime) {
  EXPECT_EQ(AnomalyIn({Txn(0, 1, {Append("x", 1)}), Txn(2, 3, {Append("x", 2)}),
                       Txn(4, 5, {Read("x", {2, 1})})}),
            "G0-realtime");
  EXPECT_EQ(AnomalyIn({Txn(0, 1, {Read("x", {1})}), Txn(2, 3, {Append("x", 1)})}), "G1c-realtime");
  EXPECT_EQ(AnomalyIn({Txn(0, 1, {Append("x", 1)}), Txn(2, 3, {Read("x", {})}),
                       Txn(4, 5, {Read("x", {1})})}),
            "G-single-realtime");
  // Two readers see two concurrent appends in different orders, one after the other.
  EXPECT_EQ(AnomalyIn({Txn(0, 9, {Append("x", 1)}), Txn(0, 9, {Append("y", 1)}),
                       Txn(1, 2, {Read("x", {1})}), Txn(3, 4, {Read("y", {})}),
                       Txn(1, 2, {Read("y", {1})}), Txn(3, 4, {Read("x", {})})}),
            "G-single-realtime");
  EXPECT_EQ(AnomalyIn({Txn(0, 9, {Read("y", {}), Append("x", 1)}), Txn(1, 2, {Read("x", {})}),
                       Txn(3, 4, {Append("y", 1)}), Txn(5, 6, {Read("y", {1})}),
                       Txn(10, 11, {Read("x", {1})})}),
            "");
  EXPECT_EQ(AnomalyIn({Txn(0, 9, {Append("x", 1), Read("z", {})}), Txn(3, 4, {Append("z", 1)}),
                       Txn(5, 8, {Read("x", {}), Append("w", 1)}), Txn(10, 11, {Read("x", {1})}),
                       Txn(10, 11, {Read("w", {1}), Read("z", {1})})}),
            "G2-realtime");
}

TEST(TransactionsTest, UnseenAppendsComeLast) {
  // Nobody read 2, but it can only follow 1, which therefore comes before what else was written.
  EXPECT_EQ(AnomalyIn({Txn({Append("x", 1), Read("y", {1})}), Txn({Append("x", 2), Append("y", 1)}),
                       Txn({Read("x", {1})})}),
            "G1c");
}

TEST(TransactionsTest, AnUnknownOutcomeCountsOnceItIsSeen) {
  const AppendTxn open = Txn(0, kNeverReturned, {Append("x", 1), Append("y", 1)});
  EXPECT_EQ(AnomalyIn({open, Txn(2, 3, {Read("x", {}), Read("y", {})})}), "");
  EXPECT_EQ(AnomalyIn({open, Txn(2, 3, {Read("x", {})}), Txn(4, 5, {Read("y", {1})})}), "");
  EXPECT_EQ(AnomalyIn({open, Txn(2, 3, {Read("x", {1})}), Txn(4, 5, {Read("y", {})})}),
            "G-single-realtime");
  EXPECT_EQ(AnomalyIn({open, Txn(2, 3, {Read("x", {1}), Read("y", {})})}), "G-single");
}

TEST(TransactionsTest, ExplainsTheCycle) {
  const Report report = CheckTransactions(
      {Txn(10, 11, {Append("x", 1)}), Txn(20, 21, {Read("x", {})}), Txn(30, 31, {Read("x", {1})})},
      kAnySize);
  EXPECT_EQ(report.verdict, Verdict::kFail);
  EXPECT_EQ(report.checked, 3u);
  EXPECT_THAT(report.explanation, HasSubstr("a cycle of 2 transactions:\n"));
  EXPECT_THAT(report.explanation, HasSubstr("#20 process 0: read x [], ok, from 20 ns to 21 ns\n"));
  EXPECT_THAT(report.explanation,
              HasSubstr("#20 -rw-> #10: read version [] of x, the other wrote the next\n"));
  EXPECT_THAT(report.explanation,
              HasSubstr("#10 -rt-> #20: returned before the other was called\n"));
}

TEST(TransactionsTest, TooLittleOrMisuseIsInvalid) {
  const Report little = CheckTransactions({Txn({Append("x", 1)})});
  EXPECT_EQ(little.verdict, Verdict::kInvalid);
  EXPECT_THAT(little.explanation, HasSubstr("only 0 reads and 1 appends"));
  const Report misuse = CheckTransactions({Txn({Append("x", 1)}), Txn({Append("x", 1)})}, kAnySize);
  EXPECT_EQ(misuse.verdict, Verdict::kInvalid);
  EXPECT_THAT(misuse.explanation, HasSubstr("1 was appended to key \"x\" twice"));
}

// ---- Against exhaustive search ----

using Store = std::map<std::string, List>;

// Runs the transaction; false if a read of an acknowledged one does not fit.
bool Apply(const AppendTxn& txn, Store* store) {
  for (const MicroOp& micro_op : txn.micro_ops) {
    List& list = (*store)[micro_op.key];
    if (micro_op.kind == MicroOp::Kind::kAppend) {
      list.push_back(micro_op.value);
    } else if (txn.outcome == Outcome::kOk && list != micro_op.observed) {
      return false;
    }
  }
  return true;
}

// Tries every order of `rest` after the transactions already taken.
bool ExistsOrder(const History& rest, const Store& store) {
  const auto ok = [](const AppendTxn& txn) { return txn.outcome == Outcome::kOk; };
  if (std::none_of(rest.begin(), rest.end(), ok)) return true;
  for (size_t i = 0; i < rest.size(); ++i) {
    const bool too_early = std::any_of(rest.begin(), rest.end(), [&](const AppendTxn& other) {
      return ok(other) && other.returned_ns < rest[i].called_ns;
    });
    if (too_early) continue;
    History others = rest;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
    Store next = store;
    if (Apply(rest[i], &next) && ExistsOrder(others, next)) return true;
  }
  return false;
}

bool IsStrictlySerializable(const History& history) {
  History rest;
  for (const AppendTxn& txn : history) {
    if (txn.outcome != Outcome::kFail) rest.push_back(txn);
  }
  return ExistsOrder(rest, {});
}

// Two to five transactions over two lists, at random times and with random outcomes.
History RandomTransactions(Random* random) {
  History history;
  uint64_t value = 0;
  const uint64_t count = random->Between(2, 5);
  for (uint64_t i = 0; i < count; ++i) {
    std::vector<MicroOp> micro_ops;
    for (uint64_t j = random->Between(1, 3); j > 0; --j) {
      const std::string key = random->OneIn(2) ? "x" : "y";
      micro_ops.push_back(random->OneIn(2) ? Append(key, ++value) : Read(key, {}));
    }
    const auto called = static_cast<int64_t>(random->Below(3 * count));
    const auto returned = called + static_cast<int64_t>(random->Below(2 * count));
    history.push_back(Txn(called, random->OneIn(6) ? kNeverReturned : returned, micro_ops));
    if (random->OneIn(12)) history.back().outcome = Outcome::kFail;
  }
  return history;
}

// Fills in what the reads observe when the transactions run in the order in which they stand, but
// now and then lets one observe something else.
void Observe(Random* random, History* history) {
  Store store;
  for (AppendTxn& txn : *history) {
    if (txn.outcome == Outcome::kInfo && random->OneIn(2)) continue;
    if (txn.outcome == Outcome::kFail && !random->OneIn(8)) continue;
    for (MicroOp& micro_op : txn.micro_ops) {
      List& list = store[micro_op.key];
      if (micro_op.kind == MicroOp::Kind::kAppend) {
        list.push_back(micro_op.value);
        if (random->OneIn(16)) std::swap(list.back(), list[random->Below(list.size())]);
        continue;
      }
      micro_op.observed = list;
      if (random->OneIn(12)) micro_op.observed.resize(random->Below(list.size() + 1));
    }
  }
}

TEST(TransactionsTest, AgreesWithExhaustiveSearchOnRandomHistories) {
  Random random(1);
  std::array<uint64_t, 2> answers{};
  std::map<std::string, uint64_t> names;
  for (int i = 0; i < 75'000; ++i) {
    History history = RandomTransactions(&random);
    if (!random.OneIn(4)) {
      std::sort(history.begin(), history.end(), [](const AppendTxn& a, const AppendTxn& b) {
        return a.returned_ns < b.returned_ns;
      });
    }
    Observe(&random, &history);
    const bool serializable = IsStrictlySerializable(history);
    const Report report = CheckTransactions(history, kAnySize);
    ++answers[serializable ? 1 : 0];
    ++names[report.anomaly];
    ASSERT_EQ(report.verdict, serializable ? Verdict::kPass : Verdict::kFail)
        << i << ": " << report.explanation;
  }
  EXPECT_GT(answers[0], 10'000u);
  EXPECT_GT(answers[1], 10'000u);
  // Passing, and every anomaly but the two rarest of so few transactions.
  EXPECT_GE(names.size(), 14u);
}

}  // namespace
}  // namespace conclave::checker
