#include "raft/transport/codec.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <variant>

#include "raft/base/check.h"
#include "raft/base/coding.h"

namespace conclave::raft {
namespace {

// The first byte of a message. Numbers are never used again for something else.
enum class Kind : uint8_t {
  kVoteRequest = 1,
  kVoteResponse = 2,
  kAppendRequest = 3,
  kAppendResponse = 4,
  kHeartbeat = 5,
  kHeartbeatResponse = 6,
  kReadIndexRequest = 7,
  kReadIndexResponse = 8,
  kProposeRequest = 9,
  kProposeResponse = 10,
  kTimeoutNow = 11,
  kSnapshotOffer = 12,
};

constexpr uint8_t kFirstFlag = 1;   // pre-vote; accepted; ok
constexpr uint8_t kSecondFlag = 2;  // transfer; granted
// The fewest bytes that one takes: what bounds a count before anything is reserved for it.
constexpr size_t kEntryBytesMin = 3;
constexpr size_t kProposalBytesMin = 3;
constexpr size_t kMemberChangeBytes = 9;

void Put(std::string& out, std::string_view bytes) {
  PutVarint(out, bytes.size());
  out += bytes;
}

// Reads a message whose payloads stay slices of `bytes`.
class MessageReader : public ByteReader {
 public:
  explicit MessageReader(const Bytes& bytes) : ByteReader(bytes.view()), bytes_(bytes) {}

  template <typename Number>
  Number Read() {
    return Number(Varint());
  }
  // Fails on a flag that is not in `known`: a message is understood as a whole or not at all.
  uint8_t Flags(uint8_t known) {
    const uint8_t flags = Byte();
    if ((flags & ~known) != 0) Fail();
    return flags;
  }
  Bytes Payload() {
    const uint64_t size = Varint();
    const size_t begin = offset();
    Take(size);
    return ok() ? bytes_.Slice(begin, size) : Bytes();
  }
  // A count of things that take at least `bytes_min` each. Fails if so many cannot follow.
  uint64_t Count(size_t bytes_min) {
    const uint64_t count = Varint();
    if (count <= remaining() / bytes_min) return count;
    Fail();
    return 0;
  }

 private:
  const Bytes& bytes_;
};

// ---- One Encode and one Decode for each body, in the order of message.h. ----

Kind Encode(const VoteRequest& body, std::string& out) {
  PutByte(out, (body.pre_vote ? kFirstFlag : 0) | (body.transfer ? kSecondFlag : 0));
  PutVarint(out, body.last_index.value());
  PutVarint(out, body.last_term.value());
  return Kind::kVoteRequest;
}

void Decode(MessageReader& reader, VoteRequest& body) {
  const uint8_t flags = reader.Flags(kFirstFlag | kSecondFlag);
  body.pre_vote = (flags & kFirstFlag) != 0;
  body.transfer = (flags & kSecondFlag) != 0;
  body.last_index = reader.Read<LogIndex>();
  body.last_term = reader.Read<Term>();
}

Kind Encode(const VoteResponse& body, std::string& out) {
  PutByte(out, (body.pre_vote ? kFirstFlag : 0) | (body.granted ? kSecondFlag : 0));
  return Kind::kVoteResponse;
}

void Decode(MessageReader& reader, VoteResponse& body) {
  const uint8_t flags = reader.Flags(kFirstFlag | kSecondFlag);
  body.pre_vote = (flags & kFirstFlag) != 0;
  body.granted = (flags & kSecondFlag) != 0;
}

// Entries follow prev_index without a gap, so their indexes are not sent.
Kind Encode(const AppendRequest& body, std::string& out) {
  PutVarint(out, body.prev_index.value());
  PutVarint(out, body.prev_term.value());
  PutVarint(out, body.commit.value());
  PutVarint(out, body.round);
  PutVarint(out, body.everywhere.value());
  PutVarint(out, body.entries.size());
  LogIndex index = body.prev_index;
  for (const Entry& entry : body.entries) {
    CHECK(entry.index == index.Next());
    ++index;
    PutVarint(out, entry.term.value());
    PutByte(out, static_cast<uint8_t>(entry.kind));
    Put(out, entry.payload.view());
  }
  return Kind::kAppendRequest;
}

void Decode(MessageReader& reader, AppendRequest& body) {
  body.prev_index = reader.Read<LogIndex>();
  body.prev_term = reader.Read<Term>();
  body.commit = reader.Read<LogIndex>();
  body.round = reader.Varint();
  body.everywhere = reader.Read<LogIndex>();
  const uint64_t count = reader.Count(kEntryBytesMin);
  // Indexes must not wrap around.
  if (body.prev_index + count < body.prev_index) reader.Fail();
  body.entries.reserve(count);
  LogIndex index = body.prev_index;
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    Entry& entry = body.entries.emplace_back();
    entry.index = ++index;
    entry.term = reader.Read<Term>();
    const uint8_t kind = reader.Byte();
    if (kind > static_cast<uint8_t>(EntryKind::kConfiguration)) reader.Fail();
    entry.kind = static_cast<EntryKind>(kind);
    entry.payload = reader.Payload();
  }
}

Kind Encode(const AppendResponse& body, std::string& out) {
  PutByte(out, (body.accepted ? kFirstFlag : 0) | (body.incomplete ? kSecondFlag : 0));
  PutVarint(out, body.index.value());
  PutVarint(out, body.hint_index.value());
  PutVarint(out, body.hint_term.value());
  PutVarint(out, body.round);
  return Kind::kAppendResponse;
}

void Decode(MessageReader& reader, AppendResponse& body) {
  const uint8_t flags = reader.Flags(kFirstFlag | kSecondFlag);
  body.accepted = (flags & kFirstFlag) != 0;
  body.incomplete = (flags & kSecondFlag) != 0;
  body.index = reader.Read<LogIndex>();
  body.hint_index = reader.Read<LogIndex>();
  body.hint_term = reader.Read<Term>();
  body.round = reader.Varint();
}

Kind Encode(const Heartbeat& body, std::string& out) {
  PutVarint(out, body.commit.value());
  PutVarint(out, body.round);
  PutVarint(out, body.everywhere.value());
  return Kind::kHeartbeat;
}

void Decode(MessageReader& reader, Heartbeat& body) {
  body.commit = reader.Read<LogIndex>();
  body.round = reader.Varint();
  body.everywhere = reader.Read<LogIndex>();
}

Kind Encode(const HeartbeatResponse& body, std::string& out) {
  PutVarint(out, body.round);
  PutVarint(out, body.priority);
  return Kind::kHeartbeatResponse;
}

void Decode(MessageReader& reader, HeartbeatResponse& body) {
  body.round = reader.Varint();
  const uint64_t priority = reader.Varint();
  if (priority > std::numeric_limits<uint32_t>::max()) return reader.Fail();
  body.priority = static_cast<uint32_t>(priority);
}

Kind Encode(const ReadIndexRequest& body, std::string& out) {
  PutVarint(out, body.read.value());
  return Kind::kReadIndexRequest;
}

void Decode(MessageReader& reader, ReadIndexRequest& body) { body.read = reader.Read<ReadId>(); }

Kind Encode(const ReadIndexResponse& body, std::string& out) {
  PutByte(out, body.ok ? kFirstFlag : 0);
  PutVarint(out, body.read.value());
  PutVarint(out, body.index.value());
  return Kind::kReadIndexResponse;
}

void Decode(MessageReader& reader, ReadIndexResponse& body) {
  body.ok = reader.Flags(kFirstFlag) != 0;
  body.read = reader.Read<ReadId>();
  body.index = reader.Read<LogIndex>();
}

Kind Encode(const ProposeRequest& body, std::string& out) {
  PutVarint(out, body.proposals.size());
  for (const Proposal& proposal : body.proposals) {
    PutVarint(out, proposal.id.value());
    PutVarint(out, proposal.changes.size());
    for (const MemberChange& change : proposal.changes) {
      PutByte(out, static_cast<uint8_t>(change.kind));
      PutFixed64(out, change.node.value());
    }
    Put(out, proposal.payload.view());
  }
  return Kind::kProposeRequest;
}

void ReadChanges(MessageReader& reader, std::vector<MemberChange>& changes) {
  const uint64_t count = reader.Count(kMemberChangeBytes);
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    const uint8_t kind = reader.Byte();
    const bool known = kind >= static_cast<uint8_t>(MemberChangeKind::kAddVoter) &&
                       kind <= static_cast<uint8_t>(MemberChangeKind::kRemove);
    if (!known) reader.Fail();
    changes.push_back({static_cast<MemberChangeKind>(kind), NodeId(reader.Fixed64())});
  }
}

void Decode(MessageReader& reader, ProposeRequest& body) {
  const uint64_t count = reader.Count(kProposalBytesMin);
  body.proposals.reserve(count);
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    Proposal& proposal = body.proposals.emplace_back();
    proposal.id = reader.Read<ProposalId>();
    ReadChanges(reader, proposal.changes);
    proposal.payload = reader.Payload();
  }
}

Kind Encode(const ProposeResponse& body, std::string& out) {
  PutByte(out, static_cast<uint8_t>(body.reason));
  PutVarint(out, body.rejected.size());
  for (const ProposalId id : body.rejected) PutVarint(out, id.value());
  return Kind::kProposeResponse;
}

void Decode(MessageReader& reader, ProposeResponse& body) {
  const uint8_t reason = reader.Byte();
  if (reason > static_cast<uint8_t>(RejectReason::kBadChange)) reader.Fail();
  body.reason = static_cast<RejectReason>(reason);
  const uint64_t count = reader.Count(1);
  body.rejected.reserve(count);
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    body.rejected.push_back(reader.Read<ProposalId>());
  }
}

Kind Encode(const TimeoutNow&, std::string&) { return Kind::kTimeoutNow; }

void Decode(MessageReader&, TimeoutNow&) {}

Kind Encode(const SnapshotOffer& body, std::string& out) {
  PutVarint(out, body.index.value());
  return Kind::kSnapshotOffer;
}

void Decode(MessageReader& reader, SnapshotOffer& body) { body.index = reader.Read<LogIndex>(); }

template <typename Body>
MessageBody DecodeAs(MessageReader& reader) {
  Body body;
  Decode(reader, body);
  return body;
}

std::optional<MessageBody> DecodeBody(Kind kind, MessageReader& reader) {
  switch (kind) {
    case Kind::kVoteRequest:
      return DecodeAs<VoteRequest>(reader);
    case Kind::kVoteResponse:
      return DecodeAs<VoteResponse>(reader);
    case Kind::kAppendRequest:
      return DecodeAs<AppendRequest>(reader);
    case Kind::kAppendResponse:
      return DecodeAs<AppendResponse>(reader);
    case Kind::kHeartbeat:
      return DecodeAs<Heartbeat>(reader);
    case Kind::kHeartbeatResponse:
      return DecodeAs<HeartbeatResponse>(reader);
    case Kind::kReadIndexRequest:
      return DecodeAs<ReadIndexRequest>(reader);
    case Kind::kReadIndexResponse:
      return DecodeAs<ReadIndexResponse>(reader);
    case Kind::kProposeRequest:
      return DecodeAs<ProposeRequest>(reader);
    case Kind::kProposeResponse:
      return DecodeAs<ProposeResponse>(reader);
    case Kind::kTimeoutNow:
      return DecodeAs<TimeoutNow>(reader);
    case Kind::kSnapshotOffer:
      return DecodeAs<SnapshotOffer>(reader);
  }
  return std::nullopt;
}

}  // namespace

void EncodeMessage(const Message& message, std::string& out) {
  const size_t kind_at = out.size();
  PutByte(out, 0);
  PutFixed64(out, message.from.value());
  PutFixed64(out, message.to.value());
  PutVarint(out, message.term.value());
  const Kind kind = std::visit([&](const auto& body) { return Encode(body, out); }, message.body);
  out[kind_at] = static_cast<char>(kind);
}

absl::StatusOr<Message> DecodeMessage(const Bytes& bytes) {
  MessageReader reader(bytes);
  const Kind kind = static_cast<Kind>(reader.Byte());
  Message message;
  message.from = NodeId(reader.Fixed64());
  message.to = NodeId(reader.Fixed64());
  message.term = reader.Read<Term>();
  std::optional<MessageBody> body = DecodeBody(kind, reader);
  if (!body.has_value()) return absl::InvalidArgumentError("a message of an unknown kind");
  if (!reader.ok()) return absl::InvalidArgumentError("a message with a field cut off or wrong");
  if (!reader.finished()) return absl::InvalidArgumentError("bytes after the end of a message");
  message.body = *std::move(body);
  return message;
}

}  // namespace conclave::raft
