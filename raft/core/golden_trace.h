// The golden traces: a scenario told in prose, with the commands that make it happen and everything
// the cores put out, in one text file under raft/core/golden. A replay must give the same text
// again. Tests only.
//
// A line that starts with "> " is a command; the indented lines after it are what came of it.
// Everything else is prose.
//
//   cluster N [LIMIT VALUE]...  N voters, all followers that know no leader. LIMITs: learners,
//                               entries (in a request), window (requests in flight to a peer),
//                               uncommitted (bytes), apply_bytes, tail (entries kept),
//                               prefer (a member; the more often, the more it is preferred)
//   quietly COMMAND             the command, without telling what comes of it
//   elect N                     quietly makes N the leader and lets everything settle
//   settle                      quietly delivers, writes and applies everything that is under way
//   run MS                      quietly lets everything run for so many milliseconds
//   pass MS                     so many milliseconds pass, and nobody is woken
//   due N                       quietly lets everything run until N wants to be woken
//   wake N                      N is woken when it asked for it, until it says something
//   timeout N                   N hears nothing until it campaigns, or gives up to lead
//   write N                     the oldest write of N becomes durable, what waited for it leaves
//   apply N                     the oldest batch that N may apply is applied
//   crash N / restart N         N loses everything but its disk / comes back with that
//   compact N INDEX             N's state machine is durable up to INDEX
//   join N M                    N starts with an empty log; what it knows of the members M told it
//   fetch N                     the state that N is fetching has arrived
//   damage N INDEX              while N is down: its disk loses its entries from INDEX on
//
//   deliver A->B [K]            the oldest message on the way from A to B arrives, or the K-th
//   drop A->B [K]               it is lost instead
//   lose A->B                   everything on this way is lost
//   repeat A->B [K]             it will arrive twice
//   delay A->B [K]              it stays on its way until "late"
//   late A->B                   the oldest that was delayed arrives
//   lost A B                    A is told that its connection to B is broken
//   cut N / split A B ...       N is / A, B ... are cut off from all the others; what is on its way
//                               there is lost
//   block A->B                  only this way is cut
//   heal                        all links work again
//
//   propose N a b ...           the commands a, b, ... are proposed to N, in one drain
//   change N (KIND M)...        a change of membership is proposed to N: add M as a voter, M as a
//                               learner, remove M
//   read N [COUNT]              as many reads come to N, in one drain
//   transfer N [M]              N is asked to hand leadership to M, or to whom it likes
//
//   status                      where everybody stands
//   peers N                     what N, which leads, knows of the others
//   log N ...                   the log as it will be once all writes are done
//   disk N ...                  what a crash would leave
//   members N ...               the configuration that N goes by
//   applied N ...               the commands in the state machine
//   underway A->B               the messages on the way, oldest first
#pragma once

#include <string>
#include <string_view>

namespace conclave::raft {

// The text of the trace with the outcomes of its commands as they are now. A problem found by the
// checks of TestCluster, or a command that does not apply, becomes a line that starts with
// "PROBLEM".
std::string ReplayTrace(std::string_view trace);

}  // namespace conclave::raft
