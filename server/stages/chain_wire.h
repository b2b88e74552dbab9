// The bytes of the question by which the leader compares a member's state with the others', and of
// its answer (docs/peer-protocol.md, method kCompareChain). Pure functions, any lane; no input does
// more than return an error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/stages/chain_ring.h"

namespace conclave::server {

struct ChainQuestion {
  raft::LogIndex index;  // where the asked member is to be compared
  // What is right at an earlier entry, as the leader knows from a quorum; index 0 if it knows none.
  ChainAt right;
  friend bool operator==(const ChainQuestion&, const ChainQuestion&) = default;
};

struct ChainAnswer {
  ChainAt newest;                 // of the asked member
  std::optional<uint64_t> there;  // its sum at the question's index, if it knows it
  friend bool operator==(const ChainAnswer&, const ChainAnswer&) = default;
};

std::string EncodeChainQuestion(const ChainQuestion& question);
std::string EncodeChainAnswer(const ChainAnswer& answer);
// DataLoss if the bytes are not one.
absl::StatusOr<ChainQuestion> DecodeChainQuestion(std::string_view bytes);
absl::StatusOr<ChainAnswer> DecodeChainAnswer(std::string_view bytes);

}  // namespace conclave::server
