#include "kvstore/members.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "kvstore/errors.h"
#include "kvstore/mvcc/keys.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::kv {
namespace {

using etcdserverpb::Member;
using etcdserverpb::MemberUpdateRequest;

std::string IdKey(std::string_view prefix, uint64_t id) {
  std::string key(prefix);
  AppendOrdered64(id, key);
  return key;
}

}  // namespace

absl::Status Members::Load(const Engine& engine) {
  const std::unique_ptr<Iterator> it = engine.NewIterator();
  for (it->Seek(kMemberPrefix); it->Valid() && it->key().starts_with(kMemberPrefix); it->Next()) {
    Member member;
    if (!member.ParseFromArray(it->value().data(), static_cast<int>(it->value().size()))) {
      return absl::DataLossError("the engine's member list is damaged");
    }
    by_id_[member.id()] = std::move(member);
  }
  for (it->Seek(kRemovedPrefix); it->Valid() && it->key().starts_with(kRemovedPrefix); it->Next()) {
    if (it->key().size() != kRemovedPrefix.size() + sizeof(uint64_t)) {
      return absl::DataLossError("the engine's list of removed members is damaged");
    }
    removed_.insert(LoadOrdered64(it->key().data() + kRemovedPrefix.size()));
  }
  return absl::OkStatus();
}

void Members::Set(const Member& member, WriteBatch& batch) {
  batch.Put(IdKey(kMemberPrefix, member.id()), member.SerializeAsString());
  by_id_[member.id()] = member;
}

absl::Status Members::SetAttributes(const Member& published, WriteBatch& batch) {
  if (absl::Status status = CheckThere(published.id()); !status.ok()) return status;
  Member member = by_id_.at(published.id());
  member.set_name(published.name());
  *member.mutable_clienturls() = published.clienturls();
  Set(member, batch);
  return absl::OkStatus();
}

// ---- Changes of membership. ----

absl::Status Members::CheckThere(uint64_t id) const {
  return by_id_.contains(id) ? absl::OkStatus() : ErrMemberNotFound();
}

absl::Status Members::CheckFree(const Urls& peer_urls, uint64_t except) const {
  for (const auto& [id, member] : by_id_) {
    if (id == except) continue;
    const Urls& taken = member.peerurls();
    const bool clash =
        std::any_of(peer_urls.begin(), peer_urls.end(), [&taken](const std::string& url) {
          return std::find(taken.begin(), taken.end(), url) != taken.end();
        });
    if (clash) return ErrPeerUrlExists();
  }
  return absl::OkStatus();
}

absl::Status Members::CheckAdd(const Member& member) const {
  if (IsRemoved(member.id())) {
    SIM_REACHED("kv.members.removed_id_refused");
    return ErrMemberNotFound();
  }
  if (by_id_.contains(member.id())) return ErrMemberExists();
  return CheckFree(member.peerurls(), member.id());
}

absl::Status Members::Add(const Member& member, WriteBatch& batch) {
  if (absl::Status status = CheckAdd(member); !status.ok()) return status;
  Member added;
  added.set_id(member.id());
  *added.mutable_peerurls() = member.peerurls();
  added.set_islearner(member.islearner());
  Set(added, batch);
  return absl::OkStatus();
}

absl::Status Members::Remove(uint64_t id, WriteBatch& batch) {
  if (absl::Status status = CheckRemove(id); !status.ok()) return status;
  batch.Delete(IdKey(kMemberPrefix, id));
  by_id_.erase(id);
  if (SEEDED_BUG(kRemovedIdForgotten)) return absl::OkStatus();
  batch.Put(IdKey(kRemovedPrefix, id), {});
  removed_.insert(id);
  return absl::OkStatus();
}

absl::Status Members::CheckPromote(uint64_t id) const {
  if (absl::Status status = CheckThere(id); !status.ok()) return status;
  return by_id_.at(id).islearner() ? absl::OkStatus() : ErrMemberNotLearner();
}

absl::Status Members::Promote(uint64_t id, WriteBatch& batch) {
  if (absl::Status status = CheckPromote(id); !status.ok()) return status;
  Member member = by_id_.at(id);
  member.set_islearner(false);
  Set(member, batch);
  return absl::OkStatus();
}

absl::Status Members::CheckUpdate(const MemberUpdateRequest& update) const {
  if (absl::Status status = CheckThere(update.id()); !status.ok()) return status;
  return CheckFree(update.peerurls(), update.id());
}

absl::Status Members::Update(const MemberUpdateRequest& update, WriteBatch& batch) {
  if (absl::Status status = CheckUpdate(update); !status.ok()) return status;
  Member member = by_id_.at(update.id());
  *member.mutable_peerurls() = update.peerurls();
  Set(member, batch);
  return absl::OkStatus();
}

const Member* Members::Find(uint64_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second;
}

std::vector<Member> Members::List() const {
  std::vector<Member> list;
  list.reserve(by_id_.size());
  for (const auto& [id, member] : by_id_) list.push_back(member);
  return list;
}

}  // namespace conclave::kv
