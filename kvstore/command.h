// The payload of a log entry: a fixed header, then the client's request exactly as it came off the
// wire, so that a put is copied into the log once and never encoded again. Written by server/api,
// read by Store::Apply. Any lane.
//
//   byte 0      CommandKind; plus 128 if the client gave the request an identity
//   bytes 1-8   proposer, little-endian: the member whose client asked
//   bytes 9-16  request id, little-endian: unique among that member's requests over all its runs
//   with an identity: the size of its id (1), its id, its fingerprint, little-endian (8)
//   the rest    the request as a Protobuf message of the kind
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "kvstore/request_identity.h"
#include "raft/base/bytes.h"

namespace conclave::kv {

// Numbers are on disk: never change or reuse one.
enum class CommandKind : uint8_t {
  kPut = 1,               // etcdserverpb.PutRequest
  kDeleteRange = 2,       // etcdserverpb.DeleteRangeRequest
  kTxn = 3,               // etcdserverpb.TxnRequest
  kCompact = 4,           // etcdserverpb.CompactionRequest
  kLeaseGrant = 5,        // etcdserverpb.LeaseGrantRequest, its id and TTL final
  kLeaseRevoke = 6,       // etcdserverpb.LeaseRevokeRequest
  kMemberAttributes = 7,  // etcdserverpb.Member: id, name, clientURLs as the member publishes them
  kAlarm = 8,             // etcdserverpb.AlarmRequest, ACTIVATE or DEACTIVATE
  // Of these, all but the update come as the context of a change of the raft configuration.
  kMemberAdd = 9,         // etcdserverpb.Member: id, peerURLs, isLearner
  kMemberRemove = 10,     // etcdserverpb.MemberRemoveRequest
  kMemberPromote = 11,    // etcdserverpb.MemberPromoteRequest
  kMemberUpdate = 12,     // etcdserverpb.MemberUpdateRequest
  kLeaseCheckpoint = 13,  // etcdserverpb.LeaseCheckpointRequest, from the leader itself
  kQuotaAlarm = 14,       // etcdserverpb.AlarmRequest, ACTIVATE; its member will lift it
  kDivergenceAlarm =
      15,  // etcdserverpb.AlarmRequest of CORRUPT, from the leader (docs/integrity.md)
};

struct CommandHeader {
  CommandKind kind = CommandKind::kPut;
  uint64_t proposer = 0;
  uint64_t request_id = 0;
};

inline constexpr size_t kCommandHeaderBytes = 17;

// Whether a client may give such a request an identity: all that change keys or leases.
bool TakesIdentity(CommandKind kind);

// An identity has an id as IsRequestId wants it, and is only for a kind that takes one.
Bytes EncodeCommand(const CommandHeader& header, std::string_view request,
                    const RequestIdentity& identity = {});

struct Command {
  CommandHeader header;
  RequestIdentity identity;  // points into the entry
  std::string_view request;  // points into the entry
};
// DataLoss if the bytes are no command: the log is checksummed, so that is a bug or a newer
// version's log.
absl::StatusOr<Command> DecodeCommand(std::string_view payload);

}  // namespace conclave::kv
