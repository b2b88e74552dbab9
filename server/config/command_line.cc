#include "server/config/command_line.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <string_view>
#include <utility>

#include "fmt/format.h"
#include "raft/base/text.h"
#include "server/config/config_file.h"
#include "server/config/flags.h"
#include "server/config/help.h"
#include "server/config/validate.h"
#include "server/config/version.h"

namespace conclave::server {
namespace {

// One setting as found on the command line or in the environment.
struct Setting {
  const Flag* flag;
  std::string spelling;  // the flag's name as it was written
  std::string origin;    // "--name", or "--name (from ETCD_NAME)"
  std::string value;
};

// The settings so far, by flag name, so that a contradiction is seen.
using Settings = std::map<std::string, Setting>;

template <typename... Parts>
absl::Status Error(fmt::format_string<Parts...> format, Parts&&... parts) {
  return absl::InvalidArgumentError(fmt::format(format, std::forward<Parts>(parts)...));
}

absl::Status UnknownFlag(std::string_view name) {
  const std::string_view nearest = NearestFlag(name);
  if (nearest.empty()) {
    return Error("--{}: unknown flag: expected one of those that conclave --help lists", name);
  }
  return Error("--{}: unknown flag: expected one of conclave --help, perhaps --{}", name, nearest);
}

bool MayStandAlone(FlagSyntax syntax) {
  return syntax == FlagSyntax::kBoolean || syntax == FlagSyntax::kAnything;
}

// Go's flag syntax: -name and --name are the same, a value follows after '=' or, unless the flag is
// a boolean, as the next argument whatever it looks like; of a repeated flag the last counts. This
// is why no common option parser does.
absl::Status TakeArguments(const std::vector<std::string>& arguments, Settings& settings,
                           bool& help) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string_view argument = arguments[i];
    if (argument.size() < 2 || argument[0] != '-' || argument == "--") {
      return Error("\"{}\": expected a flag, as in --name=value (a boolean's value goes after '=')",
                   argument);
    }
    argument.remove_prefix(argument[1] == '-' ? 2 : 1);
    const size_t equals = argument.find('=');
    const std::string name(argument.substr(0, equals));
    if (name == "help" || name == "h") {
      help = true;
      return absl::OkStatus();
    }
    const Flag* flag = FindFlag(name);
    if (flag == nullptr) return UnknownFlag(name);
    std::string value;
    if (equals != std::string_view::npos) {
      value = std::string(argument.substr(equals + 1));
    } else if (MayStandAlone(flag->syntax())) {
      value = "true";
    } else if (++i < arguments.size()) {
      value = arguments[i];
    } else {
      return Error("--{}: expected a value after it", name);
    }
    const std::string key(flag->name);
    const auto it = settings.find(key);
    if (it != settings.end() && it->second.spelling != name) {
      return Error("--{}: expected only one of its names, not --{} too", name, it->second.spelling);
    }
    settings[key] = {flag, name, "--" + name, std::move(value)};
  }
  return absl::OkStatus();
}

// "ETCD_DATA_DIR" -> "data-dir"; nullopt if the variable is none of ours.
std::optional<std::string> FlagNameOf(std::string_view variable) {
  for (std::string_view prefix : {"ETCD_", "CONCLAVE_"}) {
    if (!variable.starts_with(prefix)) continue;
    std::string name(variable.substr(prefix.size()));
    for (char& c : name) {
      c = c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return name;
  }
  return std::nullopt;
}

// What the environment says of flags. An empty value is none.
absl::Status TakeEnvironment(const Environment& environment, Settings& settings,
                             std::vector<std::string>& warnings) {
  for (const auto& [variable, value] : environment) {
    const std::optional<std::string> name = FlagNameOf(variable);
    if (!name.has_value() || value.empty()) continue;
    const Flag* flag = FindFlag(*name);
    // Container images have ETCD_VERSION lying around; it must not print the version.
    if (flag == nullptr || flag->name == "version") {
      warnings.push_back(fmt::format("{}: unknown variable is ignored", variable));
      continue;
    }
    const auto [it, fresh] = settings.try_emplace(std::string(flag->name));
    if (!fresh) {
      return Error("{}: expected to be set once, not by {} too", it->second.origin, variable);
    }
    it->second = {flag, *name, fmt::format("--{} (from {})", *name, variable), value};
  }
  return absl::OkStatus();
}

absl::Status Apply(const Settings& settings, ServerConfig& config,
                   std::vector<std::string>& warnings) {
  for (const auto& [name, setting] : settings) {
    if (setting.spelling != name) {
      warnings.push_back(fmt::format("--{} is deprecated, use --{}", setting.spelling, name));
    }
    if (absl::Status status = SetFlag(*setting.flag, setting.value, config, warnings);
        !status.ok()) {
      return Error("{}: {}", setting.origin, MessageOf(status));
    }
  }
  return absl::OkStatus();
}

std::string VersionText(const ServerConfig& config) {
  return fmt::format("etcd Version: {}\nconclave Version: {}\n", config.reported_version,
                     ConclaveVersion());
}

// Whether --version is there and not false.
absl::StatusOr<bool> WantsVersion(const Settings& settings) {
  const auto it = settings.find("version");
  if (it == settings.end() || it->second.value == "false") return false;
  if (it->second.value == "true") return true;
  return Error("--version: expected no value, true or false, not \"{}\"", it->second.value);
}

// The path of the file that replaces flags and environment; empty if there is none.
std::string ConfigFileOf(const Settings& settings, const Environment& environment) {
  if (const auto it = settings.find("config-file"); it != settings.end()) return it->second.value;
  for (const char* variable : {"CONCLAVE_CONFIG_FILE", "ETCD_CONFIG_FILE"}) {
    const auto it = environment.find(variable);
    if (it != environment.end() && !it->second.empty()) return it->second;
  }
  return "";
}

absl::Status ReadFileInto(const std::string& path, const FileReader& read_file,
                          ParseOutcome& outcome) {
  const absl::StatusOr<std::string> text = read_file(path);
  if (!text.ok()) {
    return Error("--config-file: expected a readable file: {}", MessageOf(text.status()));
  }
  return ReadConfigFile(path, *text, outcome.config, outcome.warnings);
}

}  // namespace

absl::StatusOr<ParseOutcome> ParseCommandLine(const std::vector<std::string>& arguments,
                                              const Environment& environment,
                                              const FileReader& read_file) {
  ParseOutcome outcome;
  Settings settings;
  bool help = false;
  if (absl::Status status = TakeArguments(arguments, settings, help); !status.ok()) return status;
  if (help) {
    outcome.print = HelpText();
    return outcome;
  }
  const absl::StatusOr<bool> version = WantsVersion(settings);
  if (!version.ok()) return version.status();

  const std::string config_file = ConfigFileOf(settings, environment);
  if (*version || config_file.empty()) {
    // Nobody who asks for the version should be told of the environment's mistakes.
    const Environment none;
    if (absl::Status status =
            TakeEnvironment(*version ? none : environment, settings, outcome.warnings);
        !status.ok()) {
      return status;
    }
    if (absl::Status status = Apply(settings, outcome.config, outcome.warnings); !status.ok()) {
      return status;
    }
  } else {
    if (settings.size() > settings.count("config-file")) {
      outcome.warnings.push_back("--config-file is given: all other flags are ignored");
    }
    if (absl::Status status = ReadFileInto(config_file, read_file, outcome); !status.ok()) {
      return status;
    }
  }
  if (*version) {
    outcome.print = VersionText(outcome.config);
    return outcome;
  }
  if (absl::Status status = CompleteConfig(outcome.config); !status.ok()) return status;
  return outcome;
}

}  // namespace conclave::server
