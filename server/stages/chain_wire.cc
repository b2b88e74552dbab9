#include "server/stages/chain_wire.h"

#include "raft/base/coding.h"

namespace conclave::server {

namespace {

void Put(std::string& out, const ChainAt& at) {
  PutVarint(out, at.index.value());
  PutFixed64(out, at.chain);
}

ChainAt Read(ByteReader& reader) {
  ChainAt at;
  at.index = raft::LogIndex(reader.Varint());
  at.chain = reader.Fixed64();
  return at;
}

}  // namespace

std::string EncodeChainQuestion(const ChainQuestion& question) {
  std::string out;
  PutVarint(out, question.index.value());
  Put(out, question.right);
  return out;
}

std::string EncodeChainAnswer(const ChainAnswer& answer) {
  std::string out;
  Put(out, answer.newest);
  if (answer.there) PutFixed64(out, *answer.there);
  return out;
}

absl::StatusOr<ChainQuestion> DecodeChainQuestion(std::string_view bytes) {
  ByteReader reader(bytes);
  ChainQuestion question;
  question.index = raft::LogIndex(reader.Varint());
  question.right = Read(reader);
  if (!reader.finished()) return absl::DataLossError("not a question for a member's chain");
  return question;
}

absl::StatusOr<ChainAnswer> DecodeChainAnswer(std::string_view bytes) {
  ByteReader reader(bytes);
  ChainAnswer answer;
  answer.newest = Read(reader);
  if (reader.ok() && reader.remaining() > 0) answer.there = reader.Fixed64();
  if (!reader.finished()) return absl::DataLossError("not an answer with a member's chain");
  return answer;
}

}  // namespace conclave::server
