#include "server/config/duration.h"

#include <array>
#include <cstdint>

#include "fmt/format.h"

namespace conclave::server {
namespace {

struct Unit {
  std::string_view name;
  int64_t nanoseconds;
};

// Largest first; of two names that start alike the longer comes first.
constexpr std::array<Unit, 7> kUnits = {{{"h", 3'600'000'000'000},
                                         {"ms", 1'000'000},
                                         {"m", 60'000'000'000},
                                         {"s", 1'000'000'000},
                                         {"us", 1'000},
                                         {"\u00b5s", 1'000},
                                         {"ns", 1}}};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Takes digits off the front of `text`; false if the number does not fit.
bool TakeNumber(std::string_view& text, int64_t& number, size_t& digits) {
  number = 0;
  for (digits = 0; !text.empty() && IsDigit(text.front()); ++digits) {
    if (__builtin_mul_overflow(number, 10, &number)) return false;
    if (__builtin_add_overflow(number, text.front() - '0', &number)) return false;
    text.remove_prefix(1);
  }
  return true;
}

// Takes ".digits" off the front, as a fraction of `scale`; digits beyond 18 are dropped.
int64_t TakeFraction(std::string_view& text, int64_t& scale, size_t& digits) {
  int64_t number = 0;
  scale = 1;
  digits = 0;
  if (!text.starts_with('.')) return 0;
  for (text.remove_prefix(1); !text.empty() && IsDigit(text.front()); text.remove_prefix(1)) {
    if (++digits > 18) continue;
    number = number * 10 + (text.front() - '0');
    scale *= 10;
  }
  return number;
}

// Takes one "1.5h" off the front and adds it to `total`.
bool TakeTerm(std::string_view& text, int64_t& total) {
  int64_t whole = 0;
  int64_t scale = 1;
  size_t whole_digits = 0;
  size_t fraction_digits = 0;
  if (!TakeNumber(text, whole, whole_digits)) return false;
  const int64_t fraction = TakeFraction(text, scale, fraction_digits);
  if (whole_digits + fraction_digits == 0) return false;
  for (const Unit& unit : kUnits) {
    if (!text.starts_with(unit.name)) continue;
    text.remove_prefix(unit.name.size());
    int64_t nanoseconds = 0;
    if (__builtin_mul_overflow(whole, unit.nanoseconds, &nanoseconds)) return false;
    const auto part =
        static_cast<int64_t>(static_cast<__int128>(fraction) * unit.nanoseconds / scale);
    return !__builtin_add_overflow(nanoseconds, part, &nanoseconds) &&
           !__builtin_add_overflow(total, nanoseconds, &total);
  }
  return false;
}

}  // namespace

absl::StatusOr<Duration> ParseDuration(std::string_view text) {
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest == "0") return Duration(0);
  int64_t total = 0;
  bool good = !rest.empty();
  while (good && !rest.empty()) good = TakeTerm(rest, total);
  if (!good) {
    return absl::InvalidArgumentError(fmt::format(
        "bad duration \"{}\": expected a number with a unit, as in 100ms, 5s or 1h30m", text));
  }
  return Duration(negative ? -total : total);
}

std::string FormatDuration(Duration duration) {
  int64_t rest = duration.count();
  if (rest == 0) return "0s";
  std::string text = rest < 0 ? "-" : "";
  for (const std::string_view name : {"h", "m", "s", "ms", "us", "ns"}) {
    for (const Unit& unit : kUnits) {
      if (unit.name != name || rest / unit.nanoseconds == 0) continue;
      const int64_t count = rest / unit.nanoseconds;
      text += fmt::format(
          "{}{}", count < 0 ? 0 - static_cast<uint64_t>(count) : static_cast<uint64_t>(count),
          name);
      rest %= unit.nanoseconds;
    }
  }
  return text;
}

}  // namespace conclave::server
