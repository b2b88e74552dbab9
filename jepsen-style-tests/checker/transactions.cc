#include "jepsen-style-tests/checker/transactions.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "jepsen-style-tests/checker/dependency_graph.h"
#include "jepsen-style-tests/checker/list_order.h"
#include "raft/base/check.h"

namespace conclave::checker {
namespace {

using Dependencies = std::vector<Dependency>;

void Add(uint32_t from, uint32_t to, DependencyKind kind, uint32_t list, size_t length,
         Dependencies* dependencies) {
  if (from == to) return;
  dependencies->push_back({from, to, kind, list, static_cast<uint32_t>(length)});
}

// What one list's order says. Only neighbours are linked: the rest follows.
void AddListDependencies(uint32_t list, const ListOrder& order, Dependencies* dependencies) {
  const std::vector<uint32_t>& writers = order.writers;
  for (size_t i = 1; i < writers.size(); ++i) {
    Add(writers[i - 1], writers[i], DependencyKind::kWriteWrite, list, i, dependencies);
  }
  for (uint32_t writer : order.unseen_writers) {
    if (writers.empty()) break;
    Add(writers.back(), writer, DependencyKind::kWriteWrite, list, writers.size(), dependencies);
  }
  for (const ListRead& read : order.reads) {
    if (read.length > 0) {
      Add(writers[read.length - 1], read.txn, DependencyKind::kWriteRead, list, read.length,
          dependencies);
    }
    if (read.length < writers.size()) {
      Add(read.txn, writers[read.length], DependencyKind::kReadWrite, list, read.length,
          dependencies);
      continue;
    }
    for (uint32_t writer : order.unseen_writers) {
      Add(read.txn, writer, DependencyKind::kReadWrite, list, read.length, dependencies);
    }
  }
}

// A call or return of a transaction, in an order in which ties come out as concurrent.
struct Event {
  int64_t time_ns = 0;
  bool is_return = false;
  uint32_t txn = 0;

  bool operator<(const Event& other) const {
    return std::tie(time_ns, is_return, txn) < std::tie(other.time_ns, other.is_return, other.txn);
  }
};

std::vector<Event> EventsOf(const std::vector<AppendTxn>& history,
                            const std::vector<bool>& committed) {
  std::vector<Event> events;
  for (uint32_t txn = 0; txn < history.size(); ++txn) {
    if (!committed[txn]) continue;
    events.push_back({history[txn].called_ns, false, txn});
    if (history[txn].outcome == Outcome::kOk) {
      events.push_back({history[txn].returned_ns, true, txn});
    }
  }
  std::sort(events.begin(), events.end());
  return events;
}

// Links each transaction to the latest that returned before it was called: those that no other of
// them follows. The rest follows from these, of which there are no more than were ever concurrent.
void AddRealTimeDependencies(const std::vector<AppendTxn>& history,
                             const std::vector<bool>& committed, Dependencies* dependencies) {
  std::vector<uint32_t> latest;
  std::vector<std::vector<uint32_t>> before(history.size());
  for (const Event& event : EventsOf(history, committed)) {
    if (!event.is_return) {
      before[event.txn] = latest;
      for (uint32_t txn : latest) {
        Add(txn, event.txn, DependencyKind::kRealTime, 0, 0, dependencies);
      }
      continue;
    }
    const std::vector<uint32_t>& followed = before[event.txn];
    std::erase_if(latest, [&](uint32_t txn) {
      return std::find(followed.begin(), followed.end(), txn) != followed.end();
    });
    latest.push_back(event.txn);
  }
}

std::string VersionText(const ListOrder& order, size_t length) {
  const auto end = order.elements.begin() + static_cast<std::ptrdiff_t>(length);
  return ListText({order.elements.begin(), end});
}

std::string Explain(const Dependency& dependency, const std::vector<AppendTxn>& history,
                    const std::vector<ListOrder>& lists) {
  const uint64_t from = history[dependency.from].id;
  const uint64_t to = history[dependency.to].id;
  if (dependency.kind == DependencyKind::kRealTime) {
    return fmt::format("#{} -rt-> #{}: returned before the other was called", from, to);
  }
  const ListOrder& order = lists[dependency.list];
  const std::string version = VersionText(order, dependency.length);
  switch (dependency.kind) {
    case DependencyKind::kWriteWrite:
      return fmt::format("#{} -ww-> #{}: wrote version {} of {}, the other the next", from, to,
                         version, order.key);
    case DependencyKind::kWriteRead:
      return fmt::format("#{} -wr-> #{}: wrote version {} of {}, the other read it", from, to,
                         version, order.key);
    case DependencyKind::kReadWrite:
      return fmt::format("#{} -rw-> #{}: read version {} of {}, the other wrote the next", from, to,
                         version, order.key);
    case DependencyKind::kRealTime:
      break;
  }
  CHECK_MSG(false, "no such dependency");
}

std::string Explain(const AnomalousCycle& cycle, const std::vector<AppendTxn>& history,
                    const std::vector<ListOrder>& lists) {
  std::string text = fmt::format("a cycle of {} transactions:\n", cycle.dependencies.size());
  for (const Dependency& dependency : cycle.dependencies) {
    text += fmt::format("  {}\n", ToString(history[dependency.from]));
  }
  text += "in which each comes before the next, and the last before the first:\n";
  for (const Dependency& dependency : cycle.dependencies) {
    text += fmt::format("  {}\n", Explain(dependency, history, lists));
  }
  return text;
}

// Whether there was enough to tell anything from.
bool IsEnough(const std::vector<AppendTxn>& history, const TransactionOptions& options,
              Report* report) {
  uint64_t reads = 0;
  uint64_t appends = 0;
  for (const AppendTxn& txn : history) {
    if (txn.outcome != Outcome::kOk) continue;
    for (const MicroOp& micro_op : txn.micro_ops) {
      ++(micro_op.kind == MicroOp::Kind::kRead ? reads : appends);
    }
  }
  if (reads >= options.ok_reads_min && appends >= options.ok_appends_min) return true;
  report->explanation =
      fmt::format("only {} reads and {} appends were acknowledged, {} and {} are needed\n", reads,
                  appends, options.ok_reads_min, options.ok_appends_min);
  return false;
}

void Fail(std::string_view anomaly, std::string explanation, Report* report) {
  report->verdict = Verdict::kFail;
  report->anomaly = anomaly;
  report->explanation = std::move(explanation);
}

}  // namespace

std::string ToString(const AppendTxn& txn) {
  std::string text = fmt::format("#{} process {}:", txn.id, txn.process);
  for (const MicroOp& micro_op : txn.micro_ops) {
    if (micro_op.kind == MicroOp::Kind::kAppend) {
      text += fmt::format(" append {} {},", micro_op.key, micro_op.value);
    } else if (txn.outcome == Outcome::kOk) {
      text += fmt::format(" read {} {},", micro_op.key, ListText(micro_op.observed));
    } else {
      text += fmt::format(" read {},", micro_op.key);
    }
  }
  return fmt::format("{} {}", text, ToString(txn.outcome, txn.called_ns, txn.returned_ns));
}

Report CheckTransactions(const std::vector<AppendTxn>& history, const TransactionOptions& options) {
  Report report{.checker = "transactions",
                .verdict = Verdict::kInvalid,
                .anomaly = {},
                .explanation = {},
                .checked = 0,
                .unit = "transactions"};
  for (const AppendTxn& txn : history) {
    if (txn.outcome != Outcome::kFail) ++report.checked;
    CHECK(txn.outcome != Outcome::kOk || txn.called_ns <= txn.returned_ns);
  }
  const ListOrders orders = InferListOrders(history);
  if (!orders.misuse.empty()) {
    report.explanation = orders.misuse;
    return report;
  }
  if (orders.anomaly.has_value()) {
    Fail(orders.anomaly->name, orders.anomaly->proof, &report);
    return report;
  }
  Dependencies dependencies;
  for (uint32_t list = 0; list < orders.lists.size(); ++list) {
    AddListDependencies(list, orders.lists[list], &dependencies);
  }
  AddRealTimeDependencies(history, orders.committed, &dependencies);
  if (const auto cycle = FindAnomalousCycle(history.size(), dependencies)) {
    Fail(cycle->anomaly, Explain(*cycle, history, orders.lists), &report);
  } else if (IsEnough(history, options, &report)) {
    report.verdict = Verdict::kPass;
  }
  return report;
}

}  // namespace conclave::checker
