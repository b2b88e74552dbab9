#include "server/http2/grpc_text.h"

#include <charconv>
#include <cstdint>

namespace conclave::server {

namespace {

constexpr size_t kTimeoutDigitsMax = 8;

std::optional<Duration> TimeoutUnit(char unit) {
  switch (unit) {
    case 'H':
      return Seconds(60 * 60);
    case 'M':
      return Seconds(60);
    case 'S':
      return Seconds(1);
    case 'm':
      return Milliseconds(1);
    case 'u':
      return Duration(1000);
    case 'n':
      return Duration(1);
    default:
      return std::nullopt;
  }
}

}  // namespace

bool IsGrpcContentType(std::string_view value) {
  constexpr std::string_view kBase = "application/grpc";
  if (!value.starts_with(kBase)) return false;
  value.remove_prefix(kBase.size());
  return value.empty() || value[0] == '+' || value[0] == ';';
}

std::optional<Duration> ParseGrpcTimeout(std::string_view value) {
  if (value.size() < 2 || value.size() > kTimeoutDigitsMax + 1) return std::nullopt;
  const std::optional<Duration> unit = TimeoutUnit(value.back());
  const std::string_view digits = value.substr(0, value.size() - 1);
  uint32_t count = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
  if (!unit || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  if (count > Duration::max() / *unit) return Duration::max();
  return count * *unit;
}

std::string PercentEncode(std::string_view message) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(message.size());
  for (const char c : message) {
    const uint8_t byte = static_cast<uint8_t>(c);
    if (byte >= 0x20 && byte <= 0x7e && byte != '%') {
      encoded.push_back(c);
    } else {
      encoded.push_back('%');
      encoded.push_back(kHex[byte >> 4]);
      encoded.push_back(kHex[byte & 15]);
    }
  }
  return encoded;
}

}  // namespace conclave::server
