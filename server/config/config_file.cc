#include "server/config/config_file.h"

#include <yaml-cpp/yaml.h>

#include <charconv>
#include <optional>

#include "absl/status/statusor.h"
#include "fmt/format.h"
#include "raft/base/text.h"
#include "server/config/flags.h"

namespace conclave::server {
namespace {

std::string YamlKeyOf(const Flag& flag) {
  return std::string(flag.yaml_key.empty() ? flag.name : flag.yaml_key);
}

const Flag* FindYamlKey(const std::string& key) {
  for (const Flag& flag : AllFlags()) {
    if (YamlKeyOf(flag) == key) return &flag;
    if (flag.was_experimental && key == fmt::format("experimental-{}", flag.name)) return &flag;
  }
  return nullptr;
}

bool IsSection(const std::string& key) {
  for (const Flag& flag : AllFlags()) {
    if (flag.yaml_key.starts_with(key + ".")) return true;
  }
  return false;
}

absl::StatusOr<std::string> DurationText(const std::string& text) {
  int64_t nanoseconds = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, nanoseconds);
  if (error == std::errc() && stop == end) return fmt::format("{}ns", nanoseconds);
  return absl::InvalidArgumentError(
      fmt::format("bad value \"{}\": expected an integer of nanoseconds", text));
}

absl::StatusOr<std::string> ListText(const YAML::Node& list) {
  std::string text;
  for (const YAML::Node& item : list) {
    if (!item.IsScalar()) return absl::InvalidArgumentError("expected a list of single values");
    if (!text.empty()) text += ',';
    text += item.Scalar();
  }
  return text;
}

// A node as the flag would be written on the command line.
absl::StatusOr<std::string> TextOf(const YAML::Node& node, FlagSyntax syntax) {
  if (syntax == FlagSyntax::kList && node.IsSequence()) return ListText(node);
  if (!node.IsScalar()) return absl::InvalidArgumentError("expected a single value");
  if (syntax == FlagSyntax::kDuration) return DurationText(node.Scalar());
  bool truth = false;  // YAML has more words for it than Go
  if (syntax == FlagSyntax::kBoolean && YAML::convert<bool>::decode(node, truth)) {
    return std::string(truth ? "true" : "false");
  }
  return node.Scalar();
}

class Reader {
 public:
  Reader(const std::string& path, ServerConfig& config, std::vector<std::string>& warnings)
      : path_(path), config_(config), warnings_(warnings) {}

  // Takes all settings of a mapping whose keys start with `section`.
  absl::Status Read(const YAML::Node& mapping, const std::string& section) {
    for (const auto& entry : mapping) {
      const YAML::Node& key_node = entry.first;
      const YAML::Node& value = entry.second;
      const std::string key = section + (key_node.IsScalar() ? key_node.Scalar() : "?");
      if (value.IsMap() && IsSection(key)) {
        if (absl::Status status = Read(value, key + "."); !status.ok()) return status;
        continue;
      }
      const Flag* flag = FindYamlKey(key);
      if (flag == nullptr) {
        warnings_.push_back(fmt::format("{}: unknown key \"{}\" is ignored", Place(key_node), key));
      } else if (!value.IsNull()) {
        if (absl::Status status = Take(*flag, key, value); !status.ok()) return status;
      }
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Take(const Flag& flag, const std::string& key, const YAML::Node& value) {
    if (config_.IsGiven(std::string(flag.name))) {
      return absl::InvalidArgumentError(
          fmt::format("--{} (from {}): expected to be set once", flag.name, Place(value)));
    }
    if (key.starts_with("experimental-") && flag.was_experimental) {
      warnings_.push_back(
          fmt::format("{}: {} is deprecated, use {}", Place(value), key, flag.name));
    }
    absl::StatusOr<std::string> text = TextOf(value, flag.syntax());
    absl::Status status = text.ok() ? SetFlag(flag, *text, config_, warnings_) : text.status();
    if (status.ok()) return status;
    return absl::InvalidArgumentError(
        fmt::format("--{} (from {}): {}", flag.name, Place(value), MessageOf(status)));
  }

  std::string Place(const YAML::Node& node) const {
    return fmt::format("{} line {}", path_, node.Mark().line + 1);
  }

  const std::string& path_;
  ServerConfig& config_;
  std::vector<std::string>& warnings_;
};

// nullopt if it is not YAML; `error` then says where and why.
std::optional<YAML::Node> Load(std::string_view text, std::string& error) {
  try {
    return YAML::Load(std::string(text));
  } catch (const YAML::Exception& e) {  // tidy: allow(exceptions) yaml-cpp reports bad syntax so
    error = fmt::format("line {}: {}", e.mark.line + 1, e.msg);
    return std::nullopt;
  }
}

}  // namespace

absl::Status ReadConfigFile(const std::string& path, std::string_view text, ServerConfig& config,
                            std::vector<std::string>& warnings) {
  std::string error;
  const std::optional<YAML::Node> root = Load(text, error);
  if (!root.has_value()) {
    return absl::InvalidArgumentError(
        fmt::format("--config-file: expected YAML or JSON in {}, but {}", path, error));
  }
  if (root->IsNull()) return absl::OkStatus();
  if (!root->IsMap()) {
    return absl::InvalidArgumentError(
        fmt::format("--config-file: expected settings as \"name: value\" in {}", path));
  }
  return Reader(path, config, warnings).Read(*root, "");
}

}  // namespace conclave::server
