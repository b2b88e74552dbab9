// The text of --help, made from the table of flags (flags.h), so that it never says anything else
// than what is accepted. Used by command_line.cc only; a pure function.
#pragma once

#include <string>

namespace conclave::server {

// Every flag that works, by group, with its default and its meaning; then the names of etcd's
// others.
std::string HelpText();

}  // namespace conclave::server
