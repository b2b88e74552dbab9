// The flags of the server: one table says of each its name, group, help, type, bounds, and where
// its value goes; command line, environment, YAML and --help are all driven by it (reference:
// behaviour section 14). Used at start-up only, main thread.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "server/config/config.h"

namespace conclave::server {

enum class FlagGroup {
  kMember,
  kClustering,
  kSecurity,
  kAuth,
  kMonitoring,
  kFeatures,
  kUnsafe,
  kOther,
  kRetired,  // of older etcd; not shown by --help
};

// How a value is written.
enum class FlagSyntax {
  kBoolean,  // --x alone means --x=true; a value needs the '='
  kInteger,
  kDuration,  // Go's syntax; in YAML an integer of nanoseconds
  kText,
  kList,      // separated by commas; in YAML a list
  kAnything,  // as kBoolean, but nobody looks at the value
};

// A flag of etcd whose feature this version does not have: anything but its default is an error,
// because the user asks for something that would not happen.
struct OnlyDefault {
  FlagSyntax syntax;
  std::string_view value;
};

// A flag of etcd that tunes something Conclave does not have or need: any value is accepted, with a
// warning.
struct NoEffect {
  FlagSyntax syntax;
};

// Read by command_line.h itself.
struct Directive {
  FlagSyntax syntax;
};

// Where a flag's value goes.
using FlagTarget =
    std::variant<OnlyDefault, NoEffect, Directive, bool ServerConfig::*, int64_t ServerConfig::*,
                 Duration ServerConfig::*, std::string ServerConfig::*,
                 std::vector<std::string> ServerConfig::*, std::vector<Url> ServerConfig::*,
                 std::vector<ClusterMember> ServerConfig::*>;

struct Flag {
  std::string_view name;  // without dashes
  FlagGroup group;
  FlagTarget target;
  std::string_view help = {};
  // Bounds of integers, and of durations in nanoseconds.
  int64_t min = std::numeric_limits<int64_t>::min();
  int64_t max = std::numeric_limits<int64_t>::max();
  std::string_view choices = {};  // of texts, separated by '|'; empty: any text
  bool may_be_empty = false;      // of URL lists
  // Older etcd calls it experimental-<name>; still accepted, with a warning.
  bool was_experimental = false;
  // Its key in YAML, dots between levels; empty: the name. "-": it cannot be set there.
  std::string_view yaml_key = {};

  FlagSyntax syntax() const;
};

std::span<const Flag> AllFlags();

// A flag and the name it was called by, which may be its experimental one. nullptr if there is
// none.
const Flag* FindFlag(std::string_view name);

// The flag name most like `name`, for "did you mean"; empty if none is near.
std::string_view NearestFlag(std::string_view name);

// Takes the value of one flag into `config` and marks it as given. Warnings are whole lines.
// InvalidArgument says what was expected, without naming the flag. `config` is unchanged then.
absl::Status SetFlag(const Flag& flag, std::string_view value, ServerConfig& config,
                     std::vector<std::string>& warnings);

// The flag's value in `config`, as it would be written. The default of a flag is its text in
// ServerConfig{}.
std::string FlagText(const Flag& flag, const ServerConfig& config);

// name=url,name=url as of --initial-cluster; a repeated name adds URLs to that member (reference:
// behaviour section 9.3).
absl::StatusOr<std::vector<ClusterMember>> ParseInitialCluster(std::string_view text);
std::string FormatInitialCluster(const std::vector<ClusterMember>& members);

}  // namespace conclave::server
