// The golden traces: a scenario told in prose, with the commands that make it happen and everything
// the cores put out, in one text file under raft/core/golden. A replay must give the same text
// again. Tests only.
//
// A line that starts with "> " is a command; the indented lines after it are what came of it.
// Everything else is prose.
//
//   cluster N [learners M] [entries E]
//                             N voters and M learners, all followers that know no leader; E entries
//                             at most in a request
//   elect N                   quietly makes N the leader and lets everything settle
//   settle                    quietly delivers, writes and applies everything that is under way
//   status                    where everybody stands
//   propose N a b ...         the commands a, b, ... are proposed to N, in one drain
//   read N [count]            as many reads come to N, in one drain
//   write N                   the oldest write of N becomes durable, and what waited for it leaves
//   apply N                   the oldest batch that N may apply is applied
//   deliver A->B              the oldest message on the way from A to B arrives
//   drop A->B                 it is lost instead
//   timeout N                 N hears nothing until it campaigns, or gives up to lead
//   run MS                    quietly lets everything run for so many milliseconds
//   due N                     quietly lets everything run until N wants to be woken
//   wake N                    N is woken when it asked for it, until it says something
//   lost A B                  A is told that its connection to B is broken
//   cut N / heal              N is cut off from everybody, what is under way is lost / all links
//   work again crash N / restart N       N loses everything but its disk / comes back with that
//   transfer N M              N is asked to hand leadership to M
//   compact N INDEX           N's state machine is durable up to INDEX
#pragma once

#include <string>
#include <string_view>

namespace conclave::raft {

// The text of the trace with the outcomes of its commands as they are now. A problem found by the
// checks of TestCluster, or a command that does not apply, becomes a line that starts with
// "PROBLEM".
std::string ReplayTrace(std::string_view trace);

}  // namespace conclave::raft
