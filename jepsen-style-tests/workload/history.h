// What all clients of a run asked and were answered, in the form that the checkers of the whole
// cluster read. Sessions write it by themselves; workloads may read it. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jepsen-style-tests/checker/kv_history.h"
#include "jepsen-style-tests/checker/lease_rules.h"
#include "jepsen-style-tests/sim/network.h"

namespace conclave::sim {

class History {
 public:
  // A number for one more client.
  End NextClient() { return next_client_++; }

  // An operation begins. Until it ends its outcome is kInfo, as befits one that never does. Returns
  // its number, KvOperation::id.
  uint64_t BeginKv(End client, checker::KvRequest request, int64_t now_ns);
  // `response` counts if the outcome is kOk, `error` if it is kFail.
  void EndKv(uint64_t operation, checker::Outcome outcome, checker::KvResponse response,
             std::string error, int64_t now_ns);

  const std::vector<checker::KvOperation>& kv() const { return kv_; }

  // Grants, keepalives and revokes; the ends and the healthy intervals are the world's to say.
  checker::LeaseHistory& leases() { return leases_; }
  const checker::LeaseHistory& leases() const { return leases_; }

  // The newest revision in any response: where the present is, roughly.
  int64_t revision_seen() const { return revision_seen_; }
  void SeeRevision(int64_t revision);

  // The newest revision that was acknowledged as compacted; 0 if there is none.
  int64_t compact_revision() const { return compact_revision_; }

  uint64_t ok_writes() const { return ok_writes_; }  // acknowledged and made a revision
  uint64_t ok_reads() const { return ok_reads_; }    // acknowledged and made none

 private:
  End next_client_ = kFirstClient;
  std::vector<checker::KvOperation> kv_;
  checker::LeaseHistory leases_;
  int64_t revision_seen_ = 1;
  int64_t compact_revision_ = 0;
  uint64_t ok_writes_ = 0;
  uint64_t ok_reads_ = 0;
};

}  // namespace conclave::sim
