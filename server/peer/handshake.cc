#include "server/peer/handshake.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "raft/base/check.h"
#include "raft/base/coding.h"
#include "raft/base/crc32c.h"
#include "raft/base/text.h"

namespace conclave::server {
namespace {

constexpr std::string_view kHelloMagic = "CNCLVhi\n";
constexpr std::string_view kVerdictMagic = "CNCLVre\n";
constexpr size_t kMagicBytes = 8;
constexpr size_t kChecksumBytes = 4;
// Up to and with the size of the URLs, and of the refusal.
constexpr size_t kHelloHeadBytes = kMagicBytes + 4 + 3 * 8 + 4;
constexpr size_t kVerdictHeadBytes = kMagicBytes + 4 + 2 * 8 + 1 + 1;
constexpr size_t kRefusalBytesMax = 255;

void AppendChecksum(size_t begin, std::string& out) {
  PutFixed32(out, Crc32c(std::string_view(out).substr(begin)));
}

bool ChecksumHolds(std::string_view whole) {
  const std::string_view covered = whole.substr(0, whole.size() - kChecksumBytes);
  return Crc32c(covered) == LoadFixed32(whole.data() + covered.size());
}

// Whether the input can still become something that begins with `magic`.
bool MayBegin(std::string_view input, std::string_view magic) {
  const size_t size = std::min(input.size(), magic.size());
  return input.substr(0, size) == magic.substr(0, size);
}

}  // namespace

void AppendHello(const Hello& hello, std::string& out) {
  const size_t begin = out.size();
  out.append(kHelloMagic);
  PutFixed32(out, hello.version);
  PutFixed64(out, hello.cluster_id);
  PutFixed64(out, hello.from.value());
  PutFixed64(out, hello.to.value());
  CHECK(hello.urls.size() <= kHelloUrlsBytesMax);
  PutFixed32(out, static_cast<uint32_t>(hello.urls.size()));
  out.append(hello.urls);
  AppendChecksum(begin, out);
}

void AppendVerdict(const Verdict& verdict, std::string& out) {
  const size_t begin = out.size();
  const std::string_view refusal = std::string_view(verdict.refusal).substr(0, kRefusalBytesMax);
  out.append(kVerdictMagic);
  PutFixed32(out, verdict.version);
  PutFixed64(out, verdict.cluster_id);
  PutFixed64(out, verdict.from.value());
  PutByte(out, static_cast<uint8_t>(verdict.kind));
  PutByte(out, static_cast<uint8_t>(refusal.size()));
  out.append(refusal);
  AppendChecksum(begin, out);
}

absl::StatusOr<std::optional<Parsed<Hello>>> ParseHello(std::string_view input) {
  if (!MayBegin(input, kHelloMagic)) {
    return absl::InvalidArgumentError("what connected does not speak the peer protocol");
  }
  if (input.size() < kHelloHeadBytes) return std::nullopt;
  const size_t urls_size = LoadFixed32(input.data() + kHelloHeadBytes - 4);
  if (urls_size > kHelloUrlsBytesMax) return absl::InvalidArgumentError("hello of too many URLs");
  const size_t size = kHelloHeadBytes + urls_size + kChecksumBytes;
  if (input.size() < size) return std::nullopt;
  const std::string_view whole = input.substr(0, size);
  if (!ChecksumHolds(whole)) return absl::InvalidArgumentError("hello with a wrong checksum");
  ByteReader reader(whole.substr(kMagicBytes));
  Hello hello;
  hello.version = reader.Fixed32();
  hello.cluster_id = reader.Fixed64();
  hello.from = raft::NodeId(reader.Fixed64());
  hello.to = raft::NodeId(reader.Fixed64());
  hello.urls = std::string(reader.Take(reader.Fixed32()));
  return Parsed<Hello>{std::move(hello), size};
}

absl::StatusOr<std::optional<Parsed<Verdict>>> ParseVerdict(std::string_view input) {
  if (!MayBegin(input, kVerdictMagic)) {
    return absl::InvalidArgumentError("what listens there does not speak the peer protocol");
  }
  if (input.size() < kVerdictHeadBytes) return std::nullopt;
  const size_t refusal_size = static_cast<uint8_t>(input[kVerdictHeadBytes - 1]);
  const size_t size = kVerdictHeadBytes + refusal_size + kChecksumBytes;
  if (input.size() < size) return std::nullopt;
  const std::string_view whole = input.substr(0, size);
  if (!ChecksumHolds(whole)) return absl::InvalidArgumentError("verdict with a wrong checksum");
  ByteReader reader(whole.substr(kMagicBytes));
  Verdict verdict;
  verdict.version = reader.Fixed32();
  verdict.cluster_id = reader.Fixed64();
  verdict.from = raft::NodeId(reader.Fixed64());
  const uint8_t kind = reader.Byte();
  if (kind > static_cast<uint8_t>(VerdictKind::kRemoved)) {
    return absl::InvalidArgumentError(fmt::format("verdict of unknown kind {}", kind));
  }
  verdict.kind = static_cast<VerdictKind>(kind);
  verdict.refusal = std::string(reader.Take(reader.Byte()));
  return Parsed<Verdict>{std::move(verdict), size};
}

std::string ReasonToRefuse(const Hello& hello, uint64_t cluster_id, raft::NodeId self) {
  if (hello.version != kPeerProtocolVersion) {
    return fmt::format("protocol version {} is not spoken here, only {}", hello.version,
                       kPeerProtocolVersion);
  }
  const bool any_cluster = hello.guest() && hello.cluster_id == 0;
  if (hello.cluster_id != cluster_id && !any_cluster) {
    return fmt::format("wrong cluster: {} dialled, this is {}", HexId(hello.cluster_id),
                       HexId(cluster_id));
  }
  if (hello.to != self && !hello.guest()) {
    return fmt::format("wrong member: {} wanted, this is {}", HexId(hello.to), HexId(self));
  }
  if (hello.from == self || (hello.from == raft::kNoNode && !hello.guest())) {
    return fmt::format("{} cannot be the id of another member", HexId(hello.from));
  }
  return {};
}

namespace {

bool IsFromWanted(const Verdict& verdict, const Hello& hello) {
  const bool cluster = verdict.cluster_id == hello.cluster_id || hello.cluster_id == 0;
  return cluster && (verdict.from == hello.to || hello.guest());
}

}  // namespace

std::string ReasonToRefuse(const Verdict& verdict, const Hello& hello) {
  if (verdict.kind != VerdictKind::kAccepted) {
    return fmt::format("refused by member {} of cluster {}: {}", HexId(verdict.from),
                       HexId(verdict.cluster_id), verdict.refusal);
  }
  if (verdict.version != hello.version) {
    return fmt::format("member {} accepted but speaks version {}", HexId(verdict.from),
                       verdict.version);
  }
  if (!IsFromWanted(verdict, hello)) {
    return fmt::format("accepted by member {} of cluster {}, wanted {} of {}", HexId(verdict.from),
                       HexId(verdict.cluster_id), HexId(hello.to), HexId(hello.cluster_id));
  }
  return {};
}

bool SaysRemoved(const Verdict& verdict, const Hello& hello) {
  return verdict.kind == VerdictKind::kRemoved && hello.from != raft::kNoNode &&
         verdict.version == hello.version && IsFromWanted(verdict, hello);
}

}  // namespace conclave::server
