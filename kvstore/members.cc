#include "kvstore/members.h"

#include <memory>
#include <string>

#include "kvstore/errors.h"
#include "kvstore/mvcc/keys.h"

namespace conclave::kv {

using etcdserverpb::Member;

absl::Status Members::Load(const Engine& engine) {
  const std::unique_ptr<Iterator> it = engine.NewIterator();
  for (it->Seek(kMemberPrefix); it->Valid() && it->key().starts_with(kMemberPrefix); it->Next()) {
    Member member;
    if (!member.ParseFromArray(it->value().data(), static_cast<int>(it->value().size()))) {
      return absl::DataLossError("the engine's member list is damaged");
    }
    by_id_[member.id()] = std::move(member);
  }
  return absl::OkStatus();
}

void Members::Set(const Member& member, WriteBatch& batch) {
  std::string key(kMemberPrefix);
  AppendOrdered64(member.id(), key);
  batch.Put(key, member.SerializeAsString());
  by_id_[member.id()] = member;
}

absl::Status Members::SetAttributes(const Member& published, WriteBatch& batch) {
  const auto it = by_id_.find(published.id());
  if (it == by_id_.end()) return ErrMemberNotFound();
  Member member = it->second;
  member.set_name(published.name());
  *member.mutable_clienturls() = published.clienturls();
  Set(member, batch);
  return absl::OkStatus();
}

std::vector<Member> Members::List() const {
  std::vector<Member> list;
  list.reserve(by_id_.size());
  for (const auto& [id, member] : by_id_) list.push_back(member);
  return list;
}

}  // namespace conclave::kv
