#include "jepsen-style-tests/checker/valid_histories.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace conclave::checker {
namespace {

constexpr int64_t kLatencyMaxNs = 1000;
// How long after its call an operation of unknown outcome may still take effect.
constexpr int64_t kDelayMaxNs = 20'000;
constexpr int64_t kNeverApplied = kNeverReturned;

struct Timing {
  uint64_t process = 0;
  Outcome outcome = Outcome::kOk;
  int64_t called_ns = 0;
  int64_t applied_ns = kNeverApplied;
  int64_t returned_ns = kNeverReturned;
};

int64_t Below(Random* random, int64_t bound) {
  return static_cast<int64_t>(random->Below(static_cast<uint64_t>(bound)));
}

Outcome DrawOutcome(const Traffic& traffic, Random* random) {
  if (traffic.one_fails_in > 0 && random->OneIn(traffic.one_fails_in)) return Outcome::kFail;
  if (traffic.one_is_unknown_in > 0 && random->OneIn(traffic.one_is_unknown_in)) {
    return Outcome::kInfo;
  }
  return Outcome::kOk;
}

Timing DrawTiming(uint64_t process, int64_t called_ns, const Traffic& traffic, Random* random) {
  Timing timing{.process = process,
                .outcome = DrawOutcome(traffic, random),
                .called_ns = called_ns,
                .applied_ns = kNeverApplied,
                .returned_ns = called_ns + 1 + Below(random, kLatencyMaxNs)};
  if (timing.outcome == Outcome::kOk) {
    timing.applied_ns = called_ns + Below(random, timing.returned_ns - called_ns + 1);
  } else if (timing.outcome == Outcome::kInfo) {
    timing.returned_ns = kNeverReturned;
    if (random->OneIn(2)) timing.applied_ns = called_ns + Below(random, kDelayMaxNs);
  }
  return timing;
}

// In the order in which the operations take effect; those that never do come last.
std::vector<Timing> DrawTimings(const Traffic& traffic, Random* random) {
  std::vector<Timing> timings;
  std::vector<int64_t> free_ns(traffic.clients);
  for (uint64_t i = 0; i < traffic.operations; ++i) {
    int64_t& now = free_ns[i % traffic.clients];
    now += 1 + Below(random, 2 * traffic.pause_ns);
    timings.push_back(DrawTiming(i % traffic.clients, now, traffic, random));
    now += kLatencyMaxNs;
  }
  std::stable_sort(timings.begin(), timings.end(),
                   [](const Timing& a, const Timing& b) { return a.applied_ns < b.applied_ns; });
  return timings;
}

// After everything that returned or took effect.
Timing LastTiming(const std::vector<Timing>& timings) {
  int64_t end = 0;
  for (const Timing& timing : timings) {
    for (int64_t time : {timing.called_ns, timing.applied_ns, timing.returned_ns}) {
      if (time != kNeverReturned) end = std::max(end, time);
    }
  }
  return {.called_ns = end + 10, .applied_ns = end + 11, .returned_ns = end + 12};
}

template <typename Operation>
Operation Timed(const Timing& timing, uint64_t id) {
  Operation operation;
  operation.id = id;
  operation.process = timing.process;
  operation.outcome = timing.outcome;
  operation.called_ns = timing.called_ns;
  operation.returned_ns = timing.returned_ns;
  return operation;
}

std::string KeyFrom(char first, uint64_t count, Random* random) {
  return std::string(1, static_cast<char>(first + static_cast<char>(random->Below(count))));
}

void DrawRegisterOperation(const std::map<std::string, RegisterValue>& store, Random* random,
                           RegisterOperation* operation) {
  operation->key = KeyFrom('a', 3, random);
  const uint64_t draw = random->Below(20);
  if (draw < 8) {
    operation->kind = RegisterKind::kRead;
  } else if (draw < 9) {
    operation->kind = RegisterKind::kDelete;
  } else {
    operation->kind = draw < 14 ? RegisterKind::kWrite : RegisterKind::kCompareAndSet;
    operation->value = fmt::format("v{}", operation->id);
  }
  if (operation->kind != RegisterKind::kCompareAndSet) return;
  const auto current = store.find(operation->key);
  if (random->OneIn(3)) {
    operation->expected = fmt::format("v{}", random->Below(operation->id));
  } else if (current != store.end()) {
    operation->expected = current->second;
  }
}

void Apply(std::map<std::string, RegisterValue>* store, RegisterOperation* operation) {
  RegisterValue& value = (*store)[operation->key];
  switch (operation->kind) {
    case RegisterKind::kRead:
      operation->value = value;
      break;
    case RegisterKind::kWrite:
    case RegisterKind::kDelete:
      value = StoredBy(*operation);
      break;
    case RegisterKind::kCompareAndSet:
      operation->succeeded = value == operation->expected;
      if (operation->succeeded) value = operation->value;
      break;
  }
}

using Lists = std::map<std::string, std::vector<uint64_t>>;

void Apply(Lists* lists, AppendTxn* txn) {
  for (MicroOp& micro_op : txn->micro_ops) {
    std::vector<uint64_t>& list = (*lists)[micro_op.key];
    if (micro_op.kind == MicroOp::Kind::kAppend) {
      list.push_back(micro_op.value);
    } else {
      micro_op.observed = list;
    }
  }
}

std::vector<MicroOp> DrawMicroOps(uint64_t* value, Random* random) {
  std::vector<MicroOp> micro_ops;
  for (uint64_t i = random->Between(1, 4); i > 0; --i) {
    MicroOp micro_op;
    micro_op.key = KeyFrom('x', 3, random);
    if (random->OneIn(2)) {
      micro_op.kind = MicroOp::Kind::kAppend;
      micro_op.value = ++*value;
    }
    micro_ops.push_back(std::move(micro_op));
  }
  return micro_ops;
}

// A transfer that finds too little money is refused.
void Apply(Balances* balances, BankTransfer* transfer) {
  int64_t& from = (*balances)[transfer->from];
  if (from < transfer->amount) {
    if (transfer->outcome == Outcome::kOk) transfer->outcome = Outcome::kFail;
    return;
  }
  from -= transfer->amount;
  (*balances)[transfer->to] += transfer->amount;
}

BankRead ReadAll(const Timing& timing, uint64_t id, const Balances& balances) {
  return {.id = id,
          .process = timing.process,
          .balances = balances,
          .called_ns = timing.called_ns,
          .returned_ns = timing.returned_ns};
}

}  // namespace

std::vector<RegisterOperation> ValidRegisterHistory(const Traffic& traffic, Random* random) {
  std::vector<RegisterOperation> history;
  std::map<std::string, RegisterValue> store;
  for (const Timing& timing : DrawTimings(traffic, random)) {
    auto operation = Timed<RegisterOperation>(timing, history.size() + 1);
    DrawRegisterOperation(store, random, &operation);
    if (timing.applied_ns != kNeverApplied) Apply(&store, &operation);
    history.push_back(std::move(operation));
  }
  return history;
}

std::vector<AppendTxn> ValidAppendHistory(const Traffic& traffic, Random* random) {
  std::vector<AppendTxn> history;
  Lists lists;
  uint64_t value = 0;
  const std::vector<Timing> timings = DrawTimings(traffic, random);
  for (const Timing& timing : timings) {
    auto txn = Timed<AppendTxn>(timing, history.size() + 1);
    txn.micro_ops = DrawMicroOps(&value, random);
    if (timing.applied_ns != kNeverApplied) Apply(&lists, &txn);
    history.push_back(std::move(txn));
  }
  for (const auto& [key, list] : lists) {
    auto txn = Timed<AppendTxn>(LastTiming(timings), history.size() + 1);
    txn.micro_ops.push_back(
        {.kind = MicroOp::Kind::kRead, .key = key, .value = 0, .observed = list});
    history.push_back(std::move(txn));
  }
  return history;
}

BankHistory ValidBankHistory(const Traffic& traffic, Random* random) {
  BankHistory history;
  for (char name = 'a'; name <= 'e'; ++name) history.initial[std::string(1, name)] = 20;
  Balances balances = history.initial;
  uint64_t id = 0;
  const std::vector<Timing> timings = DrawTimings(traffic, random);
  for (const Timing& timing : timings) {
    ++id;
    if (timing.outcome == Outcome::kOk && random->OneIn(2)) {
      history.reads.push_back(ReadAll(timing, id, balances));
      continue;
    }
    auto transfer = Timed<BankTransfer>(timing, id);
    transfer.from = KeyFrom('a', 5, random);
    transfer.to = KeyFrom('a', 5, random);
    transfer.amount = static_cast<int64_t>(random->Between(1, 5));
    if (timing.applied_ns != kNeverApplied) Apply(&balances, &transfer);
    history.transfers.push_back(std::move(transfer));
  }
  history.reads.push_back(ReadAll(LastTiming(timings), ++id, balances));
  return history;
}

}  // namespace conclave::checker
