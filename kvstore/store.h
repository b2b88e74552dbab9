// The deterministic state machine: it takes committed commands in log order and answers with
// responses and events; the same commands give the same state on every member. MVCC keys,
// transactions, leases, watches, members and alarms behind one door. Owned by the apply stage, all
// calls on the apply lane. It has no clock, no thread and knows nothing of Raft: positions of the
// log and its configurations are numbers and bytes that it keeps beside the state they belong to.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kvstore/command.h"
#include "kvstore/engine/engine.h"
#include "kvstore/engine/leveldb_engine.h"
#include "kvstore/lease/lessor.h"
#include "kvstore/mvcc/history.h"
#include "kvstore/mvcc/range_view.h"
#include "kvstore/proto/rpc.pb.h"
#include "kvstore/watch/watch_hub.h"

namespace conclave::kv {

// The response to a command; header.revision is set, the rest of the header is the server's to
// fill.
using Response =
    std::variant<std::monostate, etcdserverpb::PutResponse, etcdserverpb::DeleteRangeResponse,
                 etcdserverpb::TxnResponse, etcdserverpb::CompactionResponse,
                 etcdserverpb::LeaseGrantResponse, etcdserverpb::LeaseRevokeResponse,
                 etcdserverpb::AlarmResponse, etcdserverpb::MemberAddResponse,
                 etcdserverpb::MemberRemoveResponse, etcdserverpb::MemberPromoteResponse,
                 etcdserverpb::MemberUpdateResponse>;

struct ApplyResult {
  absl::Status status;  // one of the errors table, or OK
  Response response;
};

// Bounds of the results kept for requests that come again (result_table.h). They decide when a
// result goes, so they are the same on every member of a cluster: no setting.
struct ResultTableOptions {
  uint64_t results_max = 500'000;
  uint64_t bytes_max = 64 << 20;  // of ids and responses, and 82 for each
  // A response that is longer is not kept: the result is then ErrResponseNotKept.
  size_t response_bytes_max = 16 << 10;
};

struct StoreOptions {
  WatchOptions watch;
  // Events looked at per CompactStep, during which nothing else happens: some 0.5 ms.
  size_t compaction_batch = 100;
  // A range that may have more keys than this, or turns out to have more bytes, is read in the
  // background.
  int64_t long_range_keys = 2000;
  size_t long_range_bytes = 1 << 20;
  size_t record_cache_bytes = 16 << 20;  // of latest records in memory (record_cache.h)
  ResultTableOptions results = {};
  uint64_t seed = 0;  // spreads progress notifications
  // Told of the events of each drain once they are visible, before watchers are; for those who
  // record all that a member did. May be empty.
  std::function<void(const std::vector<SharedRevisionEvents>& revisions)> recorder = {};
};

// What an engine on disk is to know of a store's layout; the rest are defaults.
LevelDbOptions StoreEngineOptions();

// Where in the log a state stands: the last entry applied to it, and the configuration of the
// newest kConfiguration entry up to there, as the caller encoded it; if there was none, the one
// that came with the state as a snapshot, or else empty: the configuration that the cluster was
// started with.
struct LogPosition {
  uint64_t index = 0;
  uint64_t term = 0;
  std::string configuration;
  friend bool operator==(const LogPosition&, const LogPosition&) = default;
};

struct HashResult {
  uint32_t hash = 0;
  int64_t compact_revision = -1;
  int64_t hash_revision = 0;
};

// Sums a state up as it was when this was made, however much there is: for another lane. The engine
// must outlive it.
using HashWork = absl::AnyInvocable<HashResult()>;
// Likewise has the engine bring a record into memory.
using ColdRead = absl::AnyInvocable<void()>;
// Likewise reads a range, whole.
using RangeWork = absl::AnyInvocable<void(etcdserverpb::RangeResponse* response)>;

class Store : public History {
 public:
  // Reads the small state (revision, leases, members) back. DataLoss if the engine's content is not
  // a store's. `members` is the bootstrap membership: it becomes the member list of an empty
  // engine, and is ignored otherwise.
  static absl::StatusOr<std::unique_ptr<Store>> Open(
      Engine* engine, const StoreOptions& options,
      const std::vector<etcdserverpb::Member>& members);

  // ---- Apply. ----

  // Applies the entry at `index`, which must be applied_index() + 1, of `term`. A command whose
  // request id has a result already changes nothing and comes to that result (result_table.h).
  // `want_response` is false on members that nobody waits on: the response is then left out, the
  // state change is the same.
  virtual ApplyResult Apply(uint64_t index, uint64_t term, std::string_view command,
                            bool want_response) = 0;
  // As Apply, but with nothing done, and nothing returned, if what the command looks up is not in
  // memory: then somebody runs its ColdReads, and Apply need not wait long. One that looks up a
  // range, or reads the past, may wait all the same.
  virtual std::optional<ApplyResult> ApplyIfCached(uint64_t index, uint64_t term,
                                                   std::string_view command,
                                                   bool want_response) = 0;
  // What brings the single keys into memory that the command, or the request, looks up in the
  // present state, and that are not there yet. Of a range nothing if it is not one such key.
  virtual std::vector<ColdRead> ColdReads(std::string_view command) const = 0;
  virtual std::optional<std::vector<ColdRead>> ColdReads(
      const etcdserverpb::RangeRequest& request) const = 0;
  virtual std::vector<ColdRead> ColdReads(const etcdserverpb::TxnRequest& request) const = 0;
  // A no-op.
  virtual void ApplyNothing(uint64_t index, uint64_t term) = 0;
  // A change of the raft configuration: remembers `configuration` as the position's, and applies
  // `context`, a command or empty. The change is in force whether or not the command is refused, so
  // whoever proposes one asks CheckMemberChange first.
  virtual ApplyResult ApplyConfiguration(uint64_t index, uint64_t term,
                                         std::string_view configuration, std::string_view context,
                                         bool want_response) = 0;
  // Ends an apply drain: one engine batch for all of it, then watchers get its events. Reads see
  // only committed drains.
  virtual void Commit() = 0;
  // Whether Commit and CompactStep need not wait for the disk. Engine::HasRoom and AwaitRoom; after
  // Adopt whoever waits asks again.
  virtual bool HasRoom() const = 0;
  virtual void AwaitRoom(absl::AnyInvocable<void()> then) = 0;
  virtual uint64_t applied_index() const = 0;
  // Of the last entry applied. The engine gets it in one batch with what the entry has changed, so
  // every view of the engine, and every state that a crash leaves, has the position that it is at.
  virtual LogPosition position() const = 0;

  // The sum over everything applied up to the position (chain.h): equal on members that stand at
  // the same index, or their states are not what the log says. It comes with a snapshot.
  virtual uint64_t chain() const = 0;

  // ---- Snapshots. ----

  // A snapshot was installed: `engine`, which must hold a later state of the same cluster, takes
  // the place of the present one, which is not touched any more and may be destroyed. Everything
  // is read anew; watchers go on from where they are, out of the new history, and those that need
  // compacted revisions are cancelled as after a compaction. Leases have no clocks until the lessor
  // is promoted. Between drains only. DataLoss if the content is not a store's: then this store is
  // good for nothing any more.
  virtual absl::Status Adopt(Engine* engine) = 0;
  // The state in `incoming` has come whole, as a snapshot: notes in it that nothing was applied to
  // it here yet, and returns its position. `configuration` is what its source says is in force
  // there: kept as the position's if the state itself has none. DataLoss if it is no store's. Not
  // durable before a flush.
  static absl::StatusOr<LogPosition> MarkInstalled(Engine* incoming,
                                                   std::string_view configuration);
  // The position of the snapshot that this member's state goes back to; 0 if it goes back to none.
  // While it is the position itself, the log may be the one from before (server/stages/recovery.h).
  virtual uint64_t installed_index() const = 0;

  // ---- Reads; the caller has made them linearizable if they must be. Errors are of the errors
  // table. Who must not wait for the disk reads with a CachedOnly (engine/cached_only.h). ----

  virtual absl::Status Range(const etcdserverpb::RangeRequest& request,
                             etcdserverpb::RangeResponse* response) const = 0;
  // As Range, unless it is long (StoreOptions::long_range_keys, long_range_bytes): then false, the
  // response is not whole, and it is for one of the next two.
  virtual absl::StatusOr<bool> RangeIfShort(const etcdserverpb::RangeRequest& request,
                                            etcdserverpb::RangeResponse* response) const = 0;
  // A range that is IsInKeyOrder, to be read on another lane piece by piece, from the beginning or
  // on from where another view has come. Errors: as of Range; compacted also if the revision of
  // `progress` has been compacted since.
  virtual absl::StatusOr<std::unique_ptr<RangeView>> ViewRange(
      const etcdserverpb::RangeRequest& request, const RangeProgress& progress) const = 0;
  // Any other, as of now, to be read and sorted whole on another lane.
  virtual absl::StatusOr<RangeWork> PrepareRange(
      const etcdserverpb::RangeRequest& request) const = 0;
  // A transaction that writes nothing (IsReadOnly of validate.h).
  virtual absl::Status ReadOnlyTxn(const etcdserverpb::TxnRequest& request,
                                   etcdserverpb::TxnResponse* response) const = 0;
  // Over the history up to `revision`, 0 for the newest, of the state as it is now.
  virtual absl::StatusOr<HashWork> PrepareHashKv(int64_t revision) const = 0;
  // Over everything that is replicated; equal on members at equal applied_index().
  virtual HashWork PrepareHash() const = 0;
  // Both at once, for stores that are small.
  absl::StatusOr<HashResult> HashKv(int64_t revision) const {
    absl::StatusOr<HashWork> work = PrepareHashKv(revision);
    if (!work.ok()) return work.status();
    return (*work)();
  }
  uint32_t Hash() const { return PrepareHash()().hash; }
  // Sorted by id.
  virtual std::vector<etcdserverpb::Member> Members() const = 0;
  // True for a member that was removed, whose id can never come back.
  virtual bool IsRemoved(uint64_t member) const = 0;
  // What applying a kMemberAdd, kMemberRemove, kMemberPromote or kMemberUpdate with this `request`
  // would answer now. It holds until the next such command is applied. Fatal if the request does
  // not parse.
  virtual absl::Status CheckMemberChange(CommandKind kind, std::string_view request) const = 0;
  virtual std::vector<etcdserverpb::AlarmMember> Alarms() const = 0;
  // Whether any member has raised it. Asked before each write: the store itself makes no list.
  virtual bool IsAlarmOn(etcdserverpb::AlarmType type) const;
  // Whether that member's NOSPACE is on because of its quota (CommandKind::kQuotaAlarm).
  virtual bool IsQuotaAlarmOn(uint64_t member) const = 0;
  // Whether that member's CORRUPT is on because its state differs from the others'
  // (CommandKind::kDivergenceAlarm); of member 0, that nobody knows whose is right.
  virtual bool IsDivergenceAlarmOn(uint64_t member) const = 0;
  // Whether a CORRUPT alarm is on that names no diverged member: one that was raised by hand, or
  // for member 0. Then nothing is written, as in etcd (reference: behaviour section 10.4).
  virtual bool IsCorrupt() const = 0;
  // Of the engine's files and what waits to be written to them.
  virtual uint64_t SizeBytes() const = 0;
  // What the quota is about: all versions that history keeps (mvcc/kept_bytes.h).
  virtual uint64_t KeptBytes() const = 0;

  // ---- Parts. ----

  virtual Lessor& lessor() = 0;
  virtual WatchHub& watches() = 0;

  // ---- Compaction of revisions, in the background. ----

  // Removes up to compaction_batch dead events; true if there is more to do now.
  virtual bool CompactStep() = 0;
  // The revision up to which dead versions are physically gone; compact_revision() when nothing is
  // left to do.
  virtual int64_t compacted_physically() const = 0;
};

}  // namespace conclave::kv
