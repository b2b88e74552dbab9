#include "kvstore/mvcc/keys.h"

#include <limits>

#include "raft/base/check.h"

namespace conclave::kv {
namespace {

constexpr size_t kRevisionBytes = 12;

// A zero byte in a key becomes zero, 0xff; zero, one ends the key. So no key is a prefix of another
// one's bytes, and the order of keys is kept: the end sorts before every continuation.
constexpr char kEscape = '\0';
constexpr char kEscapedZero = '\xff';
constexpr char kTerminator = '\x01';

constexpr std::string_view kFromKey("\0", 1);

template <typename Number>
void AppendOrdered(Number value, std::string& out) {
  char bytes[sizeof value];
  for (size_t i = 0; i < sizeof value; ++i) {
    bytes[i] = static_cast<char>(value >> 8 * (sizeof value - 1 - i));
  }
  out.append(bytes, sizeof value);
}

uint32_t LoadOrdered32(const char* at) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(at[i]);
  return value;
}

uint32_t SubOf(Revision revision) {
  CHECK(revision.sub >= 0 && revision.sub <= std::numeric_limits<uint32_t>::max());
  return static_cast<uint32_t>(revision.sub);
}

}  // namespace

void AppendOrdered64(uint64_t value, std::string& out) { AppendOrdered(value, out); }

uint64_t LoadOrdered64(const char* at) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(at[i]);
  return value;
}

void SetLatestKey(std::string_view key, std::string& out) {
  out.assign(1, kLatestPrefix);
  out.append(key);
}

void SetHistoryKey(Revision revision, std::string& out) {
  out.assign(1, kHistoryPrefix);
  AppendOrdered64(static_cast<uint64_t>(revision.main), out);
  AppendOrdered(SubOf(revision), out);
}

void SetPointerPrefix(std::string_view key, std::string& out) {
  out.assign(1, kPointerPrefix);
  for (size_t zero; (zero = key.find(kEscape)) != key.npos; key.remove_prefix(zero + 1)) {
    out.append(key.substr(0, zero + 1));
    out.push_back(kEscapedZero);
  }
  out.append(key);
  out.push_back(kEscape);
  out.push_back(kTerminator);
}

void AppendPointerRevision(Revision revision, std::string& out) {
  AppendOrdered64(~static_cast<uint64_t>(revision.main), out);
  AppendOrdered(~SubOf(revision), out);
}

std::string LatestKey(std::string_view key) {
  std::string out;
  SetLatestKey(key, out);
  return out;
}

std::string HistoryKey(Revision revision) {
  std::string out;
  SetHistoryKey(revision, out);
  return out;
}

std::string PointerKey(std::string_view key, Revision revision) {
  std::string out;
  SetPointerPrefix(key, out);
  AppendPointerRevision(revision, out);
  return out;
}

std::optional<Revision> ParseHistoryKey(std::string_view entry) {
  if (entry.size() != 1 + kRevisionBytes || entry.front() != kHistoryPrefix) return std::nullopt;
  return Revision{static_cast<int64_t>(LoadOrdered64(entry.data() + 1)),
                  LoadOrdered32(entry.data() + 9)};
}

std::optional<Pointer> ParsePointerKey(std::string_view entry) {
  if (entry.size() < 3 + kRevisionBytes || entry.front() != kPointerPrefix) return std::nullopt;
  const std::string_view prefix = entry.substr(0, entry.size() - kRevisionBytes);
  const char* at = entry.data() + prefix.size();
  return Pointer{prefix, Revision{static_cast<int64_t>(~LoadOrdered64(at)),
                                  static_cast<int64_t>(~LoadOrdered32(at + 8))}};
}

std::string KeyOfPointerPrefix(std::string_view prefix) {
  CHECK(prefix.size() >= 3 && prefix.front() == kPointerPrefix);
  const std::string_view escaped = prefix.substr(1, prefix.size() - 3);
  std::string key;
  key.reserve(escaped.size());
  for (size_t i = 0; i < escaped.size(); ++i) {
    key.push_back(escaped[i]);
    if (escaped[i] == kEscape) ++i;
  }
  return key;
}

KeySpan KeySpan::Of(std::string_view key, std::string_view range_end) {
  KeySpan span{key, range_end};
  span.single = range_end.empty();
  span.unbounded = range_end == kFromKey;
  return span;
}

}  // namespace conclave::kv
