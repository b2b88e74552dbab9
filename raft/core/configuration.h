// Who votes and who only listens. One type for simple and joint configurations (thesis 4.3): while
// `outgoing` is not empty, a decision needs a majority of both voter sets. Plain value, any lane.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "raft/base/types.h"

namespace conclave::raft {

struct Configuration {
  std::vector<NodeId> voters;    // ascending, no repeats
  std::vector<NodeId> outgoing;  // the voters being replaced; empty unless joint
  std::vector<NodeId> learners;  // ascending; never also voters

  bool joint() const { return !outgoing.empty(); }
  bool IsVoter(NodeId node) const;  // in either voter set
  bool IsLearner(NodeId node) const;
  bool Contains(NodeId node) const { return IsVoter(node) || IsLearner(node); }
  // Every member once, ascending.
  std::vector<NodeId> Members() const;

  friend bool operator==(const Configuration&, const Configuration&) = default;
};

// The payload of a kConfiguration entry. Decode: DataLoss if the bytes are not one.
std::string EncodeConfiguration(const Configuration& configuration);
absl::StatusOr<Configuration> DecodeConfiguration(std::string_view bytes);

}  // namespace conclave::raft
