#include "server/bootstrap/identity.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "raft/base/check.h"
#include "raft/base/text.h"
#include "server/config/flags.h"

namespace conclave::server {
namespace {

using Json = nlohmann::json;

constexpr int kFormatVersion = 1;

// The first 8 bytes of the SHA-1 of `bytes`, as a big-endian number.
uint64_t HashToId(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  CHECK(EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha1(), nullptr) == 1);
  uint64_t id = 0;
  for (size_t i = 0; i < sizeof(id); ++i) id = id << 8 | digest[i];
  return id;
}

void AppendBigEndian(std::string& to, uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) to.push_back(static_cast<char>(number >> shift));
}

// Ids are texts in the file: a JSON number is only exact up to 2^53 for many readers.
std::optional<uint64_t> ParseHexId(const std::string& text) {
  uint64_t id = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, id, 16);
  if (error != std::errc() || stop != end || id == 0) return std::nullopt;
  return id;
}

std::optional<uint64_t> IdAt(const Json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_string()) return std::nullopt;
  return ParseHexId(it->get_ref<const std::string&>());
}

std::optional<std::string> TextAt(const Json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_string()) return std::nullopt;
  return it->get<std::string>();
}

std::optional<InitialMember> DecodeMember(const Json& json) {
  if (!json.is_object()) return std::nullopt;
  const std::optional<uint64_t> id = IdAt(json, "id");
  std::optional<std::string> name = TextAt(json, "name");
  const auto urls = json.find("peer_urls");
  if (!id || !name || urls == json.end() || !urls->is_array()) return std::nullopt;
  InitialMember member{raft::NodeId(*id), *std::move(name), {}};
  for (const Json& url : *urls) {
    if (!url.is_string()) return std::nullopt;
    member.peer_urls.push_back(url.get<std::string>());
  }
  return member;
}

std::optional<std::vector<InitialMember>> DecodeMembers(const Json& json) {
  if (!json.is_array()) return std::nullopt;
  std::vector<InitialMember> members;
  for (const Json& item : json) {
    std::optional<InitialMember> member = DecodeMember(item);
    if (!member) return std::nullopt;
    members.push_back(*std::move(member));
  }
  return members;
}

Json EncodeMembers(const std::vector<InitialMember>& members) {
  Json array = Json::array();
  for (const InitialMember& member : members) {
    array.push_back(
        {{"id", HexId(member.id.value())}, {"name", member.name}, {"peer_urls", member.peer_urls}});
  }
  return array;
}

// Null if the text is no JSON.
Json Parse(std::string_view text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_discarded() ? Json() : json;
}

std::string ToText(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

bool HasFormat(const Json& json) {
  if (!json.is_object()) return false;
  const auto format = json.find("format");
  return format != json.end() && *format == kFormatVersion;
}

absl::Status Unreadable() {
  return absl::DataLossError("is damaged, or of a newer version of conclave");
}

std::optional<Identity> DecodeFields(const Json& json) {
  if (!HasFormat(json)) return std::nullopt;
  const std::optional<uint64_t> cluster_id = IdAt(json, "cluster_id");
  const std::optional<uint64_t> member_id = IdAt(json, "member_id");
  std::optional<std::string> name = TextAt(json, "name");
  const auto members = json.find("initial_members");
  if (!cluster_id || !member_id || !name || members == json.end()) return std::nullopt;
  std::optional<std::vector<InitialMember>> initial = DecodeMembers(*members);
  const auto at_join = json.find("members_at_join");
  std::optional<std::vector<InitialMember>> joined =
      DecodeMembers(at_join == json.end() ? Json::array() : *at_join);
  if (!initial || !joined) return std::nullopt;
  return Identity{*cluster_id, raft::NodeId(*member_id), *std::move(name), *std::move(initial),
                  *std::move(joined)};
}

}  // namespace

raft::NodeId InitialMemberId(std::vector<std::string> peer_urls, std::string_view cluster_token) {
  std::sort(peer_urls.begin(), peer_urls.end());
  std::string bytes;
  for (const std::string& url : peer_urls) bytes += url;
  bytes += cluster_token;
  return raft::NodeId(HashToId(bytes));
}

uint64_t InitialClusterId(std::span<const InitialMember> members) {
  std::vector<raft::NodeId> ids;
  for (const InitialMember& member : members) ids.push_back(member.id);
  std::sort(ids.begin(), ids.end());
  std::string bytes;
  for (raft::NodeId id : ids) AppendBigEndian(bytes, id.value());
  return HashToId(bytes);
}

absl::StatusOr<Identity> InitialIdentity(const ServerConfig& config) {
  Identity identity;
  identity.name = config.name;
  for (const ClusterMember& configured : config.initial_cluster) {
    InitialMember member{{}, configured.name, ToStrings(configured.peer_urls)};
    std::sort(member.peer_urls.begin(), member.peer_urls.end());
    member.id = InitialMemberId(member.peer_urls, config.initial_cluster_token);
    if (member.name == config.name) identity.member_id = member.id;
    identity.members.push_back(std::move(member));
  }
  if (identity.member_id == raft::kNoNode) {
    return absl::InvalidArgumentError(
        fmt::format("--initial-cluster: expected it to have this member ({}), but it is \"{}\"",
                    config.name, FormatInitialCluster(config.initial_cluster)));
  }
  std::sort(identity.members.begin(), identity.members.end(),
            [](const InitialMember& a, const InitialMember& b) { return a.id < b.id; });
  identity.cluster_id = InitialClusterId(identity.members);
  return identity;
}

std::string EncodeIdentity(const Identity& identity) {
  Json json = {{"format", kFormatVersion},
               {"cluster_id", HexId(identity.cluster_id)},
               {"member_id", HexId(identity.member_id.value())},
               {"name", identity.name},
               {"initial_members", EncodeMembers(identity.members)}};
  if (identity.joined()) json["members_at_join"] = EncodeMembers(identity.members_at_join);
  return ToText(json);
}

absl::StatusOr<Identity> DecodeIdentity(std::string_view text) {
  std::optional<Identity> identity = DecodeFields(Parse(text));
  if (!identity) return Unreadable();
  return *std::move(identity);
}

std::string EncodeMemberList(const std::vector<InitialMember>& members) {
  return ToText({{"format", kFormatVersion}, {"members", EncodeMembers(members)}});
}

absl::StatusOr<std::vector<InitialMember>> DecodeMemberList(std::string_view text) {
  const Json json = Parse(text);
  if (!HasFormat(json) || !json.contains("members")) return Unreadable();
  std::optional<std::vector<InitialMember>> members = DecodeMembers(json["members"]);
  if (!members) return Unreadable();
  return *std::move(members);
}

}  // namespace conclave::server
