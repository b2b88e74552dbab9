#include "kvstore/lease/lessor.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "kvstore/errors.h"
#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::kv {
namespace {

// In the engine: a lease is `l` id -> TTL, log index of its grant, seconds of its checkpoint (0 if
// it has none); an attachment is `a` id key -> nothing. Numbers are big-endian, ids with the sign
// bit flipped, so that the engine's order is theirs.
constexpr char kLeasePrefix = 'l';
constexpr char kAttachmentPrefix = 'a';
constexpr size_t kNumberBytes = 8;
constexpr uint64_t kSignBit = uint64_t{1} << 63;

// At most this many leases of one Promote run out within any second (reference: behaviour section
// 7).
constexpr size_t kExpiriesPerSecondMax = 750;

// Of a TTL, until a lease is due for its first checkpoint, and from one to the next.
constexpr int64_t kFirstStepOfTtl = 2;
constexpr int64_t kStepOfTtl = 16;

// Of a take, for each checkpoint that it may return: leases that were renewed since they were
// looked at last are put off, which is to take no longer than this.
constexpr size_t kLooksPerCheckpoint = 8;

// The last instant a lease can run out at; kNever means that its clock stands still.
constexpr Instant kLatestExpiry = kNever - Duration(1);

void AppendNumber(uint64_t number, std::string& out) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(number >> shift));
}

// Requires kNumberBytes at the start of `in`.
uint64_t ReadNumber(std::string_view in) {
  uint64_t number = 0;
  for (size_t i = 0; i < kNumberBytes; ++i)
    number = number << 8 | static_cast<unsigned char>(in[i]);
  return number;
}

std::string IdKey(char prefix, int64_t id) {
  std::string key(1, prefix);
  AppendNumber(static_cast<uint64_t>(id) ^ kSignBit, key);
  return key;
}

std::string LeaseKey(int64_t id) { return IdKey(kLeasePrefix, id); }

std::string AttachmentKey(int64_t id, std::string_view key) {
  return IdKey(kAttachmentPrefix, id).append(key);
}

// Stops at kLatestExpiry: the largest TTL is as long as the time line itself.
Instant Later(Instant from, Duration by) {
  return by < kLatestExpiry - from ? from + by : kLatestExpiry;
}

}  // namespace

int64_t MinLeaseTtlSeconds(Duration election_timeout, Duration heartbeat_interval) {
  const int64_t election_ticks = election_timeout / heartbeat_interval;
  const Duration ttl_min = (3 * election_ticks / 2) * heartbeat_interval;
  return std::chrono::ceil<std::chrono::seconds>(ttl_min).count();
}

Lessor::Lessor(const Engine* engine) { Reload(engine); }

void Lessor::Reload(const Engine* engine) {
  engine_ = engine;
  if (SEEDED_BUG(kAdoptKeepsLeases) && !leases_.empty()) return;
  leases_.clear();
  promoted_ = false;
  not_started_.clear();
  StopClocks();
  newest_grant_ = 0;
  const std::unique_ptr<Iterator> it = engine_->NewIterator();
  const std::string_view prefix(&kLeasePrefix, 1);
  for (it->Seek(prefix); it->Valid() && it->key().starts_with(prefix); it->Next()) {
    Load(it->key(), it->value());
  }
}

void Lessor::Load(std::string_view key, std::string_view value) {
  if (key.size() != 1 + kNumberBytes || value.size() != 3 * kNumberBytes) {
    Fatal("the engine holds a lease that is none");
  }
  Lease& lease = leases_[static_cast<int64_t>(ReadNumber(key.substr(1)) ^ kSignBit)];
  lease.ttl_seconds = static_cast<int64_t>(ReadNumber(value));
  lease.granted_at = ReadNumber(value.substr(kNumberBytes));
  lease.checkpoint_seconds = static_cast<int64_t>(ReadNumber(value.substr(2 * kNumberBytes)));
  newest_grant_ = std::max(newest_grant_, lease.granted_at);
}

void Lessor::Write(int64_t id, const Lease& lease, WriteBatch& batch) {
  std::string value;
  AppendNumber(static_cast<uint64_t>(lease.ttl_seconds), value);
  AppendNumber(lease.granted_at, value);
  AppendNumber(static_cast<uint64_t>(lease.checkpoint_seconds), value);
  batch.Put(LeaseKey(id), value);
}

// ---- Replicated. ----

absl::Status Lessor::Grant(int64_t id, int64_t ttl_seconds, uint64_t index, WriteBatch& batch) {
  if (ttl_seconds > kMaxLeaseTtlSeconds) return ErrLeaseTtlTooLarge();
  if (Exists(id)) return ErrLeaseExists();
  // An entry of the log must not be able to end the process, whatever its proposer failed to check.
  ttl_seconds = std::max<int64_t>(ttl_seconds, 1);
  Lease& lease = leases_[id];
  lease.ttl_seconds = ttl_seconds;
  lease.granted_at = index;
  newest_grant_ = index;
  if (promoted_) not_started_.push_back(id);
  Write(id, lease, batch);
  return absl::OkStatus();
}

absl::Status Lessor::Revoke(int64_t id, WriteBatch& batch) {
  const auto found = leases_.find(id);
  if (found == leases_.end()) return ErrLeaseNotFound();
  for (const std::string& key : Keys(id)) Detach(id, key, batch);
  SetExpiry(id, found->second, kNever);
  SetLook(id, found->second, kNever);
  under_way_.erase(id);
  leases_.erase(found);
  batch.Delete(LeaseKey(id));
  return absl::OkStatus();
}

void Lessor::Attach(int64_t id, std::string_view key, WriteBatch& batch) {
  CHECK(Exists(id));
  batch.Put(AttachmentKey(id, key), {});
}

void Lessor::Detach(int64_t id, std::string_view key, WriteBatch& batch) {
  batch.Delete(AttachmentKey(id, key));
}

void Lessor::Checkpoint(const LeaseCheckpoints& checkpoints, WriteBatch& batch) {
  bool shorter = false;
  for (const LeaseCheckpoint& checkpoint : checkpoints.leases) {
    shorter |= checkpoint.remaining_seconds > 0;
    const auto found = leases_.find(checkpoint.id);
    if (found == leases_.end()) continue;
    Lease& lease = found->second;
    if (lease.granted_at > checkpoints.newest_grant && !SEEDED_BUG(kLeaseCheckpointInherited)) {
      SIM_REACHED("lease.checkpoint_of_an_earlier_lease");
      continue;
    }
    const bool shortens = checkpoint.remaining_seconds < lease.ttl_seconds;
    lease.checkpoint_seconds =
        shortens ? std::max<int64_t>(checkpoint.remaining_seconds, 0) : int64_t{0};
    Write(checkpoint.id, lease, batch);
    if (promoted_) SetLook(checkpoint.id, lease, CheckpointDue(lease));
  }
  // Entries that are applied while this member is promoted are of its own term, so its own.
  if (shorter) under_way_.clear();
}

// ---- Reads. ----

bool Lessor::Exists(int64_t id) const {
  const auto found = leases_.find(id);
  if (found == leases_.end()) return false;
  // A lease that this member's clock has ended is due again only later.
  return !SEEDED_BUG(kLocalTimeInApply) || found->second.due == found->second.expiry;
}

std::vector<std::string> Lessor::Keys(int64_t id) const {
  std::vector<std::string> keys;
  const std::string prefix = IdKey(kAttachmentPrefix, id);
  const std::unique_ptr<Iterator> it = engine_->NewIterator();
  for (it->Seek(prefix); it->Valid() && it->key().starts_with(prefix); it->Next()) {
    keys.emplace_back(it->key().substr(prefix.size()));
  }
  return keys;
}

std::optional<int64_t> Lessor::GrantedTtl(int64_t id) const {
  const auto found = leases_.find(id);
  if (found == leases_.end()) return std::nullopt;
  return found->second.ttl_seconds;
}

std::vector<int64_t> Lessor::List() const {
  // Without clocks every expiry is kNever, which leaves the order of ids.
  std::vector<std::pair<Instant, int64_t>> order;
  order.reserve(leases_.size());
  for (const auto& [id, lease] : leases_) order.emplace_back(lease.expiry, id);
  std::sort(order.begin(), order.end());

  std::vector<int64_t> ids;
  ids.reserve(order.size());
  for (const auto& [expiry, id] : order) ids.push_back(id);
  return ids;
}

// ---- Expiry. ----

void Lessor::SetExpiry(int64_t id, Lease& lease, Instant expiry) {
  lease.expiry = expiry;
  SetDue(id, lease, expiry);
}

void Lessor::SetDue(int64_t id, Lease& lease, Instant due) {
  if (lease.due != kNever) by_due_.erase({lease.due, id});
  lease.due = due;
  if (due != kNever) by_due_.insert({due, id});
}

void Lessor::SetLook(int64_t id, Lease& lease, Instant look) {
  if (lease.look != kNever) by_checkpoint_.erase({lease.look, id});
  lease.look = look;
  if (look != kNever) by_checkpoint_.insert({look, id});
}

void Lessor::Promote(Instant now, Duration extend, Duration checkpoint_step_min) {
  promoted_ = true;
  checkpoint_step_min_ = checkpoint_step_min;
  not_started_.clear();
  under_way_.clear();

  std::vector<std::pair<Instant, int64_t>> expiries;
  expiries.reserve(leases_.size());
  for (const auto& [id, lease] : leases_) {
    int64_t seconds = lease.ttl_seconds;
    if (lease.checkpoint_seconds != 0 && !SEEDED_BUG(kLeaseCheckpointNotApplied)) {
      SIM_REACHED("lease.promoted_with_checkpoint");
      seconds = lease.checkpoint_seconds;
    }
    expiries.emplace_back(Later(Later(now, Seconds(seconds)), extend), id);
  }
  std::sort(expiries.begin(), expiries.end());

  // Each runs out at least a second after the one that many places before it, so no second holds
  // more than that.
  for (size_t i = 0; i < expiries.size(); ++i) {
    auto& [expiry, id] = expiries[i];
    if (i >= kExpiriesPerSecondMax) {
      expiry = std::max(expiry, Later(expiries[i - kExpiriesPerSecondMax].first, Seconds(1)));
    }
    Lease& lease = leases_.at(id);
    if (SEEDED_BUG(kLeaseClocksNotRestarted) && lease.expiry != kNever) continue;
    SetExpiry(id, lease, expiry);
    SetLook(id, lease, CheckpointDue(lease));
  }
}

void Lessor::Demote() {
  promoted_ = false;
  not_started_.clear();
  if (!SEEDED_BUG(kLeaseClocksNotRestarted)) StopClocks();
}

void Lessor::StopClocks() {
  under_way_.clear();
  by_due_.clear();
  by_checkpoint_.clear();
  for (auto& [id, lease] : leases_) {
    lease.expiry = kNever;
    lease.due = kNever;
    lease.look = kNever;
  }
}

absl::StatusOr<int64_t> Lessor::Renew(int64_t id, Instant now) {
  if (!promoted_) return ErrNotPrimaryLessor();
  const auto found = leases_.find(id);
  const bool expiring = Expiring(id, now) && !SEEDED_BUG(kExpiringLeaseRenewed);
  if (found == leases_.end() || expiring) return ErrLeaseNotFound();
  Lease& lease = found->second;
  SetExpiry(id, lease, Later(now, Seconds(lease.ttl_seconds)));
  return lease.ttl_seconds;
}

std::optional<int64_t> Lessor::Remaining(int64_t id, Instant now) const {
  const auto found = leases_.find(id);
  if (found == leases_.end() || !promoted_) return std::nullopt;
  const Lease& lease = found->second;
  if (lease.expiry == kNever) return lease.ttl_seconds;
  return std::chrono::duration_cast<std::chrono::seconds>(lease.expiry - now).count();
}

std::vector<int64_t> Lessor::TakeExpired(Instant now, size_t limit) {
  std::vector<int64_t> expired;
  while (expired.size() < limit && !by_due_.empty() && by_due_.begin()->first <= now) {
    const int64_t id = by_due_.begin()->second;
    expired.push_back(id);
    if (leases_.at(id).due != leases_.at(id).expiry) SIM_REACHED("lease.revoke_tried_again");
    SetDue(id, leases_.at(id), kNever);
  }
  return expired;
}

void Lessor::RetryAt(int64_t id, Instant at) {
  const auto found = leases_.find(id);
  if (found == leases_.end()) return;
  const bool handed_out = found->second.due != found->second.expiry;
  if (handed_out) SetDue(id, found->second, at);
}

bool Lessor::Expiring(int64_t id, Instant now) const {
  const auto found = leases_.find(id);
  return found != leases_.end() && found->second.expiry <= now;
}

void Lessor::StartClocks(Instant now) {
  for (const int64_t id : not_started_) {
    const auto found = leases_.find(id);
    if (found == leases_.end()) continue;  // revoked meanwhile
    Lease& lease = found->second;
    SetExpiry(id, lease, Later(now, Seconds(lease.ttl_seconds)));
    SetLook(id, lease, CheckpointDue(lease));
  }
  not_started_.clear();
}

Instant Lessor::NextExpiry() const { return by_due_.empty() ? kNever : by_due_.begin()->first; }

// ---- Checkpoints. ----

Instant Lessor::CheckpointDue(const Lease& lease) const {
  const bool first = lease.checkpoint_seconds == 0;
  const Duration ttl = Seconds(lease.ttl_seconds);
  const Duration known = first ? ttl : Seconds(lease.checkpoint_seconds);
  const Duration step =
      std::max(checkpoint_step_min_, ttl / (first ? kFirstStepOfTtl : kStepOfTtl));
  if (lease.expiry == kNever || step >= known) return kNever;
  return lease.expiry - (known - step);
}

LeaseCheckpoints Lessor::TakeCheckpoints(Instant now, size_t limit) {
  LeaseCheckpoints taken{.leases = {}, .newest_grant = newest_grant_};
  if (!under_way_.empty()) return taken;
  for (size_t looks = kLooksPerCheckpoint * limit; looks > 0 && taken.leases.size() < limit;
       --looks) {
    if (by_checkpoint_.empty() || by_checkpoint_.begin()->first > now) break;
    const int64_t id = by_checkpoint_.begin()->second;
    Lease& lease = leases_.at(id);
    const Instant due = CheckpointDue(lease);
    SetLook(id, lease, due > now ? due : kNever);
    if (due > now || lease.expiry <= now) continue;
    const Duration left = lease.expiry - now;
    taken.leases.push_back({id, std::chrono::ceil<std::chrono::seconds>(left).count()});
    under_way_.insert(id);
  }
  return taken;
}

void Lessor::DropCheckpoints() {
  for (const int64_t id : std::exchange(under_way_, {})) {
    Lease& lease = leases_.at(id);
    SetLook(id, lease, CheckpointDue(lease));
  }
}

Instant Lessor::NextCheckpoint() const {
  return under_way_.empty() && !by_checkpoint_.empty() ? by_checkpoint_.begin()->first : kNever;
}

bool Lessor::Checkpointed(int64_t id) const {
  const auto found = leases_.find(id);
  return found != leases_.end() &&
         (found->second.checkpoint_seconds != 0 || under_way_.contains(id));
}

}  // namespace conclave::kv
