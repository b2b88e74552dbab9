// A log as raft would hand it to a store, made of chance: commands of every kind, no-ops, changes
// of membership with a configuration, terms that go up. The input of the tests that compare stores
// which got the same entries in different ways. Test code.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kvstore/command.h"
#include "kvstore/proto/rpc.pb.h"
#include "kvstore/store.h"
#include "raft/base/bytes.h"
#include "raft/base/check.h"
#include "raft/base/random.h"

namespace conclave::kv {

class RandomLog {
 public:
  struct Entry {
    uint64_t term = 0;
    std::string configuration = {};  // not empty: a change of the configuration
    Bytes command = {};              // empty: none
  };

  explicit RandomLog(uint64_t seed, uint64_t keys = 3000) : random_(seed), keys_(keys) {}

  Random& random() { return random_; }
  uint64_t size() const { return entries_.size(); }

  // Applies the entry after the last one applied, which must be in the log.
  void ApplyNext(Store& store) const {
    const uint64_t index = store.applied_index() + 1;
    CHECK(index <= size());
    const Entry& entry = entries_[index - 1];
    const std::string_view command = entry.command.view();
    if (!entry.configuration.empty()) {
      store.ApplyConfiguration(index, entry.term, entry.configuration, command, false);
    } else if (command.empty()) {
      store.ApplyNothing(index, entry.term);
    } else {
      store.Apply(index, entry.term, command, false);
    }
  }
  // What the store must say of itself once it has applied the entry at `index`.
  LogPosition PositionAt(uint64_t index) const {
    if (index == 0) return {};
    LogPosition position{index, entries_[index - 1].term, {}};
    for (uint64_t i = 0; i < index; ++i) {
      if (!entries_[i].configuration.empty()) position.configuration = entries_[i].configuration;
    }
    return position;
  }

  // Puts and deletes over so many keys that the counts need many buckets, and some of everything
  // else.
  void Append() {
    if (random_.OneIn(30)) ++term_;
    if (random_.OneIn(40)) return Add({.term = term_});
    if (random_.OneIn(15)) return AppendConfiguration();
    if (random_.OneIn(50)) return AppendCompaction();
    if (random_.OneIn(20)) return AppendGrant();
    if (random_.OneIn(40)) return AppendRevoke();
    if (random_.OneIn(30)) return AppendLeaseCheckpoint();
    const std::string key = "key" + std::to_string(random_.Below(keys_));
    if (random_.OneIn(10)) {
      etcdserverpb::DeleteRangeRequest request;
      request.set_key(key);
      request.set_range_end(key + "5");
      return AppendCommand(CommandKind::kDeleteRange, request);
    }
    etcdserverpb::PutRequest put;
    put.set_key(key);
    put.set_value(std::string(random_.Below(300), 'v'));
    if (random_.OneIn(4)) put.set_lease(Lease());
    AppendCommand(CommandKind::kPut, put);
  }

  template <typename Request>
  void AppendCommand(CommandKind kind, const Request& request) {
    Add({.term = term_, .command = Encode(kind, request)});
  }

 private:
  void Add(Entry entry) { entries_.push_back(std::move(entry)); }
  // One in three under a request id, of which there are so few that they come again.
  template <typename Request>
  Bytes Encode(CommandKind kind, const Request& request) {
    const std::string bytes = request.SerializeAsString();
    std::string id;
    if (TakesIdentity(kind) && random_.OneIn(3)) {
      id = "the-request-id-of-" + std::to_string(random_.Below(5000));
    }
    return EncodeCommand({kind, 1, entries_.size()}, bytes,
                         {.id = id, .fingerprint = FingerprintOf(bytes)});
  }
  int64_t Lease() { return static_cast<int64_t>(random_.Between(1, 5)); }

  // Also those that are refused, and those without a command.
  void AppendConfiguration() {
    Entry entry{.term = term_, .configuration = "c" + std::to_string(entries_.size())};
    const uint64_t id = random_.Between(1, 30);
    switch (random_.Below(5)) {
      case 0: {
        etcdserverpb::Member member;
        member.set_id(id);
        member.add_peerurls("http://m" + std::to_string(random_.Between(1, 40)));
        member.set_islearner(random_.OneIn(2));
        entry.command = Encode(CommandKind::kMemberAdd, member);
        break;
      }
      case 1: {
        etcdserverpb::MemberRemoveRequest request;
        request.set_id(id);
        entry.command = Encode(CommandKind::kMemberRemove, request);
        break;
      }
      case 2: {
        etcdserverpb::MemberPromoteRequest request;
        request.set_id(id);
        entry.command = Encode(CommandKind::kMemberPromote, request);
        break;
      }
      case 3: {
        etcdserverpb::MemberUpdateRequest request;
        request.set_id(id);
        request.add_peerurls("http://m" + std::to_string(random_.Between(1, 40)));
        entry.command = Encode(CommandKind::kMemberUpdate, request);
        break;
      }
      default:
        break;
    }
    Add(std::move(entry));
  }
  void AppendCompaction() {
    etcdserverpb::CompactionRequest compact;
    compact.set_revision(static_cast<int64_t>(random_.Between(1, entries_.size() + 1)));
    AppendCommand(CommandKind::kCompact, compact);
  }
  void AppendGrant() {
    etcdserverpb::LeaseGrantRequest grant;
    grant.set_id(Lease());
    grant.set_ttl(60);
    AppendCommand(CommandKind::kLeaseGrant, grant);
  }
  void AppendRevoke() {
    etcdserverpb::LeaseRevokeRequest revoke;
    revoke.set_id(Lease());
    AppendCommand(CommandKind::kLeaseRevoke, revoke);
  }

  void AppendLeaseCheckpoint() {
    etcdserverpb::LeaseCheckpointRequest checkpoint;
    checkpoint.set_newest_grant(random_.Below(entries_.size() + 1));
    for (uint64_t leases = random_.Between(1, 3); leases > 0; --leases) {
      etcdserverpb::LeaseCheckpoint& lease = *checkpoint.add_checkpoints();
      lease.set_id(Lease());
      lease.set_remaining_ttl(static_cast<int64_t>(random_.Below(70)));
    }
    AppendCommand(CommandKind::kLeaseCheckpoint, checkpoint);
  }

  Random random_;
  const uint64_t keys_;
  uint64_t term_ = 1;
  std::vector<Entry> entries_;
};

}  // namespace conclave::kv
