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

namespace {

// What the engine holds of each cause.
constexpr std::string_view kForQuota = "q";
constexpr std::string_view kForDivergence = "d";

std::string_view TextOf(AlarmCause cause) {
  switch (cause) {
    case AlarmCause::kRequest:
      return "";
    case AlarmCause::kQuota:
      return kForQuota;
    case AlarmCause::kDivergence:
      return kForDivergence;
  }
  return "";
}

AlarmCause CauseOf(std::string_view text) {
  if (text == kForQuota) return AlarmCause::kQuota;
  return text == kForDivergence ? AlarmCause::kDivergence : AlarmCause::kRequest;
}

}  // namespace

absl::Status Alarms::Load(const Engine& engine) {
  const std::unique_ptr<Iterator> it = engine.NewIterator();
  for (it->Seek(kAlarmPrefix); it->Valid() && it->key().starts_with(kAlarmPrefix); it->Next()) {
    const std::string_view rest = it->key().substr(kAlarmPrefix.size());
    const int type = rest.size() == 9 ? static_cast<unsigned char>(rest.back()) : -1;
    if (!etcdserverpb::AlarmType_IsValid(type)) {
      return absl::DataLossError("the engine's alarms are damaged");
    }
    const std::pair alarm(LoadOrdered64(rest.data()), static_cast<AlarmType>(type));
    on_.emplace(alarm, CauseOf(it->value()));
  }
  return absl::OkStatus();
}

void Alarms::Apply(const AlarmRequest& request, AlarmCause cause, WriteBatch& batch,
                   AlarmResponse* response) {
  if (request.alarm() == etcdserverpb::NONE || !etcdserverpb::AlarmType_IsValid(request.alarm())) {
    return;
  }
  std::string key(kAlarmPrefix);
  AppendOrdered64(request.memberid(), key);
  PutByte(key, static_cast<uint8_t>(request.alarm()));
  if (request.action() == AlarmRequest::ACTIVATE) {
    const auto [alarm, raised] = on_.emplace(std::pair(request.memberid(), request.alarm()), cause);
    if (raised) batch.Put(key, TextOf(cause));
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
                     [type](const auto& alarm) { return alarm.first.second == type; });
}

bool Alarms::IsOnFor(const Alarm& alarm, AlarmCause cause) const {
  const auto found = on_.find(alarm);
  return found != on_.end() && found->second == cause;
}

bool Alarms::IsCorrupt() const {
  return std::any_of(on_.begin(), on_.end(), [](const auto& alarm) {
    const auto& [member, type] = alarm.first;
    const bool names = alarm.second == AlarmCause::kDivergence && member != 0;
    return type == etcdserverpb::CORRUPT && !names;
  });
}

std::vector<AlarmMember> Alarms::List() const {
  std::vector<AlarmMember> list;
  for (const auto& [alarm, cause] : on_) {
    AlarmMember& listed = list.emplace_back();
    listed.set_memberid(alarm.first);
    listed.set_alarm(alarm.second);
  }
  return list;
}

}  // namespace conclave::kv
