// The bank: transfers between accounts must keep the total and overdraw nobody, in every snapshot
// that a read of the whole bank returns. Called by whoever holds a finished history; any lane.
// Deterministic, O(n log n).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "jepsen-style-tests/checker/verdict.h"

namespace conclave::checker {

// Account name to money. Money is a whole number.
using Balances = std::map<std::string, int64_t>;

struct BankTransfer {
  uint64_t id = 0;       // the recorder's number, for explanations
  uint64_t process = 0;  // the client, for explanations
  std::string from;
  std::string to;
  int64_t amount = 0;              // > 0
  Outcome outcome = Outcome::kOk;  // a transfer refused for want of money is kFail
  int64_t called_ns = 0;
  int64_t returned_ns = kNeverReturned;  // kOk: >= called_ns; kInfo: ignored
};

// An acknowledged read of the whole bank in one transaction; others need not be recorded.
struct BankRead {
  uint64_t id = 0;       // the recorder's number, for explanations
  uint64_t process = 0;  // the client, for explanations
  Balances balances;
  int64_t called_ns = 0;
  int64_t returned_ns = 0;
};

struct BankHistory {
  Balances initial;  // before the first operation: all accounts there are
  std::vector<BankTransfer> transfers;
  std::vector<BankRead> reads;
};

struct BankOptions {
  bool overdraft_allowed = false;
  uint64_t reads_min = 5;         // fewer reads: kInvalid
  uint64_t ok_transfers_min = 5;  // fewer acknowledged transfers: kInvalid
};

// Names of anomalies, in the order in which they are looked for in each read, by time of return:
//   wrong-accounts      an account is missing, or one is there that nobody opened
//   money-created       the total is more than it was at the start
//   money-destroyed     ... less
//   negative-balance    an account is overdrawn
//   impossible-balance  a balance that no choice among the transfers in flight explains: the read
//                       is stale, or a transfer was lost, half applied or applied twice
// The explanation of a failure lists the snapshots around it.
Report CheckBank(const BankHistory& history, const BankOptions& options = {});

}  // namespace conclave::checker
