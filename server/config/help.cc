#include "server/config/help.h"

#include <array>
#include <string_view>
#include <utility>
#include <variant>

#include "fmt/format.h"
#include "server/config/flags.h"

namespace conclave::server {
namespace {

constexpr std::array<std::pair<FlagGroup, std::string_view>, 8> kTitles = {{
    {FlagGroup::kMember, "Member"},
    {FlagGroup::kClustering, "Clustering"},
    {FlagGroup::kSecurity, "Security"},
    {FlagGroup::kAuth, "Auth"},
    {FlagGroup::kMonitoring, "Monitoring and logging"},
    {FlagGroup::kFeatures, "Features"},
    {FlagGroup::kUnsafe, "Unsafe"},
    {FlagGroup::kOther, "Other"},
}};

template <typename Target>
bool Has(const Flag& flag) {
  return std::holds_alternative<Target>(flag.target);
}

std::string GroupText(FlagGroup group) {
  std::string text;
  for (const Flag& flag : AllFlags()) {
    if (flag.group != group || Has<OnlyDefault>(flag) || Has<NoEffect>(flag)) continue;
    text += fmt::format("  --{} '{}'\n      {}\n", flag.name, FlagText(flag, ServerConfig{}),
                        flag.help);
  }
  return text;
}

// Names side by side, in lines of at most 100 columns.
template <typename Target>
std::string NamesText() {
  std::string text;
  std::string line = " ";
  for (const Flag& flag : AllFlags()) {
    if (flag.group == FlagGroup::kRetired || !Has<Target>(flag)) continue;
    if (line.size() + 3 + flag.name.size() > 100) {
      text += line + "\n";
      line = " ";
    }
    line += fmt::format(" --{}", flag.name);
  }
  return text + line + "\n";
}

}  // namespace

std::string HelpText() {
  std::string text =
      "Usage: conclave [flags]\n\n"
      "Runs a member of a cluster that serves the etcd v3 API. Without flags: one member, clients "
      "on\n"
      "http://localhost:2379, data in default.etcd.\n\n"
      "Flags are written --name value or --name=value; a boolean --name or --name=false. Each can "
      "be\n"
      "set as ETCD_NAME or CONCLAVE_NAME in the environment instead (upper case, '_' for '-').\n";
  for (const auto& [group, title] : kTitles) {
    if (const std::string flags = GroupText(group); !flags.empty()) {
      text += fmt::format("\n{}:\n{}", title, flags);
    }
  }
  text +=
      "\nFlags of etcd that this version takes at their default only:\n" + NamesText<OnlyDefault>();
  text += "\nFlags of etcd that are taken and have no effect here:\n" + NamesText<NoEffect>();
  return text;
}

}  // namespace conclave::server
