// Who votes and who only listens. One type for simple and joint configurations (thesis 4.3): while
// `outgoing` is not empty, a decision needs a majority of both voter sets. Plain value, any lane.
#pragma once

#include <cstdint>
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

// One step of a change of membership. A change of several steps that touches more than one voter
// goes through a joint configuration (thesis 4.3), by itself.
enum class MemberChangeKind : uint8_t {
  kAddVoter = 1,    // a learner is promoted by it
  kAddLearner = 2,  // replicated to, without a vote (thesis 4.2.1)
  kRemove = 3,
};
struct MemberChange {
  MemberChangeKind kind = MemberChangeKind::kAddVoter;
  NodeId node;
  friend bool operator==(const MemberChange&, const MemberChange&) = default;
};

// As it stands alone in the log's own records. Decode: DataLoss if the bytes are not one.
std::string EncodeConfiguration(const Configuration& configuration);
absl::StatusOr<Configuration> DecodeConfiguration(std::string_view bytes);

// The payload of a kConfiguration entry: the configuration, and what the state machine is to apply
// with it (opaque to raft, may be empty). The context points into `bytes`.
struct ConfigurationEntry {
  Configuration configuration;
  std::string_view context;
};
std::string EncodeConfigurationEntry(const Configuration& configuration, std::string_view context);
absl::StatusOr<ConfigurationEntry> DecodeConfigurationEntry(std::string_view bytes);

}  // namespace conclave::raft
