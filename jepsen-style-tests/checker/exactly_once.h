// Writes that were sent again and again under one request id: each took effect exactly once if it
// was acknowledged, never if it was refused and at most once if nobody knows; whoever asked again
// got the first answer; and an id that was used serves no other request. Called by whoever holds a
// finished history; any lane. Deterministic, linear in the size of the log.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jepsen-style-tests/checker/kv_history.h"
#include "jepsen-style-tests/checker/verdict.h"

namespace conclave::checker {

// One more request under the id of a write that had been acknowledged.
struct RepeatedRequest {
  bool same = true;  // as the write's; else another one
  Outcome outcome = Outcome::kOk;
  std::string response = {};      // kOk: its bytes
  bool refused_as_other = false;  // kFail: because the id is another request's
};

// All requests under one id together. They put one pair that no other write puts.
struct OnceWrite {
  uint64_t id = 0;       // the recorder's number, for explanations
  uint64_t process = 0;  // the client, for explanations
  std::string key;
  std::string value;
  Outcome outcome = Outcome::kOk;
  uint64_t attempts = 1;
  int64_t revision = 0;       // kOk: of the response
  std::string response = {};  // kOk: its bytes
  std::vector<RepeatedRequest> repeated = {};
};

// Names of anomalies, in the order in which they are looked for in each write:
//   applied-twice       more than one revision put its pair
//   lost                acknowledged, and no revision put it
//   wrong-revision      ... another revision than was acknowledged
//   refused-yet-applied its outcome is kFail, and a revision put it
//   other-answer        the same request got another answer later, or was refused as another one
//   reused-id-answered  another request under its id was not refused as such
// Invalid with fewer than `ok_writes_min` acknowledged writes.
Report CheckExactlyOnce(const std::vector<OnceWrite>& writes, const EventLog& log,
                        uint64_t ok_writes_min = 5);

}  // namespace conclave::checker
