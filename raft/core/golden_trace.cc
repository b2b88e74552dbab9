#include "raft/core/golden_trace.h"

#include <sstream>

#include "fmt/format.h"
#include "raft/core/trace_commands.h"

namespace conclave::raft {
namespace {

constexpr std::string_view kPrompt = "> ";
constexpr std::string_view kIndent = "    ";

}  // namespace

std::string ReplayTrace(std::string_view trace) {
  TraceCommands commands;
  std::string text;
  std::istringstream lines{std::string(trace)};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(kIndent)) continue;  // an outcome, made anew
    text += line + "\n";
    if (!line.starts_with(kPrompt)) continue;
    for (const std::string& outcome : commands.Run(line.substr(kPrompt.size()))) {
      text += fmt::format("{}{}\n", kIndent, outcome);
    }
  }
  return text;
}

}  // namespace conclave::raft
