#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "jepsen-style-tests/checker/mutators.h"
#include "jepsen-style-tests/checker/transactions.h"

namespace conclave::checker {
namespace {

using History = std::vector<AppendTxn>;
using List = std::vector<uint64_t>;
using Kind = MicroOp::Kind;

const char* const kKeys[] = {"x", "y", "z"};

bool IsOk(const AppendTxn& txn) { return txn.outcome == Outcome::kOk; }
bool Precedes(const AppendTxn& a, const AppendTxn& b) {
  return IsOk(a) && a.returned_ns < b.called_ns;
}

size_t CountOf(const AppendTxn& txn, const std::string& key) {
  return static_cast<size_t>(std::count_if(txn.micro_ops.begin(), txn.micro_ops.end(),
                                           [&](const MicroOp& m) { return m.key == key; }));
}

// The transaction's micro-operation on the key, if it is acknowledged and that is its only one.
MicroOp* OnlyOn(AppendTxn& txn, const std::string& key, Kind kind) {
  if (!IsOk(txn) || CountOf(txn, key) != 1) return nullptr;
  for (MicroOp& m : txn.micro_ops) {
    if (m.key == key) return m.kind == kind ? &m : nullptr;
  }
  return nullptr;
}

// A place in a history: a transaction's only micro-operation on a key.
struct Place {
  AppendTxn* txn;
  MicroOp* micro_op;
};

std::vector<Place> Places(History* history, Kind kind, const std::string& key) {
  std::vector<Place> places;
  for (AppendTxn& txn : *history) {
    if (MicroOp* m = OnlyOn(txn, key, kind)) places.push_back({&txn, m});
  }
  return places;
}

std::vector<Place> Places(History* history, Kind kind) {
  std::vector<Place> all;
  for (const char* key : kKeys) {
    for (const Place& place : Places(history, kind, key)) all.push_back(place);
  }
  return all;
}

// Those of the places for which `fits` holds.
template <typename Fits>
std::optional<Place> PickPlace(std::vector<Place> places, Random* random, Fits fits) {
  std::erase_if(places, [&](const Place& place) { return !fits(place); });
  return PickOne(places, random);
}

// The order of the key's list: the final read of the whole.
List OrderOf(const History& history, const std::string& key) {
  List longest;
  for (const AppendTxn& txn : history) {
    for (const MicroOp& m : txn.micro_ops) {
      if (IsOk(txn) && m.kind == Kind::kRead && m.key == key &&
          m.observed.size() > longest.size()) {
        longest = m.observed;
      }
    }
  }
  return longest;
}

size_t PositionIn(const List& order, uint64_t value) {
  return static_cast<size_t>(std::find(order.begin(), order.end(), value) - order.begin());
}

bool Contains(const List& list, uint64_t value) { return PositionIn(list, value) < list.size(); }

// Applies `change` to what every acknowledged read of the key observed.
template <typename Change>
void ChangeLists(History* history, const std::string& key, Change change) {
  for (AppendTxn& txn : *history) {
    for (MicroOp& m : txn.micro_ops) {
      if (IsOk(txn) && m.kind == Kind::kRead && m.key == key) change(&m.observed);
    }
  }
}

// Makes every list show each of the two elements in the place of the other.
void SwapInLists(History* history, const std::string& key, uint64_t a, uint64_t b) {
  ChangeLists(history, key, [&](List* list) {
    for (uint64_t& value : *list) value = value == a ? b : value == b ? a : value;
  });
}

// ---- What the lists alone show ----

bool OwnAppendUnseen(Random* random, History* history) {
  std::vector<MicroOp*> reads;
  for (AppendTxn& txn : *history) {
    for (size_t i = 1; IsOk(txn) && i < txn.micro_ops.size(); ++i) {
      MicroOp& before = txn.micro_ops[i - 1];
      MicroOp& read = txn.micro_ops[i];
      if (before.kind == Kind::kAppend && read.kind == Kind::kRead && before.key == read.key) {
        reads.push_back(&read);
      }
    }
  }
  const auto read = PickOne(reads, random);
  if (read.has_value()) (*read)->observed.pop_back();
  return read.has_value();
}

bool NonRepeatableRead(Random* random, History* history) {
  const auto place = PickPlace(Places(history, Kind::kRead), random,
                               [](const Place& p) { return !p.micro_op->observed.empty(); });
  if (!place.has_value()) return false;
  place->txn->micro_ops.push_back(*place->micro_op);
  place->txn->micro_ops.back().observed.pop_back();
  return true;
}

bool AppendedTwice(Random* random, History* history) {
  const auto place = PickPlace(Places(history, Kind::kRead), random,
                               [](const Place& p) { return !p.micro_op->observed.empty(); });
  if (!place.has_value()) return false;
  List& list = place->micro_op->observed;
  list.push_back(list[random->Below(list.size())]);
  return true;
}

bool ReadOfNothingAppended(Random* random, History* history) {
  const auto place = PickOne(Places(history, Kind::kRead), random);
  if (place.has_value()) place->micro_op->observed.push_back(1'000'000'000);
  return place.has_value();
}

bool ReadOfFailedAppend(Random* random, History* history) {
  const auto read = PickOne(Places(history, Kind::kRead), random);
  if (!read.has_value()) return false;
  for (const AppendTxn& txn : *history) {
    for (const MicroOp& m : txn.micro_ops) {
      if (txn.outcome != Outcome::kFail || m.kind != Kind::kAppend) continue;
      if (m.key != read->micro_op->key) continue;
      read->micro_op->observed.push_back(m.value);
      return true;
    }
  }
  return false;
}

bool AppliedTxnReportedFailed(Random* random, History* history) {
  const auto append = PickPlace(Places(history, Kind::kAppend), random, [&](const Place& p) {
    return Contains(OrderOf(*history, p.micro_op->key), p.micro_op->value);
  });
  if (append.has_value()) append->txn->outcome = Outcome::kFail;
  return append.has_value();
}

bool ReadAmidATransaction(Random* random, History* history) {
  const auto is_amid = [&](const Place& p) {
    const List& list = p.micro_op->observed;
    if (list.size() < 2) return false;
    return std::any_of(history->begin(), history->end(), [&](const AppendTxn& txn) {
      const auto wrote = [&](uint64_t value) {
        return std::any_of(txn.micro_ops.begin(), txn.micro_ops.end(), [&](const MicroOp& m) {
          return m.kind == Kind::kAppend && m.key == p.micro_op->key && m.value == value;
        });
      };
      return wrote(list.back()) && wrote(list[list.size() - 2]);
    });
  };
  const auto place = PickPlace(Places(history, Kind::kRead), random, is_amid);
  if (place.has_value()) place->micro_op->observed.pop_back();
  return place.has_value();
}

bool ReversedPrefix(Random* random, History* history) {
  const auto place = PickPlace(Places(history, Kind::kRead), random,
                               [](const Place& p) { return p.micro_op->observed.size() >= 2; });
  if (!place.has_value()) return false;
  List& list = place->micro_op->observed;
  std::reverse(list.begin(),
               list.begin() + 1 + static_cast<std::ptrdiff_t>(random->Between(1, list.size() - 1)));
  return true;
}

bool LostAppend(Random* random, History* history) {
  const auto append = PickOne(Places(history, Kind::kAppend), random);
  if (!append.has_value()) return false;
  ChangeLists(history, append->micro_op->key,
              [&](List* list) { std::erase(*list, append->micro_op->value); });
  return true;
}

// ---- Cycles ----

// Two transactions append to two lists, in a different order to each.
bool WritesCross(Random* random, History* history) {
  std::vector<std::pair<uint64_t, uint64_t>> pairs;
  const List order = OrderOf(*history, "y");
  std::map<uint64_t, AppendTxn*> both;  // by what it appended to "y"
  for (AppendTxn& txn : *history) {
    const MicroOp* y = OnlyOn(txn, "y", Kind::kAppend);
    if (y != nullptr && OnlyOn(txn, "x", Kind::kAppend) != nullptr) both[y->value] = &txn;
  }
  for (const auto& [a, first] : both) {
    for (const auto& [b, second] : both) {
      if (PositionIn(order, a) < PositionIn(order, b)) pairs.emplace_back(a, b);
    }
  }
  const auto pair = PickOne(pairs, random);
  if (pair.has_value()) SwapInLists(history, "y", pair->first, pair->second);
  return pair.has_value();
}

// A transaction sees what was appended by another that saw its own append.
bool ReadsCross(Random* random, History* history) {
  std::vector<std::pair<MicroOp*, uint64_t>> places;  // a read of "y", the element it must see
  for (const Place& append : Places(history, Kind::kAppend, "x")) {
    MicroOp* crossing = OnlyOn(*append.txn, "y", Kind::kRead);
    if (crossing == nullptr) continue;
    for (const Place& later : Places(history, Kind::kAppend, "y")) {
      const MicroOp* read = OnlyOn(*later.txn, "x", Kind::kRead);
      if (read != nullptr && Contains(read->observed, append.micro_op->value)) {
        places.emplace_back(crossing, later.micro_op->value);
      }
    }
  }
  const auto place = PickOne(places, random);
  if (!place.has_value()) return false;
  List order = OrderOf(*history, "y");
  order.resize(PositionIn(order, place->second) + 1);
  place->first->observed = order;
  return true;
}

// A read of two lists misses in one what it sees in the other of the same transaction.
bool ReadSkew(Random* random, History* history) {
  std::vector<std::pair<MicroOp*, uint64_t>> places;  // a read of "y", the element it must miss
  for (const Place& append : Places(history, Kind::kAppend, "x")) {
    const MicroOp* other = OnlyOn(*append.txn, "y", Kind::kAppend);
    if (other == nullptr) continue;
    for (const Place& read : Places(history, Kind::kRead, "x")) {
      MicroOp* skewed = OnlyOn(*read.txn, "y", Kind::kRead);
      if (skewed != nullptr && Contains(read.micro_op->observed, append.micro_op->value)) {
        places.emplace_back(skewed, other->value);
      }
    }
  }
  const auto place = PickOne(places, random);
  if (!place.has_value()) return false;
  place->first->observed.resize(PositionIn(place->first->observed, place->second));
  return true;
}

// For anomalies on lists of their own, where no other transaction has a part in the cycle.
MicroOp FreshAppend(const char* key) {
  return {.kind = Kind::kAppend, .key = key, .value = 1, .observed = {}};
}
MicroOp FreshRead(const char* key, List observed) {
  return {.kind = Kind::kRead, .key = key, .value = 0, .observed = std::move(observed)};
}
void AddFresh(int64_t called, int64_t returned, std::vector<MicroOp> micro_ops, History* history) {
  history->push_back({.id = history->size() + 1,
                      .process = 100,
                      .called_ns = called,
                      .returned_ns = returned,
                      .outcome = Outcome::kOk,
                      .micro_ops = std::move(micro_ops)});
}

bool LostUpdate(Random*, History* history) {
  AddFresh(10, 20, {FreshRead("f", {}), FreshAppend("f")}, history);
  AddFresh(10, 20, {FreshRead("f", {}), {Kind::kAppend, "f", 2, {}}}, history);
  AddFresh(10, 20, {FreshRead("f", {1, 2})}, history);
  return true;
}

bool WriteSkew(Random*, History* history) {
  AddFresh(10, 20, {FreshRead("f", {}), FreshAppend("g")}, history);
  AddFresh(10, 20, {FreshRead("g", {}), FreshAppend("f")}, history);
  AddFresh(10, 20, {FreshRead("f", {1}), FreshRead("g", {1})}, history);
  return true;
}

// Two readers see two appends in different orders.
bool LongFork(Random*, History* history) {
  AddFresh(10, 20, {FreshAppend("f")}, history);
  AddFresh(10, 20, {FreshAppend("g")}, history);
  AddFresh(10, 20, {FreshRead("f", {1}), FreshRead("g", {})}, history);
  AddFresh(10, 20, {FreshRead("f", {}), FreshRead("g", {1})}, history);
  return true;
}

// ---- Cycles in real time ----

// A transaction of one micro-operation is linked to others by that alone.
bool IsAlone(const Place& place) { return place.txn->micro_ops.size() == 1; }

bool ReorderedAppends(Random* random, History* history) {
  std::vector<std::pair<Place, Place>> neighbours;
  for (const char* key : kKeys) {
    const List order = OrderOf(*history, key);
    const std::vector<Place> appends = Places(history, Kind::kAppend, key);
    for (const Place& a : appends) {
      for (const Place& b : appends) {
        const size_t second = PositionIn(order, b.micro_op->value);
        if (IsAlone(a) && IsAlone(b) && Precedes(*a.txn, *b.txn) && second < order.size() &&
            PositionIn(order, a.micro_op->value) + 1 == second) {
          neighbours.emplace_back(a, b);
        }
      }
    }
  }
  const auto pair = PickOne(neighbours, random);
  if (!pair.has_value()) return false;
  const auto& [a, b] = *pair;
  SwapInLists(history, a.micro_op->key, a.micro_op->value, b.micro_op->value);
  return true;
}

bool ReadOfTheFuture(Random* random, History* history) {
  std::vector<std::pair<MicroOp*, MicroOp*>> places;
  for (const Place& read : Places(history, Kind::kRead, "x")) {
    for (const Place& append : Places(history, Kind::kAppend, "x")) {
      if (IsAlone(read) && Precedes(*read.txn, *append.txn)) {
        places.emplace_back(read.micro_op, append.micro_op);
      }
    }
  }
  const auto place = PickOne(places, random);
  if (!place.has_value()) return false;
  List order = OrderOf(*history, "x");
  order.resize(PositionIn(order, place->second->value) + 1);
  place->first->observed = order;
  return true;
}

bool StaleRead(Random* random, History* history) {
  std::vector<std::pair<MicroOp*, MicroOp*>> places;
  const size_t length = OrderOf(*history, "x").size();
  for (const Place& append : Places(history, Kind::kAppend, "x")) {
    for (const Place& read : Places(history, Kind::kRead, "x")) {
      // The longest list stays, so that the append is not lost.
      if (IsAlone(read) && Precedes(*append.txn, *read.txn) &&
          read.micro_op->observed.size() < length) {
        places.emplace_back(read.micro_op, append.micro_op);
      }
    }
  }
  const auto place = PickOne(places, random);
  if (!place.has_value()) return false;
  place->first->observed.resize(PositionIn(place->first->observed, place->second->value));
  return true;
}

bool CausalReverse(Random*, History* history) {
  AddFresh(10, 100, {FreshAppend("f"), FreshRead("h", {})}, history);
  AddFresh(20, 30, {FreshAppend("h")}, history);
  AddFresh(40, 50, {FreshRead("f", {}), FreshAppend("g")}, history);
  AddFresh(40, 100, {FreshRead("f", {1}), FreshRead("g", {1}), FreshRead("h", {1})}, history);
  return true;
}

using TransactionMutator = Mutator<History>;

const TransactionMutator kMutators[] = {
    {"OwnAppendUnseen", "internal", OwnAppendUnseen},
    {"NonRepeatableRead", "internal", NonRepeatableRead},
    {"AppendedTwice", "duplicate-elements", AppendedTwice},
    {"ReadOfNothingAppended", "unwritten-read", ReadOfNothingAppended},
    {"ReadOfFailedAppend", "G1a", ReadOfFailedAppend},
    {"AppliedTxnReportedFailed", "G1a", AppliedTxnReportedFailed},
    {"ReadAmidATransaction", "G1b", ReadAmidATransaction},
    {"ReversedPrefix", "incompatible-order", ReversedPrefix},
    {"LostAppend", "lost-append", LostAppend},
    {"WritesCross", "G0", WritesCross},
    {"ReadsCross", "G1c", ReadsCross},
    {"ReadSkew", "G-single", ReadSkew},
    {"LostUpdate", "G-single", LostUpdate},
    {"WriteSkew", "G2", WriteSkew},
    {"LongFork", "G2", LongFork},
    {"ReorderedAppends", "G0-realtime", ReorderedAppends, kQuiet},
    {"ReadOfTheFuture", "G1c-realtime", ReadOfTheFuture},
    {"StaleRead", "G-single-realtime", StaleRead},
    {"CausalReverse", "G2-realtime", CausalReverse},
};

class TransactionMutatorsTest : public testing::TestWithParam<TransactionMutator> {};

TEST_P(TransactionMutatorsTest, IsDetectedAndNamed) {
  ExpectDetected<History>(GetParam(), ValidAppendHistory,
                          [](const History& history) { return CheckTransactions(history); });
}

INSTANTIATE_TEST_SUITE_P(All, TransactionMutatorsTest, testing::ValuesIn(kMutators),
                         NameOf<History>);

}  // namespace
}  // namespace conclave::checker
