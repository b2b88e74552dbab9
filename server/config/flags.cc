#include "server/config/flags.h"

#include <algorithm>
#include <charconv>
#include <type_traits>
#include <utility>

#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "raft/base/text.h"
#include "server/config/duration.h"

namespace conclave::server {
namespace {

constexpr std::string_view kExperimental = "experimental-";

absl::Status Expected(std::string_view value, std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("bad value \"{}\": expected {}", value, what));
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

// The spellings of Go's strconv.ParseBool.
absl::StatusOr<bool> ParseBoolean(std::string_view text) {
  for (std::string_view yes : {"true", "1", "t", "T", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (std::string_view no : {"false", "0", "f", "F", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return Expected(text, "true or false");
}

std::string BoundsText(const Flag& flag) {
  const bool low = flag.min != std::numeric_limits<int64_t>::min();
  const bool high = flag.max != std::numeric_limits<int64_t>::max();
  if (low && high) return fmt::format(" from {} to {}", flag.min, flag.max);
  if (low) return fmt::format(" of at least {}", flag.min);
  return high ? fmt::format(" of at most {}", flag.max) : "";
}

absl::StatusOr<int64_t> ParseInteger(const Flag& flag, std::string_view text) {
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && stop == end && number >= flag.min && number <= flag.max) {
    return number;
  }
  return Expected(text, "an integer" + BoundsText(flag));
}

// Texts and lists that no rule of the table speaks of are any text.
absl::Status CheckChoice(const Flag& flag, std::string_view text) {
  if (flag.choices.empty()) return absl::OkStatus();
  const std::vector<std::string_view> choices = Split(flag.choices, '|');
  if (std::find(choices.begin(), choices.end(), text) != choices.end()) return absl::OkStatus();
  return Expected(text, choices.size() == 1 ? std::string(choices[0])
                                            : fmt::format("one of {}", fmt::join(choices, ", ")));
}

// Whether two well-formed texts are the same value: "0s" and "0" are, as durations.
bool SameValue(FlagSyntax syntax, std::string_view left, std::string_view right) {
  if (left == right) return true;
  if (syntax == FlagSyntax::kBoolean) return *ParseBoolean(left) == *ParseBoolean(right);
  if (syntax == FlagSyntax::kDuration) return *ParseDuration(left) == *ParseDuration(right);
  return false;
}

// Takes a value into the member that the flag's target points to.
struct Setter {
  const Flag& flag;
  std::string_view value;
  ServerConfig& config;
  std::vector<std::string>& warnings;

  absl::Status operator()(const OnlyDefault& target) const {
    if (absl::Status status = CheckSyntax(target.syntax); !status.ok()) return status;
    if (SameValue(target.syntax, value, target.value)) return absl::OkStatus();
    return absl::InvalidArgumentError(fmt::format(
        "not supported by this version of conclave: expected its default \"{}\" or no --{} at all",
        target.value, flag.name));
  }
  absl::Status operator()(const NoEffect& target) const {
    if (absl::Status status = CheckSyntax(target.syntax); !status.ok()) return status;
    warnings.push_back(fmt::format("--{} has no effect in conclave", flag.name));
    return absl::OkStatus();
  }
  absl::Status operator()(const Directive&) const { return absl::OkStatus(); }
  absl::Status operator()(bool ServerConfig::*field) const {
    return Store(field, ParseBoolean(value));
  }
  absl::Status operator()(int64_t ServerConfig::*field) const {
    return Store(field, ParseInteger(flag, value));
  }
  absl::Status operator()(Duration ServerConfig::*field) const {
    absl::StatusOr<Duration> parsed = ParseDuration(value);
    if (parsed.ok() && parsed->count() < flag.min) {
      return Expected(value, "at least " + FormatDuration(Duration(flag.min)));
    }
    return Store(field, std::move(parsed));
  }
  absl::Status operator()(std::string ServerConfig::*field) const {
    if (absl::Status status = CheckChoice(flag, value); !status.ok()) return status;
    config.*field = std::string(value);
    return absl::OkStatus();
  }
  absl::Status operator()(std::vector<std::string> ServerConfig::*field) const {
    std::vector<std::string> parts;
    for (std::string_view part : Split(value, ',')) parts.emplace_back(part);
    config.*field = std::move(parts);
    return absl::OkStatus();
  }
  absl::Status operator()(std::vector<Url> ServerConfig::*field) const {
    if (flag.may_be_empty && value.empty())
      return Store(field, absl::StatusOr<std::vector<Url>>(std::vector<Url>()));
    return Store(field, ParseUrls(value));
  }
  absl::Status operator()(std::vector<ClusterMember> ServerConfig::*field) const {
    return Store(field, ParseInitialCluster(value));
  }

  // For flags whose value goes nowhere.
  absl::Status CheckSyntax(FlagSyntax syntax) const {
    switch (syntax) {
      case FlagSyntax::kBoolean:
        return ParseBoolean(value).status();
      case FlagSyntax::kInteger:
        return ParseInteger(flag, value).status();
      case FlagSyntax::kDuration:
        return ParseDuration(value).status();
      case FlagSyntax::kText:
      case FlagSyntax::kList:
      case FlagSyntax::kAnything:
        return absl::OkStatus();
    }
    return absl::OkStatus();
  }

  template <typename T>
  absl::Status Store(T ServerConfig::*field, absl::StatusOr<T> parsed) const {
    if (!parsed.ok()) return parsed.status();
    config.*field = *std::move(parsed);
    return absl::OkStatus();
  }
};

// Writes a member's value.
struct Printer {
  const ServerConfig& config;

  std::string operator()(const OnlyDefault& target) const { return std::string(target.value); }
  std::string operator()(const NoEffect&) const { return ""; }
  std::string operator()(const Directive& target) const {
    return target.syntax == FlagSyntax::kBoolean ? "false" : "";
  }
  std::string operator()(bool ServerConfig::*field) const {
    return config.*field ? "true" : "false";
  }
  std::string operator()(int64_t ServerConfig::*field) const {
    return fmt::format("{}", config.*field);
  }
  std::string operator()(Duration ServerConfig::*field) const {
    return FormatDuration(config.*field);
  }
  std::string operator()(std::string ServerConfig::*field) const { return config.*field; }
  std::string operator()(std::vector<std::string> ServerConfig::*field) const {
    return fmt::format("{}", fmt::join(config.*field, ","));
  }
  std::string operator()(std::vector<Url> ServerConfig::*field) const {
    return fmt::format("{}", fmt::join(ToStrings(config.*field), ","));
  }
  std::string operator()(std::vector<ClusterMember> ServerConfig::*field) const {
    return FormatInitialCluster(config.*field);
  }
};

// Levenshtein's distance, one row at a time.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

FlagSyntax Flag::syntax() const {
  return std::visit(
      [](const auto& to) {
        using To = std::decay_t<decltype(to)>;
        if constexpr (std::is_class_v<To>) {
          return to.syntax;
        } else if constexpr (std::is_same_v<To, bool ServerConfig::*>) {
          return FlagSyntax::kBoolean;
        } else if constexpr (std::is_same_v<To, int64_t ServerConfig::*>) {
          return FlagSyntax::kInteger;
        } else if constexpr (std::is_same_v<To, Duration ServerConfig::*>) {
          return FlagSyntax::kDuration;
        } else if constexpr (std::is_same_v<To, std::vector<std::string> ServerConfig::*>) {
          return FlagSyntax::kList;
        } else {
          return FlagSyntax::kText;  // URL lists too: in YAML they are one text
        }
      },
      target);
}

const Flag* FindFlag(std::string_view name) {
  for (const Flag& flag : AllFlags()) {
    if (flag.name == name) return &flag;
    if (flag.was_experimental && name.starts_with(kExperimental) &&
        flag.name == name.substr(kExperimental.size())) {
      return &flag;
    }
  }
  return nullptr;
}

std::string_view NearestFlag(std::string_view name) {
  std::string_view nearest;
  size_t least = std::max<size_t>(2, name.size() / 3) + 1;
  for (const Flag& flag : AllFlags()) {
    if (flag.group == FlagGroup::kRetired) continue;
    if (const size_t distance = EditDistance(name, flag.name); distance < least) {
      least = distance;
      nearest = flag.name;
    }
  }
  return nearest;
}

absl::Status SetFlag(const Flag& flag, std::string_view value, ServerConfig& config,
                     std::vector<std::string>& warnings) {
  const Setter setter{flag, value, config, warnings};
  if (absl::Status status = std::visit(setter, flag.target); !status.ok()) return status;
  config.given.insert(std::string(flag.name));
  return absl::OkStatus();
}

std::string FlagText(const Flag& flag, const ServerConfig& config) {
  return std::visit(Printer{config}, flag.target);
}

absl::StatusOr<std::vector<ClusterMember>> ParseInitialCluster(std::string_view text) {
  std::vector<ClusterMember> members;
  for (std::string_view part : Split(text, ',')) {
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return Expected(text, "name=URL,name=URL as in m1=http://10.0.0.1:2380");
    }
    const std::string_view name = part.substr(0, equals);
    absl::StatusOr<Url> url = ParseUrl(part.substr(equals + 1));
    if (!url.ok()) return url.status();
    auto it = std::find_if(members.begin(), members.end(),
                           [&](const ClusterMember& member) { return member.name == name; });
    if (it == members.end()) it = members.insert(it, ClusterMember{std::string(name), {}});
    it->peer_urls.push_back(*std::move(url));
  }
  return members;
}

std::string FormatInitialCluster(const std::vector<ClusterMember>& members) {
  std::vector<std::string> parts;
  for (const ClusterMember& member : members) {
    for (const Url& url : member.peer_urls) {
      parts.push_back(fmt::format("{}={}", member.name, url.ToString()));
    }
  }
  return fmt::format("{}", fmt::join(parts, ","));
}

}  // namespace conclave::server
