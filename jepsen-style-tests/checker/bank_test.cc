#include "jepsen-style-tests/checker/bank.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conclave::checker {
namespace {

using testing::HasSubstr;

constexpr BankOptions kAnySize{.overdraft_allowed = false, .reads_min = 0, .ok_transfers_min = 0};

BankTransfer Transfer(std::string from, std::string to, int64_t amount, int64_t called,
                      int64_t returned) {
  BankTransfer transfer;
  transfer.from = std::move(from);
  transfer.to = std::move(to);
  transfer.amount = amount;
  transfer.called_ns = called;
  transfer.returned_ns = returned;
  if (returned == kNeverReturned) transfer.outcome = Outcome::kInfo;
  return transfer;
}

BankRead Read(Balances balances, int64_t called, int64_t returned) {
  BankRead read;
  read.id = static_cast<uint64_t>(called);
  read.balances = std::move(balances);
  read.called_ns = called;
  read.returned_ns = returned;
  return read;
}

std::string AnomalyIn(std::vector<BankTransfer> transfers, std::vector<BankRead> reads) {
  const BankHistory history{{{"a", 10}, {"b", 10}}, std::move(transfers), std::move(reads)};
  const Report report = CheckBank(history, kAnySize);
  return report.passed() ? "" : report.anomaly;
}

TEST(BankTest, AcceptsWhatABankDoes) {
  EXPECT_EQ(AnomalyIn({Transfer("a", "b", 3, 5, 6), Transfer("b", "a", 1, 8, 9)},
                      {Read({{"a", 10}, {"b", 10}}, 1, 2), Read({{"a", 7}, {"b", 13}}, 7, 7),
                       Read({{"a", 8}, {"b", 12}}, 10, 11)}),
            "");
}

TEST(BankTest, ATransferInFlightMayShowOrNot) {
  for (int64_t returned : {int64_t{9}, kNeverReturned}) {
    const BankTransfer transfer = Transfer("a", "b", 3, 5, returned);
    EXPECT_EQ(AnomalyIn({transfer}, {Read({{"a", 10}, {"b", 10}}, 7, 8)}), "");
    EXPECT_EQ(AnomalyIn({transfer}, {Read({{"a", 7}, {"b", 13}}, 7, 8)}), "");
    EXPECT_EQ(AnomalyIn({transfer}, {Read({{"a", 4}, {"b", 16}}, 7, 8)}), "impossible-balance");
  }
}

TEST(BankTest, NamesWhatIsWrong) {
  const BankTransfer transfer = Transfer("a", "b", 3, 5, 6);
  EXPECT_EQ(AnomalyIn({transfer}, {Read({{"a", 7}, {"b", 14}}, 7, 8)}), "money-created");
  EXPECT_EQ(AnomalyIn({transfer}, {Read({{"a", 7}, {"b", 10}}, 7, 8)}), "money-destroyed");
  EXPECT_EQ(AnomalyIn({transfer}, {Read({{"a", -1}, {"b", 21}}, 7, 8)}), "negative-balance");
  EXPECT_EQ(AnomalyIn({transfer}, {Read({{"a", 7}}, 7, 8)}), "wrong-accounts");
  EXPECT_EQ(AnomalyIn({transfer}, {Read({{"a", 7}, {"b", 10}, {"c", 3}}, 7, 8)}), "wrong-accounts");
  EXPECT_EQ(AnomalyIn({transfer}, {Read({{"a", 10}, {"b", 10}}, 7, 8)}), "impossible-balance");
  EXPECT_EQ(AnomalyIn({transfer}, {Read({{"a", 7}, {"b", 13}}, 1, 2)}), "impossible-balance");
}

TEST(BankTest, AFailedTransferNeverShows) {
  BankTransfer transfer = Transfer("a", "b", 3, 5, 6);
  transfer.outcome = Outcome::kFail;
  EXPECT_EQ(AnomalyIn({transfer}, {Read({{"a", 10}, {"b", 10}}, 7, 8)}), "");
  EXPECT_EQ(AnomalyIn({transfer}, {Read({{"a", 7}, {"b", 13}}, 7, 8)}), "impossible-balance");
}

TEST(BankTest, ExplainsWithTheSnapshotsAround) {
  const BankHistory history{
      {{"a", 10}}, {}, {Read({{"a", 10}}, 1, 2), Read({{"a", 11}}, 3, 4), Read({{"a", 10}}, 5, 6)}};
  const Report report = CheckBank(history, kAnySize);
  EXPECT_EQ(report.verdict, Verdict::kFail);
  EXPECT_THAT(report.explanation, HasSubstr("read #3 is wrong: its total is 11, but must be 10"));
  EXPECT_THAT(report.explanation, HasSubstr("\n* #3 process 0: ok, from 3 ns to 4 ns: a=11"));
  EXPECT_THAT(report.explanation, HasSubstr("\n  #5"));
}

TEST(BankTest, OverdraftMayBeAllowedAndTooLittleIsInvalid) {
  BankHistory history{
      {{"a", 0}, {"b", 0}}, {Transfer("a", "b", 1, 0, 1)}, {Read({{"a", -1}, {"b", 1}}, 2, 3)}};
  EXPECT_EQ(CheckBank(history).anomaly, "negative-balance");
  EXPECT_EQ(CheckBank(history, {.overdraft_allowed = true}).verdict, Verdict::kInvalid);
  EXPECT_TRUE(CheckBank(history, {.overdraft_allowed = true, .reads_min = 1, .ok_transfers_min = 1})
                  .passed());
}

}  // namespace
}  // namespace conclave::checker
