#include "jepsen-style-tests/checker/linearizability.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>

#include "raft/base/random.h"

namespace conclave::checker {
namespace {

using testing::HasSubstr;
using History = std::vector<RegisterOperation>;

constexpr LinearizabilityOptions kAnySize{.steps_max = 1'000'000, .ok_operations_min = 0};

RegisterOperation Operation(RegisterKind kind, RegisterValue value, int64_t called,
                            int64_t returned) {
  static uint64_t id = 0;
  RegisterOperation operation;
  operation.id = ++id;
  operation.key = "k";
  operation.kind = kind;
  operation.value = std::move(value);
  operation.called_ns = called;
  operation.returned_ns = returned;
  if (returned == kNeverReturned) operation.outcome = Outcome::kInfo;
  return operation;
}

RegisterOperation Read(RegisterValue value, int64_t called, int64_t returned) {
  return Operation(RegisterKind::kRead, std::move(value), called, returned);
}

RegisterOperation Write(RegisterValue value, int64_t called, int64_t returned) {
  return Operation(RegisterKind::kWrite, std::move(value), called, returned);
}

RegisterOperation Delete(int64_t called, int64_t returned) {
  return Operation(RegisterKind::kDelete, std::nullopt, called, returned);
}

RegisterOperation Cas(RegisterValue expected, RegisterValue value, bool succeeded, int64_t called,
                      int64_t returned) {
  RegisterOperation operation =
      Operation(RegisterKind::kCompareAndSet, std::move(value), called, returned);
  operation.expected = std::move(expected);
  operation.succeeded = succeeded;
  return operation;
}

RegisterOperation Failed(RegisterOperation operation) {
  operation.outcome = Outcome::kFail;
  return operation;
}

std::string AnomalyIn(const History& history) {
  const Report report = CheckLinearizable(history, kAnySize);
  return report.passed() ? "" : report.anomaly;
}

TEST(LinearizabilityTest, AcceptsWhatARegisterDoes) {
  EXPECT_EQ(AnomalyIn({Read({}, 0, 1), Write("a", 2, 3), Read("a", 4, 5), Cas("a", "b", true, 6, 7),
                       Cas("a", "c", false, 8, 9), Read("b", 10, 11), Delete(12, 13),
                       Read({}, 14, 15), Cas({}, "d", true, 16, 17), Read("d", 18, 19)}),
            "");
}

TEST(LinearizabilityTest, ConcurrentOperationsMayTakeEffectInAnyOrder) {
  EXPECT_EQ(AnomalyIn({Write("a", 0, 10), Write("b", 0, 10), Read("b", 11, 12)}), "");
  EXPECT_EQ(AnomalyIn({Write("a", 0, 10), Write("b", 0, 10), Read("a", 11, 12)}), "");
  EXPECT_EQ(AnomalyIn({Write("a", 0, 10), Read("a", 1, 2), Read("a", 3, 4)}), "");
  EXPECT_EQ(AnomalyIn({Write("a", 0, 10), Read("a", 1, 2), Read({}, 3, 4)}), "nonlinearizable");
}

TEST(LinearizabilityTest, TiesAreConcurrent) {
  EXPECT_EQ(AnomalyIn({Write("a", 0, 5), Read({}, 5, 6)}), "");
  EXPECT_EQ(AnomalyIn({Write("a", 0, 5), Read({}, 6, 7)}), "stale-read");
}

TEST(LinearizabilityTest, AnUnknownOutcomeMayApplyLateOrNever) {
  const RegisterOperation open = Write("a", 0, kNeverReturned);
  EXPECT_EQ(AnomalyIn({open, Read({}, 1, 2), Read({}, 3, 4)}), "");
  EXPECT_EQ(AnomalyIn({open, Read({}, 1, 2), Read("a", 100, 101)}), "");
  EXPECT_EQ(AnomalyIn({open, Write("b", 1, 2), Read("b", 3, 4), Read("a", 5, 6)}), "");
  EXPECT_EQ(AnomalyIn({open, Read("a", 1, 2), Write("b", 3, 4), Read("a", 5, 6)}),
            "nonlinearizable");
}

TEST(LinearizabilityTest, UnknownOutcomesMayFollowOneAnother) {
  const RegisterOperation first = Write("a", 0, kNeverReturned);
  const RegisterOperation second = Cas("a", "b", false, 1, kNeverReturned);
  const RegisterOperation third = Cas("b", "c", false, 2, kNeverReturned);
  EXPECT_EQ(AnomalyIn({first, second, third, Read("c", 5, 6)}), "");
  EXPECT_EQ(AnomalyIn({first, second, third, Read("c", 0, 1)}), "future-read");
  EXPECT_EQ(AnomalyIn({second, third, Read("c", 5, 6)}), "nonlinearizable");
}

TEST(LinearizabilityTest, AnUnseenWriteMayExplainAFailedCompare) {
  const RegisterOperation open = Write("z", 0, kNeverReturned);
  const RegisterOperation write = Write("a", 1, 2);
  const RegisterOperation failed = Cas("a", "b", false, 3, 4);
  EXPECT_EQ(AnomalyIn({open, write, failed}), "");
  EXPECT_EQ(AnomalyIn({write, failed}), "cas-failed-wrongly");
  EXPECT_EQ(AnomalyIn({open, write, failed, Read("a", 5, 6)}), "nonlinearizable");
}

TEST(LinearizabilityTest, NamesWhatIsWrong) {
  EXPECT_EQ(AnomalyIn({Read("x", 0, 1)}), "unwritten-read");
  EXPECT_EQ(AnomalyIn({Failed(Write("a", 0, 1)), Read("a", 2, 3)}), "aborted-read");
  EXPECT_EQ(AnomalyIn({Read("a", 0, 1), Write("a", 2, 3)}), "future-read");
  EXPECT_EQ(AnomalyIn({Write("a", 0, 1), Write("b", 2, 3), Read("a", 4, 5)}), "stale-read");
  EXPECT_EQ(AnomalyIn({Write("a", 0, 1), Write("b", 2, 3), Cas("a", "c", true, 4, 5)}),
            "stale-cas");
  EXPECT_EQ(AnomalyIn({Write("a", 0, 1), Cas("a", "b", true, 2, 5), Cas("a", "c", true, 2, 5)}),
            "lost-update");
}

TEST(LinearizabilityTest, ExplainsTheKeyTheOrderAndWhatIsStuck) {
  History history = {Write("a", 0, 1), Write("b", 2, 9), Read("a", 3, 4), Read("b", 5, 6),
                     Read("a", 7, 8)};
  const Report report = CheckLinearizable(history, kAnySize);
  EXPECT_EQ(report.verdict, Verdict::kFail);
  EXPECT_EQ(report.anomaly, "nonlinearizable");
  EXPECT_THAT(report.explanation, HasSubstr("key \"k\""));
  EXPECT_THAT(report.explanation, HasSubstr("places 3 of 5 operations"));
  EXPECT_THAT(report.explanation, HasSubstr("holds \"b\", and there is no place for\n  #" +
                                            std::to_string(history.back().id)));
  EXPECT_EQ(report.checked, 5u);
}

TEST(LinearizabilityTest, KeysAreIndependent) {
  History history = {Write("a", 0, 1), Read("a", 2, 3), Read({}, 4, 5)};
  history.back().key = "other";
  EXPECT_EQ(AnomalyIn(history), "");
}

TEST(LinearizabilityTest, TooLittleIsInvalidAndTooMuchIsUnknown) {
  EXPECT_EQ(CheckLinearizable({Write("a", 0, 1)}).verdict, Verdict::kInvalid);
  EXPECT_EQ(CheckLinearizable({Read("a", 0, 1)}).verdict, Verdict::kFail);

  const History history = {Write("a", 0, 9), Write("b", 1, 10), Write("c", 2, 11),
                           Read("c", 12, 13)};
  EXPECT_EQ(CheckLinearizable(history, kAnySize).verdict, Verdict::kPass);
  const Report report = CheckLinearizable(history, {.steps_max = 2, .ok_operations_min = 0});
  EXPECT_EQ(report.verdict, Verdict::kUnknown);
  EXPECT_THAT(report.explanation, HasSubstr("no answer in 2 steps"));
}

// ---- Against exhaustive search ----

// Applies the operation to the value, as one with outcome kOk; false if its answer does not fit.
bool Apply(const RegisterOperation& operation, RegisterValue* value) {
  switch (operation.kind) {
    case RegisterKind::kRead:
      return *value == operation.value;
    case RegisterKind::kWrite:
    case RegisterKind::kDelete:
      *value = StoredBy(operation);
      return true;
    case RegisterKind::kCompareAndSet:
      if (operation.outcome == Outcome::kOk &&
          (*value == operation.expected) != operation.succeeded)
        return false;
      if (*value == operation.expected) *value = operation.value;
      return true;
  }
  return false;
}

// Tries every order of `rest` after the operations already taken.
bool ExistsOrder(const History& rest, const RegisterValue& value) {
  if (std::none_of(rest.begin(), rest.end(),
                   [](const auto& operation) { return operation.outcome == Outcome::kOk; })) {
    return true;
  }
  for (size_t i = 0; i < rest.size(); ++i) {
    const bool too_early = std::any_of(rest.begin(), rest.end(), [&](const auto& other) {
      return other.outcome == Outcome::kOk && other.returned_ns < rest[i].called_ns;
    });
    if (too_early) continue;
    History others = rest;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
    RegisterValue next = value;
    if (rest[i].outcome == Outcome::kInfo && rest[i].kind == RegisterKind::kRead) continue;
    if (Apply(rest[i], &next) && ExistsOrder(others, next)) return true;
  }
  return false;
}

bool IsLinearizable(const History& history) {
  History rest;
  for (const RegisterOperation& operation : history) {
    if (operation.outcome != Outcome::kFail) rest.push_back(operation);
  }
  return ExistsOrder(rest, std::nullopt);
}

// All there is to do with two values, with each answer and, for those that change something, also
// with an unknown outcome.
History AllOperations() {
  const RegisterValue a = "a";
  const RegisterValue b = "b";
  History all;
  for (const RegisterValue& value : {RegisterValue(), a, b}) all.push_back(Read(value, 0, 1));
  for (int64_t returned : {int64_t{1}, kNeverReturned}) {
    all.push_back(Write(a, 0, returned));
    all.push_back(Write(b, 0, returned));
    all.push_back(Delete(0, returned));
    all.push_back(Cas(a, b, true, 0, returned));
    all.push_back(Cas(b, a, true, 0, returned));
    all.push_back(Cas({}, a, true, 0, returned));
  }
  all.push_back(Cas(a, b, false, 0, 1));
  all.push_back(Cas({}, b, false, 0, 1));
  return all;
}

using Interval = std::pair<int64_t, int64_t>;

// Every way in which the calls and returns of `count` operations can interleave, calls in order.
void AddInterleavings(size_t count, std::vector<Interval>* intervals, int64_t now,
                      std::vector<std::vector<Interval>>* all) {
  const size_t called = intervals->size();
  const auto open = [](const Interval& interval) { return interval.second < 0; };
  if (called == count && std::none_of(intervals->begin(), intervals->end(), open)) {
    all->push_back(*intervals);
    return;
  }
  if (called < count) {
    intervals->push_back({now, -1});
    AddInterleavings(count, intervals, now + 1, all);
    intervals->pop_back();
  }
  for (size_t i = 0; i < called; ++i) {
    if (!open((*intervals)[i])) continue;
    (*intervals)[i].second = now;
    AddInterleavings(count, intervals, now + 1, all);
    (*intervals)[i].second = -1;
  }
}

std::vector<std::vector<Interval>> Interleavings(size_t count) {
  std::vector<std::vector<Interval>> all;
  std::vector<Interval> intervals;
  AddInterleavings(count, &intervals, 0, &all);
  return all;
}

void ExpectAgreement(const History& history, std::array<uint64_t, 2>* answers) {
  const bool linearizable = IsLinearizable(history);
  const Report report = CheckLinearizable(history, kAnySize);
  ++(*answers)[linearizable ? 1 : 0];
  ASSERT_EQ(report.verdict, linearizable ? Verdict::kPass : Verdict::kFail) << report.explanation;
}

// Gives the operations the intervals; those of unknown outcome keep only their call.
History Timed(History history, const std::vector<Interval>& intervals) {
  for (size_t i = 0; i < history.size(); ++i) {
    history[i].called_ns = intervals[i].first;
    if (history[i].outcome != Outcome::kInfo) history[i].returned_ns = intervals[i].second;
  }
  return history;
}

// Checks every history of `count` of the operations, in every interleaving.
void ExpectAgreementOnAll(const History& choices, size_t count) {
  const auto interleavings = Interleavings(count);
  std::array<uint64_t, 2> answers{};
  std::vector<size_t> picks(count);  // counts up, as the digits of a number
  for (size_t digit = 0; digit < count;) {
    History history;
    for (size_t pick : picks) history.push_back(choices[pick]);
    for (const auto& intervals : interleavings) {
      ExpectAgreement(Timed(history, intervals), &answers);
      if (testing::Test::HasFatalFailure()) return;
    }
    for (digit = 0; digit < count && ++picks[digit] == choices.size(); ++digit) picks[digit] = 0;
  }
  EXPECT_GT(answers[0], 10'000u);
  EXPECT_GT(answers[1], 10'000u);
}

TEST(LinearizabilityTest, AgreesWithExhaustiveSearchOnAllHistoriesOfThree) {
  ASSERT_EQ(Interleavings(3).size(), 15u);
  ExpectAgreementOnAll(AllOperations(), 3);
}

TEST(LinearizabilityTest, AgreesWithExhaustiveSearchOnHistoriesOfFour) {
  ASSERT_EQ(Interleavings(4).size(), 105u);
  ExpectAgreementOnAll({Read("a", 0, 1), Read("b", 0, 1), Write("a", 0, 1),
                        Write("b", 0, kNeverReturned), Cas("a", "b", true, 0, 1)},
                       4);
}

// Four to seven operations, with calls and returns where chance puts them (ties too).
TEST(LinearizabilityTest, AgreesWithExhaustiveSearchOnRandomHistories) {
  const History choices = AllOperations();
  Random random(1);
  std::array<uint64_t, 2> answers{};
  for (int i = 0; i < 75'000; ++i) {
    History history;
    const uint64_t count = random.Between(4, 7);
    for (uint64_t j = 0; j < count; ++j) {
      history.push_back(choices[random.Below(choices.size())]);
      RegisterOperation& operation = history.back();
      operation.called_ns = static_cast<int64_t>(random.Below(3 * count));
      if (operation.outcome == Outcome::kOk) {
        operation.returned_ns = operation.called_ns + static_cast<int64_t>(random.Below(2 * count));
      }
    }
    ExpectAgreement(history, &answers);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(answers[0], 10'000u);
  EXPECT_GT(answers[1], 10'000u);
}

}  // namespace
}  // namespace conclave::checker
