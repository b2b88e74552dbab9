#include "raft/core/configuration.h"

#include <algorithm>

#include "raft/base/check.h"
#include "raft/base/coding.h"

namespace conclave::raft {
namespace {

// Layout: this byte, then voters, outgoing and learners, each a count of four bytes and that many
// ids of eight.
constexpr uint8_t kFormat = 1;

bool Holds(const std::vector<NodeId>& nodes, NodeId node) {
  return std::binary_search(nodes.begin(), nodes.end(), node);
}

bool AscendsWithoutRepeats(const std::vector<NodeId>& nodes) {
  const auto not_below = [](NodeId a, NodeId b) { return a >= b; };
  return std::adjacent_find(nodes.begin(), nodes.end(), not_below) == nodes.end() &&
         (nodes.empty() || nodes.front() != kNoNode);
}

bool IsWellFormed(const Configuration& configuration) {
  const auto votes = [&](NodeId node) { return Holds(configuration.voters, node); };
  return AscendsWithoutRepeats(configuration.voters) &&
         AscendsWithoutRepeats(configuration.outgoing) &&
         AscendsWithoutRepeats(configuration.learners) &&
         std::none_of(configuration.learners.begin(), configuration.learners.end(), votes);
}

void PutNodes(std::string& out, const std::vector<NodeId>& nodes) {
  CHECK(nodes.size() <= UINT32_MAX);
  PutFixed32(out, static_cast<uint32_t>(nodes.size()));
  for (NodeId node : nodes) PutFixed64(out, node.value());
}

std::vector<NodeId> ReadNodes(ByteReader& reader) {
  std::vector<NodeId> nodes;
  const uint32_t count = reader.Fixed32();
  for (uint32_t i = 0; i < count && reader.ok(); ++i) nodes.push_back(NodeId(reader.Fixed64()));
  CHECK(!reader.ok() || nodes.size() == count);
  return nodes;
}

}  // namespace

bool Configuration::IsVoter(NodeId node) const {
  return Holds(voters, node) || Holds(outgoing, node);
}

bool Configuration::IsLearner(NodeId node) const { return Holds(learners, node); }

std::vector<NodeId> Configuration::Members() const {
  std::vector<NodeId> members = voters;
  members.insert(members.end(), outgoing.begin(), outgoing.end());
  members.insert(members.end(), learners.begin(), learners.end());
  std::sort(members.begin(), members.end());
  members.erase(std::unique(members.begin(), members.end()), members.end());
  CHECK(AscendsWithoutRepeats(members));
  return members;
}

std::string EncodeConfiguration(const Configuration& configuration) {
  CHECK(IsWellFormed(configuration));
  std::string out;
  PutByte(out, kFormat);
  PutNodes(out, configuration.voters);
  PutNodes(out, configuration.outgoing);
  PutNodes(out, configuration.learners);
  const size_t ids =
      configuration.voters.size() + configuration.outgoing.size() + configuration.learners.size();
  CHECK(out.size() == 1 + 3 * sizeof(uint32_t) + ids * sizeof(uint64_t));
  return out;
}

namespace {

absl::StatusOr<Configuration> ReadConfiguration(ByteReader& reader) {
  if (reader.Byte() != kFormat) return absl::DataLossError("not a configuration: unknown format");
  Configuration configuration;
  configuration.voters = ReadNodes(reader);
  configuration.outgoing = ReadNodes(reader);
  configuration.learners = ReadNodes(reader);
  if (!reader.ok()) return absl::DataLossError("not a configuration: cut off");
  if (!IsWellFormed(configuration)) {
    return absl::DataLossError("not a configuration: members repeat or are out of order");
  }
  return configuration;
}

}  // namespace

absl::StatusOr<Configuration> DecodeConfiguration(std::string_view bytes) {
  ByteReader reader(bytes);
  absl::StatusOr<Configuration> configuration = ReadConfiguration(reader);
  if (configuration.ok() && !reader.finished()) {
    return absl::DataLossError("not a configuration: wrong length");
  }
  return configuration;
}

std::string EncodeConfigurationEntry(const Configuration& configuration, std::string_view context) {
  CHECK(!configuration.voters.empty());  // no log could go on after it
  std::string out = EncodeConfiguration(configuration);
  out += context;
  return out;
}

absl::StatusOr<ConfigurationEntry> DecodeConfigurationEntry(std::string_view bytes) {
  ByteReader reader(bytes);
  absl::StatusOr<Configuration> configuration = ReadConfiguration(reader);
  if (!configuration.ok()) return configuration.status();
  CHECK(reader.offset() <= bytes.size());
  return ConfigurationEntry{*std::move(configuration), bytes.substr(reader.offset())};
}

}  // namespace conclave::raft
