#include "jepsen-style-tests/checker/list_order.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace conclave::checker {
namespace {

// How many of a list's last elements a text shows.
constexpr size_t kElementsShown = 12;

using Kind = MicroOp::Kind;

constexpr uint32_t kNowhere = std::numeric_limits<uint32_t>::max();

// The anomalies that are not cycles, the worst first.
enum Rank : size_t {
  kInternal,
  kDuplicateElements,
  kUnwrittenRead,
  kAbortedRead,
  kIntermediateRead,
  kIncompatibleOrder,
  kLostAppend,
};
constexpr const char* kNames[] = {"internal", "duplicate-elements", "unwritten-read", "G1a",
                                  "G1b",      "incompatible-order", "lost-append"};

struct Append {
  uint64_t value = 0;
  uint32_t txn = 0;
  uint32_t position = kNowhere;  // in the list
  bool first = true;             // of the transaction's appends to the list; else the append
                                 // before it in List::appends is the transaction's, too
  bool last = true;
};

struct Read {
  uint32_t txn = 0;
  const std::vector<uint64_t>* observed = nullptr;
  uint32_t own = 0;    // how many of the last elements the transaction appended itself
  bool first = false;  // of the transaction's reads of the list
};

struct List {
  std::vector<Append> appends;                       // in the history's order
  absl::flat_hash_map<uint64_t, uint32_t> by_value;  // index of appends
  std::vector<Read> reads;
  int64_t last_called_ns = std::numeric_limits<int64_t>::min();  // of the reads
};

class Inference {
 public:
  explicit Inference(const std::vector<AppendTxn>& history) : history_(history) {}

  ListOrders Run();

 private:
  void Index();
  void IndexAppend(uint32_t txn, size_t micro_op);
  void IndexRead(uint32_t txn, size_t micro_op);
  uint32_t ListOf(const std::string& key);

  void InferOrder(uint32_t list);
  void PlaceElements(uint32_t list, const Read& longest);
  // The append of an element that a committed transaction may have read; null, and an anomaly
  // found, if there is none.
  Append* AppendBehind(uint32_t list, const Read& read, uint64_t value);
  void CompareRead(uint32_t list, const Read& read);
  void ExplainDifference(uint32_t list, const Read& read);
  void FindUnseen(uint32_t list);

  void Found(Rank rank, const std::string& proof);
  std::string Describe(uint32_t list, const Read& read) const;

  const std::vector<AppendTxn>& history_;
  absl::flat_hash_map<std::string_view, uint32_t> list_of_;
  std::vector<List> lists_;
  Rank found_ = Rank{std::size(kNames)};
  ListOrders result_;
};

uint32_t Inference::ListOf(const std::string& key) {
  const auto [it, added] = list_of_.try_emplace(key, static_cast<uint32_t>(lists_.size()));
  if (added) {
    lists_.emplace_back();
    result_.lists.emplace_back().key = it->first;
  }
  return it->second;
}

void Inference::Found(Rank rank, const std::string& proof) {
  if (rank >= found_) return;
  found_ = rank;
  result_.anomaly = ListAnomaly{kNames[rank], proof};
}

std::string Inference::Describe(uint32_t list, const Read& read) const {
  return fmt::format("{} of key \"{}\" by\n  {}\n", ListText(*read.observed),
                     result_.lists[list].key, ToString(history_[read.txn]));
}

void Inference::Index() {
  result_.committed.resize(history_.size());
  for (uint32_t txn = 0; txn < history_.size(); ++txn) {
    const AppendTxn& transaction = history_[txn];
    const bool ok = transaction.outcome == Outcome::kOk;
    result_.committed[txn] = ok;
    for (size_t i = 0; i < transaction.micro_ops.size(); ++i) {
      if (transaction.micro_ops[i].kind == Kind::kAppend) {
        IndexAppend(txn, i);
      } else if (ok) {
        IndexRead(txn, i);
      }
    }
  }
}

void Inference::IndexAppend(uint32_t txn, size_t micro_op) {
  const MicroOp& append = history_[txn].micro_ops[micro_op];
  List& list = lists_[ListOf(append.key)];
  const auto index = static_cast<uint32_t>(list.appends.size());
  if (!list.by_value.try_emplace(append.value, index).second) {
    result_.misuse = fmt::format("{} was appended to key \"{}\" twice\n", append.value, append.key);
    return;
  }
  const bool first = list.appends.empty() || list.appends.back().txn != txn;
  if (!first) list.appends.back().last = false;
  list.appends.push_back({.value = append.value, .txn = txn, .first = first});
}

// Holds the read against what the transaction read and appended before.
void Inference::IndexRead(uint32_t txn, size_t micro_op) {
  const std::vector<MicroOp>& micro_ops = history_[txn].micro_ops;
  const MicroOp& read = micro_ops[micro_op];
  std::vector<uint64_t> own;  // appended since the read before, if there was one
  const MicroOp* before = nullptr;
  for (size_t i = 0; i < micro_op; ++i) {
    if (micro_ops[i].key != read.key) continue;
    if (micro_ops[i].kind == Kind::kAppend) {
      own.push_back(micro_ops[i].value);
    } else {
      before = &micro_ops[i];
      own.clear();
    }
  }
  const uint32_t index = ListOf(read.key);
  List& list = lists_[index];
  list.last_called_ns = std::max(list.last_called_ns, history_[txn].called_ns);
  const Read indexed{.txn = txn,
                     .observed = &read.observed,
                     .own = static_cast<uint32_t>(own.size()),
                     .first = before == nullptr};
  const std::vector<uint64_t>& observed = read.observed;
  const bool ends_in_own =
      observed.size() >= own.size() && std::equal(own.rbegin(), own.rend(), observed.rbegin());
  const bool follows =
      before == nullptr ||
      (observed.size() == before->observed.size() + own.size() &&
       std::equal(before->observed.begin(), before->observed.end(), observed.begin()));
  if (!ends_in_own || !follows) {
    Found(kInternal,
          "what the transaction did before contradicts the read\n  " + Describe(index, indexed));
    return;
  }
  list.reads.push_back(indexed);
}

void Inference::InferOrder(uint32_t list) {
  const std::vector<Read>& reads = lists_[list].reads;
  if (!reads.empty()) {
    PlaceElements(list, *std::max_element(reads.begin(), reads.end(), [](auto& a, auto& b) {
                    return a.observed->size() < b.observed->size();
                  }));
    for (const Read& read : reads) CompareRead(list, read);
  }
}

Append* Inference::AppendBehind(uint32_t list, const Read& read, uint64_t value) {
  const auto it = lists_[list].by_value.find(value);
  if (it == lists_[list].by_value.end()) {
    Found(kUnwrittenRead,
          fmt::format("nobody appended {}, which is in\n  {}", value, Describe(list, read)));
    return nullptr;
  }
  Append& append = lists_[list].appends[it->second];
  const AppendTxn& writer = history_[append.txn];
  if (writer.outcome == Outcome::kFail) {
    Found(kAbortedRead, fmt::format("{} was appended by the failed\n  {}\nbut is in\n  {}", value,
                                    ToString(writer), Describe(list, read)));
    return nullptr;
  }
  return &append;
}

void Inference::PlaceElements(uint32_t list, const Read& longest) {
  ListOrder& order = result_.lists[list];
  for (uint64_t value : *longest.observed) {
    Append* append = AppendBehind(list, longest, value);
    if (append == nullptr) return;
    if (append->position != kNowhere) {
      Found(kDuplicateElements,
            fmt::format("{} is twice in\n  {}", value, Describe(list, longest)));
      return;
    }
    if (!append->first && (append - 1)->position == kNowhere) {
      Found(kIncompatibleOrder,
            fmt::format("{} was appended by\n  {}\nbut not in its order in\n  {}", value,
                        ToString(history_[append->txn]), Describe(list, longest)));
    }
    append->position = static_cast<uint32_t>(order.elements.size());
    order.elements.push_back(value);
    order.writers.push_back(append->txn);
    result_.committed[append->txn] = true;
  }
}

void Inference::CompareRead(uint32_t list, const Read& read) {
  ListOrder& order = result_.lists[list];
  const std::vector<uint64_t>& observed = *read.observed;
  if (observed.size() > order.elements.size() ||
      !std::equal(observed.begin(), observed.end(), order.elements.begin())) {
    ExplainDifference(list, read);
    return;
  }
  if (!read.first) return;
  const auto length = static_cast<uint32_t>(observed.size()) - read.own;
  if (length > 0) {
    const Append& end = lists_[list].appends[lists_[list].by_value[observed[length - 1]]];
    if (!end.last && end.txn != read.txn) {
      Found(kIntermediateRead, fmt::format("amid the appends of\n  {}\nends the read\n  {}",
                                           ToString(history_[end.txn]), Describe(list, read)));
    }
  }
  order.reads.push_back({.txn = read.txn, .length = length});
}

// Finds what is wrong with a read that is not the beginning of the longest.
void Inference::ExplainDifference(uint32_t list, const Read& read) {
  const std::vector<uint64_t>& observed = *read.observed;
  const std::vector<uint64_t>& longest = result_.lists[list].elements;
  absl::flat_hash_set<uint64_t> seen;
  for (uint64_t value : observed) {
    AppendBehind(list, read, value);
    if (seen.insert(value).second) continue;
    Found(kDuplicateElements, fmt::format("{} is twice in\n  {}", value, Describe(list, read)));
  }
  const auto [here, there] =
      std::mismatch(observed.begin(), observed.end(), longest.begin(), longest.end());
  Found(kIncompatibleOrder,
        fmt::format("at position {} the longest list {} differs from\n  {}",
                    here - observed.begin(), ListText(longest), Describe(list, read)));
}

void Inference::FindUnseen(uint32_t list) {
  for (const Append& append : lists_[list].appends) {
    if (append.position != kNowhere || !result_.committed[append.txn]) continue;
    const AppendTxn& writer = history_[append.txn];
    if (writer.outcome == Outcome::kOk && writer.returned_ns < lists_[list].last_called_ns) {
      Found(kLostAppend,
            fmt::format("no list of key \"{}\" has {}, though one was read after\n  {}\n",
                        result_.lists[list].key, append.value, ToString(writer)));
    }
    std::vector<uint32_t>& unseen = result_.lists[list].unseen_writers;
    if (unseen.empty() || unseen.back() != append.txn) unseen.push_back(append.txn);
  }
}

ListOrders Inference::Run() {
  Index();
  if (!result_.misuse.empty()) return std::move(result_);
  for (uint32_t list = 0; list < lists_.size(); ++list) InferOrder(list);
  // Only now it is known who committed.
  for (uint32_t list = 0; list < lists_.size(); ++list) FindUnseen(list);
  return std::move(result_);
}

}  // namespace

std::string ListText(const std::vector<uint64_t>& list) {
  const size_t first = list.size() > kElementsShown ? list.size() - kElementsShown : 0;
  std::string text = first > 0 ? fmt::format("[{} more,", first) : "[";
  for (size_t i = first; i < list.size(); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : " ", list[i]);
  }
  return text + "]";
}

ListOrders InferListOrders(const std::vector<AppendTxn>& history) {
  return Inference(history).Run();
}

}  // namespace conclave::checker
