#include "kvstore/alarms.h"

#include <algorithm>
#include <memory>
#include <string>

#include "kvstore/mvcc/keys.h"
#include "raft/base/coding.h"

namespace conclave::kv {

using etcdserverpb::AlarmMember;
using etcdserverpb::AlarmRequest;
using etcdserverpb::AlarmResponse;
using etcdserverpb::AlarmType;

absl::Status Alarms::Load(const Engine& engine) {
  const std::unique_ptr<Iterator> it = engine.NewIterator();
  for (it->Seek(kAlarmPrefix); it->Valid() && it->key().starts_with(kAlarmPrefix); it->Next()) {
    const std::string_view rest = it->key().substr(kAlarmPrefix.size());
    const int type = rest.size() == 9 ? static_cast<unsigned char>(rest.back()) : -1;
    if (!etcdserverpb::AlarmType_IsValid(type)) {
      return absl::DataLossError("the engine's alarms are damaged");
    }
    on_.emplace(LoadOrdered64(rest.data()), static_cast<AlarmType>(type));
  }
  return absl::OkStatus();
}

void Alarms::Apply(const AlarmRequest& request, WriteBatch& batch, AlarmResponse* response) {
  if (request.alarm() == etcdserverpb::NONE || !etcdserverpb::AlarmType_IsValid(request.alarm())) {
    return;
  }
  std::string key(kAlarmPrefix);
  AppendOrdered64(request.memberid(), key);
  PutByte(key, static_cast<uint8_t>(request.alarm()));
  if (request.action() == AlarmRequest::ACTIVATE) {
    on_.emplace(request.memberid(), request.alarm());
    batch.Put(key, {});
  } else {
    if (on_.erase({request.memberid(), request.alarm()}) == 0) return;
    batch.Delete(key);
  }
  if (response == nullptr) return;
  AlarmMember* alarm = response->add_alarms();
  alarm->set_memberid(request.memberid());
  alarm->set_alarm(request.alarm());
}

bool Alarms::IsOn(AlarmType type) const {
  return std::any_of(on_.begin(), on_.end(),
                     [type](const auto& alarm) { return alarm.second == type; });
}

std::vector<AlarmMember> Alarms::List() const {
  std::vector<AlarmMember> list;
  for (const auto& [member, type] : on_) {
    AlarmMember& alarm = list.emplace_back();
    alarm.set_memberid(member);
    alarm.set_alarm(type);
  }
  return list;
}

}  // namespace conclave::kv
