#include <gtest/gtest.h>

#include <algorithm>

#include "jepsen-style-tests/checker/bank.h"
#include "jepsen-style-tests/checker/mutators.h"

namespace conclave::checker {
namespace {

BankRead* AnyRead(Random* random, BankHistory* history) {
  return &history->reads[random->Below(history->reads.size())];
}

std::string AnyAccount(Random* random, const BankHistory& history) {
  return std::next(history.initial.begin(),
                   static_cast<std::ptrdiff_t>(random->Below(history.initial.size())))
      ->first;
}

bool MoneyCreated(Random* random, BankHistory* history) {
  AnyRead(random, history)->balances[AnyAccount(random, *history)] += 1;
  return true;
}

// What a transfer had left its one account but not reached the other.
bool HalfATransfer(Random* random, BankHistory* history) {
  BankRead* read = AnyRead(random, history);
  const std::string from = AnyAccount(random, *history);
  if (read->balances[from] < 1) return false;
  read->balances[from] -= 1;
  return true;
}

bool Overdraft(Random* random, BankHistory* history) {
  BankRead* read = AnyRead(random, history);
  const std::string from = AnyAccount(random, *history);
  const std::string to = AnyAccount(random, *history);
  if (from == to) return false;
  read->balances[to] += read->balances[from] + 1;
  read->balances[from] = -1;
  return true;
}

bool AccountMissing(Random* random, BankHistory* history) {
  AnyRead(random, history)->balances.erase(AnyAccount(random, *history));
  return true;
}

bool AccountInvented(Random* random, BankHistory* history) {
  AnyRead(random, history)->balances["nobody"] = 0;
  return true;
}

// After all else: a transfer of 1, and a read that shows it `times` times.
bool TransferShownTimes(int64_t times, Random* random, BankHistory* history) {
  BankRead read = history->reads.back();
  const auto richest =
      std::max_element(read.balances.begin(), read.balances.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  BankTransfer transfer;
  transfer.from = richest->first;
  transfer.to = AnyAccount(random, *history);
  transfer.amount = 1;
  transfer.called_ns = read.returned_ns + 10;
  transfer.returned_ns = read.returned_ns + 20;
  if (transfer.from == transfer.to) return false;
  read.balances[transfer.from] -= times;
  read.balances[transfer.to] += times;
  read.called_ns += 30;
  read.returned_ns += 30;
  history->transfers.push_back(std::move(transfer));
  history->reads.push_back(std::move(read));
  return true;
}

bool StaleSnapshot(Random* random, BankHistory* history) {
  return TransferShownTimes(0, random, history);
}

bool TransferAppliedTwice(Random* random, BankHistory* history) {
  return TransferShownTimes(2, random, history);
}

bool FailedTransferApplied(Random* random, BankHistory* history) {
  if (!TransferShownTimes(1, random, history)) return false;
  history->transfers.back().outcome = Outcome::kFail;
  return true;
}

using BankMutator = Mutator<BankHistory>;

const BankMutator kMutators[] = {
    {"MoneyCreated", "money-created", MoneyCreated},
    {"HalfATransfer", "money-destroyed", HalfATransfer},
    {"Overdraft", "negative-balance", Overdraft},
    {"AccountMissing", "wrong-accounts", AccountMissing},
    {"AccountInvented", "wrong-accounts", AccountInvented},
    {"StaleSnapshot", "impossible-balance", StaleSnapshot, kQuiet},
    {"TransferAppliedTwice", "impossible-balance", TransferAppliedTwice, kQuiet},
    {"FailedTransferApplied", "impossible-balance", FailedTransferApplied, kQuiet},
};

class BankMutatorsTest : public testing::TestWithParam<BankMutator> {};

TEST_P(BankMutatorsTest, IsDetectedAndNamed) {
  ExpectDetected<BankHistory>(GetParam(), ValidBankHistory,
                              [](const BankHistory& history) { return CheckBank(history); });
}

INSTANTIATE_TEST_SUITE_P(All, BankMutatorsTest, testing::ValuesIn(kMutators), NameOf<BankHistory>);

}  // namespace
}  // namespace conclave::checker
