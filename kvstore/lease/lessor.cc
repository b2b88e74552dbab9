#include "kvstore/lease/lessor.h"

#include <algorithm>
#include <memory>

#include "kvstore/errors.h"
#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::kv {
namespace {

// In the engine: a lease is `l` id -> TTL, an attachment `a` id key -> nothing. Numbers are
// big-endian, ids with the sign bit flipped, so that the engine's order is theirs.
constexpr char kLeasePrefix = 'l';
constexpr char kAttachmentPrefix = 'a';
constexpr size_t kNumberBytes = 8;
constexpr uint64_t kSignBit = uint64_t{1} << 63;

// At most this many leases of one Promote run out within any second (reference: behaviour section
// 7).
constexpr size_t kExpiriesPerSecondMax = 750;

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
  by_due_.clear();
  not_started_.clear();
  promoted_ = false;
  const std::unique_ptr<Iterator> it = engine_->NewIterator();
  const std::string_view prefix(&kLeasePrefix, 1);
  for (it->Seek(prefix); it->Valid() && it->key().starts_with(prefix); it->Next()) {
    if (it->key().size() != 1 + kNumberBytes || it->value().size() != kNumberBytes) {
      Fatal("the engine holds a lease that is none");
    }
    const auto id = static_cast<int64_t>(ReadNumber(it->key().substr(1)) ^ kSignBit);
    leases_[id].ttl_seconds = static_cast<int64_t>(ReadNumber(it->value()));
  }
}

// ---- Replicated. ----

absl::Status Lessor::Grant(int64_t id, int64_t ttl_seconds, WriteBatch& batch) {
  if (ttl_seconds > kMaxLeaseTtlSeconds) return ErrLeaseTtlTooLarge();
  if (Exists(id)) return ErrLeaseExists();
  // An entry of the log must not be able to end the process, whatever its proposer failed to check.
  ttl_seconds = std::max<int64_t>(ttl_seconds, 1);
  leases_[id].ttl_seconds = ttl_seconds;
  if (promoted_) not_started_.push_back(id);
  std::string value;
  AppendNumber(static_cast<uint64_t>(ttl_seconds), value);
  batch.Put(LeaseKey(id), value);
  return absl::OkStatus();
}

absl::Status Lessor::Revoke(int64_t id, WriteBatch& batch) {
  const auto found = leases_.find(id);
  if (found == leases_.end()) return ErrLeaseNotFound();
  for (const std::string& key : Keys(id)) Detach(id, key, batch);
  SetExpiry(id, found->second, kNever);
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

void Lessor::Promote(Instant now, Duration extend) {
  promoted_ = true;
  not_started_.clear();

  std::vector<std::pair<Instant, int64_t>> expiries;
  expiries.reserve(leases_.size());
  for (const auto& [id, lease] : leases_) {
    expiries.emplace_back(Later(Later(now, Seconds(lease.ttl_seconds)), extend), id);
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
  }
}

void Lessor::Demote() {
  promoted_ = false;
  not_started_.clear();
  if (SEEDED_BUG(kLeaseClocksNotRestarted)) return;
  by_due_.clear();
  for (auto& [id, lease] : leases_) {
    lease.expiry = kNever;
    lease.due = kNever;
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
  }
  not_started_.clear();
}

Instant Lessor::NextExpiry() const { return by_due_.empty() ? kNever : by_due_.begin()->first; }

}  // namespace conclave::kv
