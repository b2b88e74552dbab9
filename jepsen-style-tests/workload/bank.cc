// A bank: transfers between accounts, each a transaction that takes effect only if neither account
// has changed since it was read, and reads of the whole bank at once. The total stays the same and
// nobody is overdrawn, in every read.
#include <fmt/format.h>

#include <charconv>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jepsen-style-tests/checker/bank.h"
#include "jepsen-style-tests/workload/all_workloads.h"
#include "jepsen-style-tests/workload/requests.h"
#include "raft/base/check.h"

namespace conclave::sim {

namespace {

constexpr std::string_view kPrefix = "bank/";
constexpr uint64_t kOkMin = 5;  // of reads, and of transfers

// The value of an account is "<balance> <unique number>": values of puts must differ.
int64_t BalanceOf(std::string_view value) {
  int64_t balance = 0;
  const auto parsed = std::from_chars(value.data(), value.data() + value.size(), balance);
  CHECK(parsed.ec == std::errc());
  return balance;
}

std::string ValueOf(int64_t balance, Session& session) {
  return fmt::format("{} {}", balance, session.UniqueNumber());
}

class Bank : public Workload {
 public:
  Bank(World* world, History* history, Random drawn) : Workload("bank", world, history, drawn) {
    const uint64_t accounts = random().Between(2, 6);
    for (uint64_t i = 0; i < accounts; ++i) {
      const std::string account = fmt::format("{}{}", kPrefix, i);
      accounts_.push_back(account);
      bank_.initial[account] = static_cast<int64_t>(random().Between(10, 100));
    }
  }

  void Start() override { SpawnClients(&Bank::Client); }
  bool Enough() const override { return bank_.reads.size() >= kOkMin && ok_transfers_ >= kOkMin; }
  Co<void> FinalReads(Session& session) override;
  std::vector<checker::Report> Check() override {
    return {checker::CheckBank(bank_, {.reads_min = kOkMin, .ok_transfers_min = kOkMin})};
  }

 private:
  Co<void> Client(Session& session);
  Co<void> Operate(Session& session);
  Co<void> OpenAccounts(Session& session);
  Co<void> ReadBank(Session& session);
  Co<void> Transfer(Session& session);

  std::vector<std::string> accounts_;
  checker::BankHistory bank_;
  bool open_ = false;
  uint64_t ok_transfers_ = 0;
};

Co<void> Bank::Client(Session& session) {
  while (loading() && !open_) {
    co_await OpenAccounts(session);
    co_await Think(session);
  }
  while (loading()) {
    co_await Operate(session);
    co_await Think(session);
  }
}

Co<void> Bank::Operate(Session& session) {
  return session.random().OneIn(3) ? ReadBank(session) : Transfer(session);
}

// Every client does this; the first opens all accounts, and the others find them.
Co<void> Bank::OpenAccounts(Session& session) {
  etcdserverpb::TxnRequest txn;
  *txn.add_compare() = IfCreateRevision(accounts_.front(), 0);
  for (const std::string& account : accounts_) {
    *txn.add_success() = OpPut(account, ValueOf(bank_.initial.at(account), session));
  }
  const auto answer = co_await session.Txn(txn);
  open_ = open_ || answer.ok();
}

Co<void> Bank::ReadBank(Session& session) {
  const auto read = co_await session.Range(RangeOfPrefix(kPrefix));
  if (!read.ok()) co_return;
  checker::Balances balances;
  for (const auto& kv : read.response.kvs()) balances[kv.key()] = BalanceOf(kv.value());
  bank_.reads.push_back({.id = read.operation,
                         .process = session.client(),
                         .balances = std::move(balances),
                         .called_ns = read.called_ns,
                         .returned_ns = read.returned_ns});
}

Co<void> Bank::Transfer(Session& session) {
  const size_t from = session.random().Below(accounts_.size());
  const size_t to = (from + session.random().Between(1, accounts_.size() - 1)) % accounts_.size();
  checker::BankTransfer transfer{.from = accounts_[from], .to = accounts_[to]};

  etcdserverpb::TxnRequest read_both;
  *read_both.add_success() = OpRange(RangeOf(transfer.from));
  *read_both.add_success() = OpRange(RangeOf(transfer.to));
  const auto read = co_await session.Txn(read_both);
  if (!read.ok()) co_return;
  for (const auto& response : read.response.responses()) {
    if (response.response_range().kvs_size() != 1) co_return;  // reads of the bank will tell
  }
  const mvccpb::KeyValue& from_kv = read.response.responses(0).response_range().kvs(0);
  const mvccpb::KeyValue& to_kv = read.response.responses(1).response_range().kvs(0);
  const int64_t funds = BalanceOf(from_kv.value());
  if (funds == 0) co_return;
  transfer.amount = static_cast<int64_t>(session.random().Between(1, static_cast<uint64_t>(funds)));

  etcdserverpb::TxnRequest move;
  *move.add_compare() = IfModRevision(transfer.from, from_kv.mod_revision());
  *move.add_compare() = IfModRevision(transfer.to, to_kv.mod_revision());
  *move.add_success() = OpPut(transfer.from, ValueOf(funds - transfer.amount, session));
  *move.add_success() =
      OpPut(transfer.to, ValueOf(BalanceOf(to_kv.value()) + transfer.amount, session));
  const auto moved = co_await session.Txn(move);

  transfer.id = moved.operation;
  transfer.process = session.client();
  transfer.outcome = moved.outcome;
  if (moved.ok() && !moved.response.succeeded()) transfer.outcome = checker::Outcome::kFail;
  transfer.called_ns = moved.called_ns;
  transfer.returned_ns = moved.returned_ns;
  if (transfer.outcome == checker::Outcome::kOk) ++ok_transfers_;
  bank_.transfers.push_back(std::move(transfer));
}

Co<void> Bank::FinalReads(Session& session) {
  if (open_) co_await ReadBank(session);
}

}  // namespace

std::unique_ptr<Workload> MakeBank(World* world, History* history, Random random) {
  return std::make_unique<Bank>(world, history, random);
}

}  // namespace conclave::sim
