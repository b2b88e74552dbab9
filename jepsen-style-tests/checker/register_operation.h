// The operations of a register with compare-and-set, as a history records them. Written by whatever
// runs the workload (simulated or real clusters), read by linearizability.h; plain values, any
// lane. `returned_ns` of an operation with outcome kInfo is ignored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "jepsen-style-tests/checker/verdict.h"

namespace conclave::checker {

enum class RegisterKind {
  kRead,
  kWrite,
  kCompareAndSet,
  kDelete,
};

// A register's value; nullopt while the key does not exist, as at the start.
using RegisterValue = std::optional<std::string>;

struct RegisterOperation {
  uint64_t id = 0;       // the recorder's number, for explanations
  uint64_t process = 0;  // the client, for explanations
  std::string key;
  RegisterKind kind = RegisterKind::kRead;
  RegisterValue value;     // kRead: what was observed; kWrite, kCompareAndSet: what to store (a
                           // compare-and-set to nullopt deletes)
  RegisterValue expected;  // kCompareAndSet: stores `value` if the register holds this
  bool succeeded = false;  // kCompareAndSet with outcome kOk: the answer, whether it stored
  Outcome outcome = Outcome::kOk;
  int64_t called_ns = 0;
  int64_t returned_ns = kNeverReturned;  // kOk: >= called_ns; kInfo: ignored
};

// One line: `#7 process 2: read "a", ok, from 1200 ns to 1900 ns`.
std::string ToString(const RegisterOperation& operation);

// What a write, delete or compare-and-set would leave in the register.
RegisterValue StoredBy(const RegisterOperation& operation);
// Whether the operation was acknowledged and left the register as it was: a read, or a
// compare-and-set that was refused.
bool StoredNothing(const RegisterOperation& operation);
// The value in quotes, or "nothing".
std::string Quoted(const RegisterValue& value);

}  // namespace conclave::checker
