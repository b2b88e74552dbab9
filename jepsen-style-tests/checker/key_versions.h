// Every version of every key that a log of events made: the state at any revision, without copies
// of it. Built once by each checker that needs states; immutable, any lane. Get costs a binary
// search, Select one per key of the range.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "jepsen-style-tests/checker/kv_history.h"
#include "kvstore/oracle_rules.h"
#include "kvstore/proto/rpc.pb.h"

namespace conclave::checker {

class KeyVersions {
 public:
  explicit KeyVersions(const EventLog& log);

  // The key's pair as of the end of `revision`; null if it did not exist.
  const mvccpb::KeyValue* Get(std::string_view key, int64_t revision) const;
  // The pairs of a range (key conventions of the wire) as of the end of `revision`.
  kv::SelectedPairs Select(std::string_view begin, std::string_view end, int64_t revision) const;
  // The keys attached to the lease as of the end of `revision`, ascending.
  std::vector<std::string> KeysOf(int64_t lease, int64_t revision) const;

 private:
  struct Version {
    int64_t revision = 0;
    bool deleted = false;
    mvccpb::KeyValue kv;
  };
  using Versions = std::vector<Version>;  // ascending, at most one per revision

  static const mvccpb::KeyValue* Find(const Versions& versions, int64_t revision);

  std::map<std::string, Versions, std::less<>> keys_;
  // The keys that ever hung on a lease.
  std::map<int64_t, std::map<std::string, const Versions*, std::less<>>> keys_of_lease_;
};

// If `revision` did nothing but delete keys of one lease: the lease. Otherwise 0.
int64_t LeaseOfDeletes(const EventLog& log, const KeyVersions& versions, int64_t revision);
// Whether `revision` did what the end of `lease` does: deletes all its keys, in their order, and
// nothing else.
bool EndsLease(const EventLog& log, const KeyVersions& versions, int64_t revision, int64_t lease);

// The pair that a put leaves behind.
mvccpb::KeyValue PairOf(const KvEvent& put);

bool SamePair(const mvccpb::KeyValue& a, const mvccpb::KeyValue& b);

}  // namespace conclave::checker
