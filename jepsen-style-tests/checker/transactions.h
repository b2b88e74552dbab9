// Strict serializability of list-append transactions, inferred from what reads observed, after the
// method of Elle (Kingsbury and Alvaro, VLDB 2020). Called by whoever holds a finished history; any
// lane. Deterministic, and close to linear in the size of the history.
//
// Reads of a growing list tell the order of its versions. From that follow the dependencies between
// transactions (ww: wrote the next version; wr: observed the version; rw: overwrote the version
// that was observed; rt: was called after the other returned), and a cycle among them is an
// anomaly.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jepsen-style-tests/checker/verdict.h"

namespace conclave::checker {

struct MicroOp {
  enum class Kind { kAppend, kRead };

  Kind kind = Kind::kRead;
  std::string key;
  uint64_t value = 0;              // kAppend: unique among all appends to the key
  std::vector<uint64_t> observed;  // kRead of a transaction with outcome kOk: the whole list
};

// The micro-operations take effect in order and all at once.
struct AppendTxn {
  uint64_t id = 0;       // the recorder's number, for explanations
  uint64_t process = 0;  // the client, for explanations
  int64_t called_ns = 0;
  int64_t returned_ns = kNeverReturned;  // kOk: >= called_ns; kInfo: ignored
  Outcome outcome = Outcome::kOk;
  std::vector<MicroOp> micro_ops;
};

// One line: `#7 process 2: append x 5, read y [1 2], ok, from 1200 ns to 1900 ns`.
std::string ToString(const AppendTxn& txn);

struct TransactionOptions {
  uint64_t ok_reads_min = 5;    // fewer acknowledged reads: kInvalid
  uint64_t ok_appends_min = 5;  // fewer acknowledged appends: kInvalid
};

// Names of anomalies; of several the report has the one listed first:
//   internal              a read contradicts its transaction's earlier reads and appends
//   duplicate-elements    a list holds an element twice
//   unwritten-read        a list holds an element that nobody appended
//   G1a                   aborted read: ... that only a transaction with outcome kFail appended
//   G1b                   intermediate read: a list ends amid another transaction's appends
//   incompatible-order    two lists of a key are not prefixes of one order, or a transaction's
//                         appends are not in its order
//   lost-append           an acknowledged append is in no list read, even after it
//   G0                    a cycle of ww
//   G1c                   a cycle of ww and wr
//   G-single              a cycle with exactly one rw (read skew, lost update)
//   G2                    a cycle with several rw (write skew)
//   G0-realtime, G1c-realtime, G-single-realtime (a stale read), G2-realtime
//                         the same, but the cycle exists only with rt
//
// Without an anomaly the history is strictly serializable: an order that respects the dependencies
// explains every read.
Report CheckTransactions(const std::vector<AppendTxn>& history,
                         const TransactionOptions& options = {});

}  // namespace conclave::checker
