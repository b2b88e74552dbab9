// What a member that lacks the log and the one whose state it fetches say to each other: the
// request and the answer of PeerMethod::kSnapshotChunk (docs/snapshots.md). Written and read by
// SnapshotFetcher and SnapshotSource; plain values, any lane.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "raft/core/core.h"

namespace conclave::server {

struct SnapshotChunkRequest {
  raft::NodeId member;  // who asks
  // Chosen by whoever asks, another one for each attempt. One that the source does not know yet
  // begins with the first chunk, so a question that is repeated begins nothing twice.
  uint64_t session = 0;
  raft::LogIndex at_least = {};  // of a new session: an older state is of no use
  std::string after_key = {};    // the chunk of rows after it; empty for the first one
  friend bool operator==(const SnapshotChunkRequest&, const SnapshotChunkRequest&) = default;
};

struct SnapshotChunkAnswer {
  raft::LogStart start;      // where the session's state stands
  uint64_t total_bytes = 0;  // of the whole state, roughly
  std::string chunk = {};    // kvstore/engine/snapshot.h
  friend bool operator==(const SnapshotChunkAnswer&, const SnapshotChunkAnswer&) = default;
};

// Decode: DataLoss if the bytes are not one.
std::string EncodeSnapshotChunkRequest(const SnapshotChunkRequest& request);
absl::StatusOr<SnapshotChunkRequest> DecodeSnapshotChunkRequest(std::string_view bytes);
std::string EncodeSnapshotChunkAnswer(const SnapshotChunkAnswer& answer);
absl::StatusOr<SnapshotChunkAnswer> DecodeSnapshotChunkAnswer(std::string_view bytes);

}  // namespace conclave::server
