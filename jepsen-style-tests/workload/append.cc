// Transactions over lists that only grow: read some, append to some, all at once. A list is a key
// whose value names its elements, so a transaction is a read followed by a write that takes effect
// only if nothing that was read has changed. All of them together must be strictly serializable.
// After some appends the clients move on to new lists.
#include <fmt/format.h>

#include <charconv>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jepsen-style-tests/checker/transactions.h"
#include "jepsen-style-tests/workload/all_workloads.h"
#include "jepsen-style-tests/workload/requests.h"
#include "raft/base/check.h"

namespace conclave::sim {

namespace {

using checker::AppendTxn;
using checker::MicroOp;

constexpr uint64_t kAppendsPerGeneration = 60;
constexpr uint64_t kOkMin = 5;  // of reads, and of appends
constexpr int kAttempts = 3;    // of a transaction that others got in the way of

// A list as one transaction saw it.
struct List {
  std::string key = {};
  std::string text = {};
  int64_t mod_revision = 0;  // 0 if it does not exist
};

// "3,14,15": the elements of a list, in order.
std::vector<uint64_t> ElementsOf(std::string_view text) {
  std::vector<uint64_t> elements;
  while (!text.empty()) {
    const char* const end = text.data() + text.size();
    uint64_t element = 0;
    const auto parsed = std::from_chars(text.data(), end, element);
    CHECK(parsed.ec == std::errc());
    elements.push_back(element);
    text.remove_prefix(static_cast<size_t>(parsed.ptr - text.data()));
    if (!text.empty()) text.remove_prefix(1);
  }
  return elements;
}

List ListOf(std::string key, const etcdserverpb::RangeResponse& range) {
  List list{.key = std::move(key)};
  if (range.kvs_size() == 0) return list;
  list.text = range.kvs(0).value();
  list.mod_revision = range.kvs(0).mod_revision();
  return list;
}

MicroOp ReadOf(const List& list) {
  return {.kind = MicroOp::Kind::kRead, .key = list.key, .observed = ElementsOf(list.text)};
}

MicroOp AppendOf(const std::string& key, uint64_t element) {
  return {.kind = MicroOp::Kind::kAppend, .key = key, .value = element, .observed = {}};
}

// A transaction of nothing but reads.
etcdserverpb::TxnRequest ReadAll(const std::vector<std::string>& keys) {
  etcdserverpb::TxnRequest txn;
  for (const std::string& key : keys) *txn.add_success() = OpRange(RangeOf(key));
  return txn;
}

class Append : public Workload {
 public:
  Append(World* world, History* history, Random drawn)
      : Workload("append", world, history, drawn), keys_(random().Between(2, 5)) {}

  void Start() override { SpawnClients(&Append::Client); }
  bool Enough() const override { return ok_reads_ >= kOkMin && ok_appends_ >= kOkMin; }
  Co<void> FinalReads(Session& session) override;
  std::vector<checker::Report> Check() override {
    return {
        checker::CheckTransactions(history_, {.ok_reads_min = kOkMin, .ok_appends_min = kOkMin})};
  }

 private:
  using Keys = std::vector<std::string>;

  Co<void> Client(Session& session);
  Co<void> Operate(Session& session);
  Co<void> ReadInOneTxn(Session& session, Keys keys);
  Co<void> ReadAtOneRevision(Session& session, Keys keys);
  Co<void> ReadAndAppend(Session& session, Keys keys);
  // Appends to some of `lists`, if none has changed since; whether that is known to be done.
  Co<bool> Commit(Session& session, std::vector<List> lists);

  Keys KeysOf(uint64_t generation) const;
  Keys SomeKeys(Random& random) const;
  template <typename Response>
  void Record(const Session& session, std::vector<MicroOp> micro_ops, checker::Outcome outcome,
              int64_t called_ns, const Answer<Response>& last);

  const size_t keys_;
  std::vector<AppendTxn> history_;
  uint64_t appends_ = 0;
  uint64_t ok_reads_ = 0;
  uint64_t ok_appends_ = 0;
};

Append::Keys Append::KeysOf(uint64_t generation) const {
  Keys keys;
  for (size_t i = 0; i < keys_; ++i) keys.push_back(fmt::format("append/{}/{}", generation, i));
  return keys;
}

Append::Keys Append::SomeKeys(Random& random) const {
  Keys keys = KeysOf(appends_ / kAppendsPerGeneration);
  std::erase_if(keys, [&random](const std::string&) { return random.OneIn(2); });
  if (keys.empty()) keys.push_back(KeysOf(appends_ / kAppendsPerGeneration).front());
  return keys;
}

Co<void> Append::Client(Session& session) {
  while (loading()) {
    co_await Operate(session);
    co_await Think(session);
  }
}

Co<void> Append::Operate(Session& session) {
  Keys keys = SomeKeys(session.random());
  switch (session.random().Below(6)) {
    case 0:
      return ReadInOneTxn(session, std::move(keys));
    case 1:
      return ReadAtOneRevision(session, std::move(keys));
    default:
      return ReadAndAppend(session, std::move(keys));
  }
}

template <typename Response>
void Append::Record(const Session& session, std::vector<MicroOp> micro_ops,
                    checker::Outcome outcome, int64_t called_ns, const Answer<Response>& last) {
  for (const MicroOp& op : micro_ops) {
    if (outcome != checker::Outcome::kOk) break;
    ++(op.kind == MicroOp::Kind::kRead ? ok_reads_ : ok_appends_);
  }
  history_.push_back({.id = last.operation,
                      .process = session.client(),
                      .called_ns = called_ns,
                      .returned_ns = last.returned_ns,
                      .outcome = outcome,
                      .micro_ops = std::move(micro_ops)});
}

Co<void> Append::ReadInOneTxn(Session& session, Keys keys) {
  const auto read = co_await session.Txn(ReadAll(keys));
  if (!read.ok()) co_return;
  std::vector<MicroOp> observed;
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto& range = read.response.responses(static_cast<int>(i)).response_range();
    observed.push_back(ReadOf(ListOf(keys[i], range)));
  }
  Record(session, std::move(observed), read.outcome, read.called_ns, read);
}

// The first read is of the present; the others are of the same revision, at leisure.
Co<void> Append::ReadAtOneRevision(Session& session, Keys keys) {
  std::vector<MicroOp> observed;
  int64_t revision = 0;
  int64_t called_ns = 0;
  for (const std::string& key : keys) {
    etcdserverpb::RangeRequest range = RangeOf(key);
    range.set_revision(revision);
    const auto read = co_await session.Range(range);
    if (!read.ok()) co_return;
    observed.push_back(ReadOf(ListOf(key, read.response)));
    if (revision == 0) called_ns = read.called_ns;
    if (revision == 0) revision = read.response.header().revision();
    if (observed.size() == keys.size()) {
      Record(session, std::move(observed), read.outcome, called_ns, read);
      break;
    }
    co_await session.SleepUpTo(Milliseconds(30));
  }
}

Co<void> Append::ReadAndAppend(Session& session, Keys keys) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto read = co_await session.Txn(ReadAll(keys));
    if (!read.ok()) co_return;
    std::vector<List> lists;
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto& range = read.response.responses(static_cast<int>(i)).response_range();
      lists.push_back(ListOf(keys[i], range));
    }
    if (session.random().OneIn(2)) co_await session.SleepUpTo(Milliseconds(20));
    const bool committed = co_await Commit(session, std::move(lists));
    if (committed) co_return;
  }
}

Co<bool> Append::Commit(Session& session, std::vector<List> lists) {
  etcdserverpb::TxnRequest txn;
  std::vector<MicroOp> micro_ops;
  for (const List& list : lists) {
    *txn.add_compare() = IfModRevision(list.key, list.mod_revision);
    micro_ops.push_back(ReadOf(list));
  }
  for (size_t i = 0; i < lists.size(); ++i) {
    if (i > 0 && session.random().OneIn(2)) continue;
    List& list = lists[i];
    for (uint64_t n = session.random().Between(1, 2); n > 0; --n) {
      const uint64_t element = session.UniqueNumber();
      list.text += (list.text.empty() ? "" : ",") + std::to_string(element);
      micro_ops.push_back(AppendOf(list.key, element));
      ++appends_;
    }
    *txn.add_success() = OpPut(list.key, list.text);
  }
  const auto answer = co_await session.Txn(txn);
  checker::Outcome outcome = answer.outcome;
  if (answer.ok() && !answer.response.succeeded()) outcome = checker::Outcome::kFail;
  Record(session, std::move(micro_ops), outcome, answer.called_ns, answer);
  co_return outcome == checker::Outcome::kOk;
}

Co<void> Append::FinalReads(Session& session) {
  const uint64_t last = appends_ / kAppendsPerGeneration;
  for (uint64_t generation = 0; generation <= last; ++generation) {
    co_await ReadInOneTxn(session, KeysOf(generation));
  }
}

}  // namespace

std::unique_ptr<Workload> MakeAppend(World* world, History* history, Random random) {
  return std::make_unique<Append>(world, history, random);
}

}  // namespace conclave::sim
