// Histories as a correct store would produce them, for the tests of the checkers: clients call at
// random times, each operation takes effect at some time between call and return (or, if its
// outcome is unknown, at any time later or never), and answers come from a store in memory.
// Deterministic for a seed; any lane.
#pragma once

#include <cstddef>
#include <vector>

#include "jepsen-style-tests/checker/bank.h"
#include "jepsen-style-tests/checker/register_operation.h"
#include "jepsen-style-tests/checker/transactions.h"
#include "raft/base/random.h"

namespace conclave::checker {

// How the clients of a history behave.
struct Traffic {
  uint64_t clients = 6;
  uint64_t operations = 240;
  uint64_t one_fails_in = 16;       // 0: none fails
  uint64_t one_is_unknown_in = 16;  // 0: all outcomes are known
  int64_t pause_ns = 500;           // between the operations of a client, on average
};

// Two clients that hardly meet and always learn what happened.
inline constexpr Traffic kQuiet{
    .clients = 2, .operations = 240, .one_fails_in = 16, .one_is_unknown_in = 0, .pause_ns = 3000};

// Registers "a" to "c"; every value is written at most once.
std::vector<RegisterOperation> ValidRegisterHistory(const Traffic& traffic, Random* random);
// Lists "x" to "z"; a last transaction for each list reads it after all others have ended.
std::vector<AppendTxn> ValidAppendHistory(const Traffic& traffic, Random* random);
// Accounts "a" to "e"; a last read follows all transfers.
BankHistory ValidBankHistory(const Traffic& traffic, Random* random);

}  // namespace conclave::checker
