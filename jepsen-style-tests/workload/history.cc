#include "jepsen-style-tests/workload/history.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "jepsen-style-tests/checker/request_replay.h"
#include "raft/base/check.h"

namespace conclave::sim {

uint64_t History::BeginKv(End client, checker::KvRequest request, int64_t now_ns) {
  checker::KvOperation& operation = kv_.emplace_back();
  operation.id = kv_.size();
  operation.process = client;
  operation.called_ns = now_ns;
  operation.outcome = checker::Outcome::kInfo;
  operation.request = std::move(request);
  return operation.id;
}

void History::EndKv(uint64_t operation, checker::Outcome outcome, checker::KvResponse response,
                    std::string error, int64_t now_ns) {
  CHECK(operation >= 1 && operation <= kv_.size());
  checker::KvOperation& ended = kv_[operation - 1];
  ended.outcome = outcome;
  if (outcome == checker::Outcome::kInfo) return;
  ended.returned_ns = now_ns;
  if (outcome == checker::Outcome::kFail) {
    ended.error = std::move(error);
    return;
  }
  ended.response = std::move(response);
  SeeRevision(ended.header_revision());
  if (const auto* compaction = std::get_if<etcdserverpb::CompactionRequest>(&ended.request)) {
    compact_revision_ = std::max(compact_revision_, compaction->revision());
  }
  ++(checker::MadeRevision(ended.response) ? ok_writes_ : ok_reads_);
}

void History::SeeRevision(int64_t revision) { revision_seen_ = std::max(revision_seen_, revision); }

}  // namespace conclave::sim
