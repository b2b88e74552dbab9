// The numbers of Raft as distinct types: a term passed where a log index is wanted does not
// compile. Used by every folder. Plain values, any lane. Arithmetic is offered only where it means
// something (an index plus a count); everything else goes through value().
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <utility>

namespace conclave::raft {

// A 64-bit number that belongs to `Tag` and converts to and from nothing implicitly.
template <typename Tag>
class Tagged {
 public:
  constexpr Tagged() = default;
  constexpr explicit Tagged(uint64_t value) : value_(value) {}

  constexpr uint64_t value() const { return value_; }
  constexpr auto operator<=>(const Tagged&) const = default;

  constexpr Tagged Next() const { return Tagged(value_ + 1); }
  constexpr Tagged Prev() const { return Tagged(value_ - 1); }  // requires value() > 0
  constexpr Tagged operator+(uint64_t count) const { return Tagged(value_ + count); }
  constexpr Tagged operator-(uint64_t count) const { return Tagged(value_ - count); }
  constexpr uint64_t operator-(Tagged other) const { return value_ - other.value_; }
  Tagged& operator++() {
    ++value_;
    return *this;
  }

  template <typename H>
  friend H AbslHashValue(H h, Tagged t) {
    return H::combine(std::move(h), t.value_);
  }
  friend std::ostream& operator<<(std::ostream& os, Tagged t) { return os << t.value_; }

 private:
  uint64_t value_ = 0;
};

// Election epoch (thesis 3.3). 0 before the first election.
using Term = Tagged<struct TermTag>;
// Position in the log. 0 means "before the first entry"; the first entry has index 1.
using LogIndex = Tagged<struct LogIndexTag>;
// A member of the cluster. 0 means "none". The same number as etcd's member id.
using NodeId = Tagged<struct NodeIdTag>;
// Number of one write to the log, ascending within one run of a process.
using WriteId = Tagged<struct WriteIdTag>;
// Number of one batch of linearizable reads, unique within one run of a process.
using ReadId = Tagged<struct ReadIdTag>;
// Number of one proposal, unique within one run of the process that made it.
using ProposalId = Tagged<struct ProposalIdTag>;

inline constexpr NodeId kNoNode{0};

}  // namespace conclave::raft
