#include "server/stages/snapshot_wire.h"

#include <utility>

#include "raft/base/coding.h"

namespace conclave::server {

std::string EncodeSnapshotChunkRequest(const SnapshotChunkRequest& request) {
  std::string out;
  PutFixed64(out, request.member.value());
  PutFixed64(out, request.session);
  PutVarint(out, request.at_least.value());
  out += request.after_key;
  return out;
}

absl::StatusOr<SnapshotChunkRequest> DecodeSnapshotChunkRequest(std::string_view bytes) {
  ByteReader reader(bytes);
  SnapshotChunkRequest request;
  request.member = raft::NodeId(reader.Fixed64());
  request.session = reader.Fixed64();
  request.at_least = raft::LogIndex(reader.Varint());
  request.after_key = reader.Take(reader.remaining());
  if (!reader.finished()) return absl::DataLossError("not a request for a snapshot's chunk");
  return request;
}

std::string EncodeSnapshotChunkAnswer(const SnapshotChunkAnswer& answer) {
  const std::string configuration = raft::EncodeConfiguration(answer.start.configuration);
  std::string out;
  out.reserve(configuration.size() + answer.chunk.size() + 64);
  PutVarint(out, answer.start.index.value());
  PutVarint(out, answer.start.term.value());
  PutVarint(out, configuration.size());
  out += configuration;
  PutVarint(out, answer.total_bytes);
  out += answer.chunk;
  return out;
}

absl::StatusOr<SnapshotChunkAnswer> DecodeSnapshotChunkAnswer(std::string_view bytes) {
  ByteReader reader(bytes);
  SnapshotChunkAnswer answer;
  answer.start.index = raft::LogIndex(reader.Varint());
  answer.start.term = raft::Term(reader.Varint());
  absl::StatusOr<raft::Configuration> configuration =
      raft::DecodeConfiguration(reader.Take(reader.Varint()));
  if (!configuration.ok()) return configuration.status();
  answer.start.configuration = *std::move(configuration);
  answer.total_bytes = reader.Varint();
  answer.chunk = reader.Take(reader.remaining());
  if (!reader.finished()) return absl::DataLossError("not a chunk of a snapshot");
  if (answer.start.configuration.voters.empty()) {
    return absl::DataLossError("a chunk of a snapshot that says of no member that it votes");
  }
  return answer;
}

}  // namespace conclave::server
