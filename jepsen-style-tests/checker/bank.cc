#include "jepsen-style-tests/checker/bank.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace conclave::checker {
namespace {

// How many snapshots before and after the wrong one an explanation shows.
constexpr size_t kSnapshotsAround = 2;

// Amounts at times, for sums up to a time.
class Amounts {
 public:
  void Add(int64_t time_ns, int64_t amount) { sums_.emplace_back(time_ns, amount); }

  // After the last Add, before the first SumBefore.
  void Accumulate() {
    std::stable_sort(sums_.begin(), sums_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    int64_t sum = 0;
    for (auto& [time_ns, amount] : sums_) amount = sum += amount;
  }

  int64_t SumBefore(int64_t time_ns) const {
    const auto end = std::lower_bound(sums_.begin(), sums_.end(), time_ns,
                                      [](const auto& a, int64_t time) { return a.first < time; });
    return end == sums_.begin() ? 0 : std::prev(end)->second;
  }

 private:
  std::vector<std::pair<int64_t, int64_t>> sums_;
};

// One direction of an account's transfers: those acknowledged, by return, and those that may have
// taken effect, by call.
struct Flow {
  Amounts done;
  Amounts begun;
};

struct Account {
  int64_t initial = 0;
  Flow in;
  Flow out;
};

struct Finding {
  std::string anomaly;
  std::string reason;
};

class Bank {
 public:
  Bank(const BankHistory& history, const BankOptions& options);

  // What is wrong with the read, if anything.
  std::optional<Finding> Judge(const BankRead& read) const;

 private:
  std::optional<Finding> JudgeAccounts(const BankRead& read) const;
  std::optional<Finding> JudgeTotal(const BankRead& read) const;
  std::optional<Finding> JudgeBalances(const BankRead& read) const;

  const bool overdraft_allowed_;
  int64_t total_ = 0;
  std::map<std::string, Account> accounts_;
};

void Record(const BankTransfer& transfer, Flow* flow) {
  flow->begun.Add(transfer.called_ns, transfer.amount);
  if (transfer.outcome == Outcome::kOk) flow->done.Add(transfer.returned_ns, transfer.amount);
}

Bank::Bank(const BankHistory& history, const BankOptions& options)
    : overdraft_allowed_(options.overdraft_allowed) {
  for (const auto& [name, balance] : history.initial) {
    accounts_[name].initial = balance;
    total_ += balance;
  }
  for (const BankTransfer& transfer : history.transfers) {
    if (transfer.outcome == Outcome::kFail || transfer.from == transfer.to) continue;
    Record(transfer, &accounts_[transfer.from].out);
    Record(transfer, &accounts_[transfer.to].in);
  }
  for (auto& [name, account] : accounts_) {
    for (Flow* flow : {&account.in, &account.out}) {
      flow->done.Accumulate();
      flow->begun.Accumulate();
    }
  }
}

std::optional<Finding> Bank::Judge(const BankRead& read) const {
  if (auto found = JudgeAccounts(read)) return found;
  if (auto found = JudgeTotal(read)) return found;
  return JudgeBalances(read);
}

std::optional<Finding> Bank::JudgeAccounts(const BankRead& read) const {
  const auto same_name = [](const auto& a, const auto& b) { return a.first == b.first; };
  if (std::equal(read.balances.begin(), read.balances.end(), accounts_.begin(), accounts_.end(),
                 same_name)) {
    return std::nullopt;
  }
  return Finding{"wrong-accounts", fmt::format("it shows {} accounts, but these are not the {} "
                                               "that were opened",
                                               read.balances.size(), accounts_.size())};
}

std::optional<Finding> Bank::JudgeTotal(const BankRead& read) const {
  int64_t total = 0;
  for (const auto& [name, balance] : read.balances) total += balance;
  if (total == total_) return std::nullopt;
  return Finding{total > total_ ? "money-created" : "money-destroyed",
                 fmt::format("its total is {}, but must be {}", total, total_)};
}

std::optional<Finding> Bank::JudgeBalances(const BankRead& read) const {
  for (const auto& [name, balance] : read.balances) {
    if (balance < 0 && !overdraft_allowed_) {
      return Finding{"negative-balance", fmt::format("account \"{}\" is overdrawn", name)};
    }
  }
  for (const auto& [name, balance] : read.balances) {
    const Account& account = accounts_.at(name);
    const int64_t low = account.initial + account.in.done.SumBefore(read.called_ns) -
                        account.out.begun.SumBefore(read.returned_ns + 1);
    const int64_t high = account.initial + account.in.begun.SumBefore(read.returned_ns + 1) -
                         account.out.done.SumBefore(read.called_ns);
    if (balance >= low && balance <= high) continue;
    return Finding{"impossible-balance",
                   fmt::format("account \"{}\" must be between {} and {}, by the transfers "
                               "acknowledged before and those begun until then",
                               name, low, high)};
  }
  return std::nullopt;
}

std::string ToString(const BankRead& read) {
  std::string text = fmt::format("#{} process {}: {}:", read.id, read.process,
                                 ToString(Outcome::kOk, read.called_ns, read.returned_ns));
  int64_t total = 0;
  for (const auto& [name, balance] : read.balances) {
    text += fmt::format(" {}={}", name, balance);
    total += balance;
  }
  return text + fmt::format(" total={}", total);
}

std::string Explain(const std::vector<const BankRead*>& reads, size_t wrong,
                    const std::string& reason) {
  std::string text = fmt::format("read #{} is wrong: {}\n", reads[wrong]->id, reason);
  const size_t first = wrong - std::min(wrong, kSnapshotsAround);
  const size_t last = std::min(reads.size() - 1, wrong + kSnapshotsAround);
  for (size_t i = first; i <= last; ++i) {
    text += fmt::format("{} {}\n", i == wrong ? "*" : " ", ToString(*reads[i]));
  }
  return text;
}

}  // namespace

Report CheckBank(const BankHistory& history, const BankOptions& options) {
  Report report{.checker = "bank",
                .verdict = Verdict::kPass,
                .anomaly = {},
                .explanation = {},
                .checked = history.reads.size(),
                .unit = "reads"};
  std::vector<const BankRead*> reads;
  for (const BankRead& read : history.reads) reads.push_back(&read);
  std::stable_sort(reads.begin(), reads.end(),
                   [](const auto* a, const auto* b) { return a->returned_ns < b->returned_ns; });
  const Bank bank(history, options);
  for (size_t i = 0; i < reads.size(); ++i) {
    const std::optional<Finding> found = bank.Judge(*reads[i]);
    if (!found.has_value()) continue;
    report.verdict = Verdict::kFail;
    report.anomaly = found->anomaly;
    report.explanation = Explain(reads, i, found->reason);
    return report;
  }
  const auto ok_transfers = static_cast<uint64_t>(
      std::count_if(history.transfers.begin(), history.transfers.end(),
                    [](const auto& transfer) { return transfer.outcome == Outcome::kOk; }));
  if (reads.size() < options.reads_min || ok_transfers < options.ok_transfers_min) {
    report.verdict = Verdict::kInvalid;
    report.explanation =
        fmt::format("only {} reads and {} transfers were acknowledged, {} and {} are needed\n",
                    reads.size(), ok_transfers, options.reads_min, options.ok_transfers_min);
  }
  return report;
}

}  // namespace conclave::checker
