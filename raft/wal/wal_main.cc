// conclave-wal: prints the log of a member (wal_dump.h).
//
//   conclave-wal [--json] [--entries] DIR
//
// Exits with 0 if the log is whole, 1 if some of it is damaged, 2 if it cannot be read at all.
#include <cstdio>
#include <string>
#include <string_view>

#include "raft/base/posix_file_system.h"
#include "raft/base/text.h"
#include "raft/wal/wal_dump.h"

namespace {

constexpr std::string_view kUsage =
    "usage: conclave-wal [--json] [--entries] DIR\n"
    "\n"
    "Prints the raft log in DIR (DATA_DIR/wal of a member): its segments and records, and what is\n"
    "damaged. Reads only; the member may be running.\n"
    "\n"
    "  --json     one JSON object instead of a table\n"
    "  --entries  the entries of each record as well\n"
    "\n"
    "Exit status: 0 the log is whole, 1 some of it is damaged, 2 it cannot be read.\n";

struct Arguments {
  bool json = false;
  bool entries = false;
  bool help = false;
  std::string directory;
  std::string error;
};

Arguments Parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--json") {
      arguments.json = true;
    } else if (argument == "--entries") {
      arguments.entries = true;
    } else if (argument == "--help" || argument == "-h") {
      arguments.help = true;
    } else if (argument.starts_with("-")) {
      arguments.error = "unknown option " + std::string(argument);
    } else if (!arguments.directory.empty()) {
      arguments.error = "more than one directory";
    } else {
      arguments.directory = argument;
    }
  }
  if (arguments.error.empty() && arguments.directory.empty()) arguments.error = "no directory";
  return arguments;
}

void Print(std::FILE* to, std::string_view text) { std::fwrite(text.data(), 1, text.size(), to); }

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = Parse(argc, argv);
  if (arguments.help) {
    Print(stdout, kUsage);
    return 0;
  }
  if (!arguments.error.empty()) {
    Print(stderr, "conclave-wal: " + arguments.error + "\n" + std::string(kUsage));
    return 2;
  }
  conclave::PosixFileSystem fs;
  const auto dump = conclave::raft::DumpWal(fs, arguments.directory);
  if (!dump.ok()) {
    Print(stderr, "conclave-wal: " + std::string(conclave::MessageOf(dump.status())) + "\n");
    return 2;
  }
  Print(stdout, arguments.json ? conclave::raft::DumpAsJson(*dump, arguments.entries)
                               : conclave::raft::DumpAsText(*dump, arguments.entries));
  return dump->damaged() ? 1 : 0;
}
