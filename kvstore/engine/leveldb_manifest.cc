#include "kvstore/engine/leveldb_manifest.h"

#include <algorithm>
#include <optional>

#include "raft/base/coding.h"
#include "raft/base/crc32c.h"

namespace conclave::kv {
namespace {

// LevelDB's log format: blocks of pieces, each the sum of its kind and payload (4 bytes), payload
// bytes (2), kind (1), payload. A record is one piece or several. Less room than a header takes at
// the end of a block stays empty.
constexpr uint64_t kBlockBytes = 32768;
constexpr uint64_t kHeaderBytes = 7;
enum PieceKind : uint8_t { kWhole = 1, kFirst = 2, kMiddle = 3, kLast = 4 };

struct Piece {
  uint8_t kind;
  uint64_t end;  // offset
};

// LevelDB stores sums rotated and moved, so that the sum of what holds sums is as good as any.
uint32_t StoredSum(std::string_view bytes) {
  const uint32_t sum = Crc32c(bytes);
  return ((sum >> 15) | (sum << 17)) + 0xa282ead8u;
}

std::optional<Piece> ReadPiece(std::string_view manifest, uint64_t at) {
  const uint64_t block_end = std::min(manifest.size(), (at / kBlockBytes + 1) * kBlockBytes);
  if (at + kHeaderBytes > block_end) return std::nullopt;
  const uint8_t kind = static_cast<uint8_t>(manifest[at + 6]);
  const uint64_t payload_bytes =
      static_cast<uint8_t>(manifest[at + 4]) | static_cast<uint8_t>(manifest[at + 5]) << 8;
  const uint64_t end = at + kHeaderBytes + payload_bytes;
  if (kind < kWhole || kind > kLast || end > block_end) return std::nullopt;
  if (StoredSum(manifest.substr(at + 6, 1 + payload_bytes)) != LoadFixed32(&manifest[at])) {
    return std::nullopt;
  }
  return Piece{kind, end};
}

// The place of the next piece after one that ends at `end`.
uint64_t NextPlace(uint64_t end) {
  const uint64_t room = kBlockBytes - end % kBlockBytes;
  return room < kHeaderBytes ? end + room : end;
}

}  // namespace

uint64_t EndOfManifest(std::string_view manifest) {
  uint64_t end = 0;  // of the last whole record
  uint64_t at = 0;
  while (const std::optional<Piece> piece = ReadPiece(manifest, at)) {
    at = NextPlace(piece->end);
    if (piece->kind == kWhole || piece->kind == kLast) end = piece->end;
  }
  // Does another record begin after what is broken here?
  for (; at < manifest.size(); ++at) {
    const std::optional<Piece> piece = ReadPiece(manifest, at);
    if (piece.has_value() && (piece->kind == kWhole || piece->kind == kFirst)) {
      return manifest.size();
    }
  }
  return end;
}

}  // namespace conclave::kv
