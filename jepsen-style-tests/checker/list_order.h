// What the reads of a list-append history tell about each list: the order of its elements, who
// wrote and who read which version, and whatever contradicts that there is one such order. Called
// by transactions.cc, which looks for cycles in it; any lane. Transactions are named by their index
// in the history; the history must outlive the result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jepsen-style-tests/checker/transactions.h"

namespace conclave::checker {

// A read by a transaction of what others had appended.
struct ListRead {
  uint32_t txn = 0;
  uint32_t length = 0;  // of the list, without the transaction's own appends
};

struct ListOrder {
  std::string_view key;
  // The longest list read: every other is a prefix of it. writers[i] appended elements[i].
  std::vector<uint64_t> elements;
  std::vector<uint32_t> writers;
  // Writers of what is in no list read; it follows all elements.
  std::vector<uint32_t> unseen_writers;
  std::vector<ListRead> reads;
};

struct ListAnomaly {
  std::string name;   // as listed in transactions.h
  std::string proof;  // for people, several lines
};

struct ListOrders {
  // Something the workload must not do; then nothing else holds.
  std::string misuse;
  // The anomaly that transactions.h lists first. Without one, `lists` explains every read.
  std::optional<ListAnomaly> anomaly;
  std::vector<ListOrder> lists;  // by first mention
  std::vector<bool> committed;   // by transaction: outcome kOk, or kInfo and seen by a read
};

// The list's last elements: "[7 9 4]".
std::string ListText(const std::vector<uint64_t>& list);

ListOrders InferListOrders(const std::vector<AppendTxn>& history);

}  // namespace conclave::checker
