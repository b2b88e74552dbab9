#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "jepsen-style-tests/checker/linearizability.h"
#include "jepsen-style-tests/checker/mutators.h"

namespace conclave::checker {
namespace {

using History = std::vector<RegisterOperation>;
using Operation = RegisterOperation;
using Predicate = bool (*)(const Operation&);

bool IsOk(const Operation& o) { return o.outcome == Outcome::kOk; }
bool IsCas(const Operation& o) { return o.kind == RegisterKind::kCompareAndSet; }
bool IsOkRead(const Operation& o) { return IsOk(o) && o.kind == RegisterKind::kRead; }
bool IsOkWrite(const Operation& o) { return IsOk(o) && o.kind == RegisterKind::kWrite; }
bool IsOkDelete(const Operation& o) { return IsOk(o) && o.kind == RegisterKind::kDelete; }
bool IsOkStore(const Operation& o) { return IsOk(o) && !StoredNothing(o); }
bool IsDoneCas(const Operation& o) { return IsOk(o) && IsCas(o) && o.succeeded; }
bool IsRefusedCas(const Operation& o) { return IsOk(o) && IsCas(o) && !o.succeeded; }
bool IsFailedWrite(const Operation& o) {
  return o.outcome == Outcome::kFail && o.kind == RegisterKind::kWrite;
}

bool Precedes(const Operation& a, const Operation& b) { return a.returned_ns < b.called_ns; }
bool SameKey(const Operation& a, const Operation& b) { return a.key == b.key; }

using Pair = std::array<Operation*, 2>;
using Triple = std::array<Operation*, 3>;

// Two operations of one key for which `fits` holds, too.
template <typename Fits>
std::optional<Pair> PickPair(History* history, Random* random, Predicate first, Predicate second,
                             Fits fits) {
  std::vector<Pair> candidates;
  for (Operation& a : *history) {
    if (!first(a)) continue;
    for (Operation& b : *history) {
      if (&a != &b && second(b) && SameKey(a, b) && fits(a, b)) candidates.push_back({&a, &b});
    }
  }
  return PickOne(candidates, random);
}

// Three operations of one key, each returned before the next was called, for which `fits` holds.
template <typename Fits>
std::optional<Triple> PickSequence(History* history, Random* random, Predicate first,
                                   Predicate second, Predicate third, Fits fits) {
  std::vector<Triple> candidates;
  for (Operation& a : *history) {
    if (!first(a)) continue;
    for (Operation& b : *history) {
      if (!second(b) || !SameKey(a, b) || !Precedes(a, b)) continue;
      for (Operation& c : *history) {
        if (third(c) && SameKey(b, c) && Precedes(b, c) && fits(a, b, c)) {
          candidates.push_back({&a, &b, &c});
        }
      }
    }
  }
  return PickOne(candidates, random);
}

constexpr auto kAnyTriple = [](const Operation&, const Operation&, const Operation&) {
  return true;
};

bool IsRead(const History& history, const Operation& writer) {
  return std::any_of(history.begin(), history.end(), [&](const Operation& o) {
    return SameKey(o, writer) && IsOkRead(o) && o.value == writer.value;
  });
}

// Whether a compare-and-set succeeded on what was written.
bool IsReplaced(const History& history, const Operation& writer) {
  return std::any_of(history.begin(), history.end(), [&](const Operation& o) {
    return SameKey(o, writer) && IsDoneCas(o) && o.expected == writer.value;
  });
}

bool StaleRead(Random* random, History* history) {
  const auto found = PickSequence(history, random, IsOkWrite, IsOkStore, IsOkRead, kAnyTriple);
  if (!found.has_value()) return false;
  const auto [write, overwrite, read] = *found;
  read->value = write->value;
  return true;
}

bool IgnoredDelete(Random* random, History* history) {
  const auto found = PickSequence(history, random, IsOkWrite, IsOkDelete, IsOkRead, kAnyTriple);
  if (!found.has_value()) return false;
  const auto [write, removal, read] = *found;
  read->value = write->value;
  return true;
}

bool ReadOfNothingWritten(Random* random, History* history) {
  std::vector<Operation*> reads;
  for (Operation& o : *history) {
    if (IsOkRead(o)) reads.push_back(&o);
  }
  const auto read = PickOne(reads, random);
  if (read.has_value()) (*read)->value = "invented";
  return read.has_value();
}

bool ReadOfAnotherKey(Random* random, History* history) {
  const auto write = PickPair(history, random, IsOkWrite, IsOkRead,
                              [](const Operation&, const Operation&) { return true; });
  if (!write.has_value()) return false;
  const auto [other, read] = *write;
  for (Operation& o : *history) {
    if (!IsOkRead(o) || SameKey(o, *other)) continue;
    o.value = other->value;
    return true;
  }
  return false;
}

bool ReadOfFailedWrite(Random* random, History* history) {
  const auto found = PickPair(history, random, IsFailedWrite, IsOkRead,
                              [](const Operation&, const Operation&) { return true; });
  if (!found.has_value()) return false;
  const auto [failed, read] = *found;
  read->value = failed->value;
  return true;
}

bool ReadOfRefusedCas(Random* random, History* history) {
  const auto found = PickPair(history, random, IsRefusedCas, IsOkRead,
                              [](const Operation&, const Operation&) { return true; });
  if (!found.has_value()) return false;
  const auto [refused, read] = *found;
  read->value = refused->value;
  return true;
}

bool AppliedWriteReportedFailed(Random* random, History* history) {
  const auto found = PickPair(
      history, random, IsOkWrite, IsOkRead,
      [](const Operation& write, const Operation& read) { return write.value == read.value; });
  if (!found.has_value()) return false;
  (*found)[0]->outcome = Outcome::kFail;
  return true;
}

bool ReadOfFutureWrite(Random* random, History* history) {
  const auto found = PickPair(history, random, IsOkRead, IsOkWrite, Precedes);
  if (!found.has_value()) return false;
  const auto [read, write] = *found;
  read->value = write->value;
  return true;
}

bool ReadMovedBeforeItsWrite(Random* random, History* history) {
  const auto found = PickPair(
      history, random, IsOkWrite, IsOkRead,
      [](const Operation& write, const Operation& read) { return write.value == read.value; });
  if (!found.has_value()) return false;
  const auto [write, read] = *found;
  read->called_ns = write->called_ns - 2;
  read->returned_ns = write->called_ns - 1;
  return true;
}

bool LostUpdate(Random* random, History* history) {
  const auto found = PickPair(history, random, IsDoneCas, IsRefusedCas,
                              [](const Operation& done, const Operation& refused) {
                                return done.expected.has_value() && Precedes(done, refused);
                              });
  if (!found.has_value()) return false;
  const auto [done, refused] = *found;
  refused->expected = done->expected;
  refused->succeeded = true;
  return true;
}

bool CasSucceededWrongly(Random* random, History* history) {
  const auto found = PickSequence(history, random, IsOkWrite, IsOkWrite, IsRefusedCas,
                                  [&](const Operation& write, const Operation&, const Operation&) {
                                    return !IsReplaced(*history, write);
                                  });
  if (!found.has_value()) return false;
  const auto [write, overwrite, refused] = *found;
  refused->expected = write->value;
  refused->succeeded = true;
  return true;
}

bool CasFailedWrongly(Random* random, History* history) {
  const auto undisturbed = [&](const Operation& write, const Operation& read) {
    return std::none_of(history->begin(), history->end(), [&](const Operation& o) {
      return &o != &write && IsOkStore(o) && SameKey(o, write) && !Precedes(o, write) &&
             !Precedes(read, o);
    });
  };
  const auto found = PickPair(history, random, IsOkWrite, IsOkRead,
                              [&](const Operation& write, const Operation& read) {
                                return Precedes(write, read) && undisturbed(write, read);
                              });
  if (!found.has_value()) return false;
  const auto [write, read] = *found;
  read->kind = RegisterKind::kCompareAndSet;
  read->expected = write->value;
  read->value = "never stored";
  read->succeeded = false;
  return true;
}

bool ReorderedWrites(Random* random, History* history) {
  const auto found =
      PickSequence(history, random, IsOkWrite, IsOkWrite, IsOkRead,
                   [&](const Operation& first, const Operation& second, const Operation& read) {
                     return read.value == second.value && !IsRead(*history, first) &&
                            !IsReplaced(*history, first) && !IsReplaced(*history, second);
                   });
  if (!found.has_value()) return false;
  std::swap((*found)[0]->value, (*found)[1]->value);
  return true;
}

Operation OnFreshKey(RegisterKind kind, const char* value, int64_t called, int64_t returned) {
  Operation operation;
  operation.key = "fresh";
  operation.kind = kind;
  if (value != nullptr) operation.value = value;
  operation.called_ns = called;
  operation.returned_ns = returned;
  if (returned == kNeverReturned) operation.outcome = Outcome::kInfo;
  return operation;
}

bool UnknownWriteAppliedTwice(Random*, History* history) {
  history->push_back(OnFreshKey(RegisterKind::kWrite, "1", 10, kNeverReturned));
  history->push_back(OnFreshKey(RegisterKind::kRead, "1", 20, 30));
  history->push_back(OnFreshKey(RegisterKind::kWrite, "2", 40, 50));
  history->push_back(OnFreshKey(RegisterKind::kRead, "1", 60, 70));
  return true;
}

bool WriteSeenThenUnseen(Random*, History* history) {
  history->push_back(OnFreshKey(RegisterKind::kWrite, "1", 10, 100));
  history->push_back(OnFreshKey(RegisterKind::kRead, "1", 20, 30));
  history->push_back(OnFreshKey(RegisterKind::kRead, nullptr, 40, 50));
  return true;
}

bool ConcurrentWritesSeenInBothOrders(Random*, History* history) {
  history->push_back(OnFreshKey(RegisterKind::kWrite, "1", 10, 100));
  history->push_back(OnFreshKey(RegisterKind::kWrite, "2", 10, 100));
  history->push_back(OnFreshKey(RegisterKind::kRead, "1", 20, 30));
  history->push_back(OnFreshKey(RegisterKind::kRead, "2", 40, 50));
  history->push_back(OnFreshKey(RegisterKind::kRead, "1", 60, 70));
  return true;
}

using RegisterMutator = Mutator<History>;

const RegisterMutator kMutators[] = {
    {"StaleRead", "stale-read", StaleRead},
    {"IgnoredDelete", "stale-read", IgnoredDelete},
    {"ReorderedWrites", "stale-read", ReorderedWrites},
    {"ReadOfNothingWritten", "unwritten-read", ReadOfNothingWritten},
    {"ReadOfAnotherKey", "unwritten-read", ReadOfAnotherKey},
    {"ReadOfFailedWrite", "aborted-read", ReadOfFailedWrite},
    {"ReadOfRefusedCas", "aborted-read", ReadOfRefusedCas},
    {"AppliedWriteReportedFailed", "aborted-read", AppliedWriteReportedFailed},
    {"ReadOfFutureWrite", "future-read", ReadOfFutureWrite},
    {"ReadMovedBeforeItsWrite", "future-read", ReadMovedBeforeItsWrite},
    {"LostUpdate", "lost-update", LostUpdate},
    {"CasSucceededWrongly", "stale-cas", CasSucceededWrongly},
    {"CasFailedWrongly", "cas-failed-wrongly", CasFailedWrongly, kQuiet},
    {"UnknownWriteAppliedTwice", "nonlinearizable", UnknownWriteAppliedTwice},
    {"WriteSeenThenUnseen", "nonlinearizable", WriteSeenThenUnseen},
    {"ConcurrentWritesSeenInBothOrders", "nonlinearizable", ConcurrentWritesSeenInBothOrders},
};

class RegisterMutatorsTest : public testing::TestWithParam<RegisterMutator> {};

TEST_P(RegisterMutatorsTest, IsDetectedAndNamed) {
  ExpectDetected<History>(GetParam(), ValidRegisterHistory,
                          [](const History& history) { return CheckLinearizable(history); });
}

INSTANTIATE_TEST_SUITE_P(All, RegisterMutatorsTest, testing::ValuesIn(kMutators), NameOf<History>);

}  // namespace
}  // namespace conclave::checker
