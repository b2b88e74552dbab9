#include "jepsen-style-tests/checker/key_versions.h"

#include <algorithm>
#include <utility>

namespace conclave::checker {

using mvccpb::KeyValue;

KeyVersions::KeyVersions(const EventLog& log) {
  for (int64_t revision = 2; revision <= log.last_revision(); ++revision) {
    for (const KvEvent& event : log.At(revision)) {
      Versions& versions = keys_[event.key];
      if (versions.empty() || versions.back().revision != revision) versions.emplace_back();
      versions.back() = {revision, event.is_delete, event.is_delete ? KeyValue() : PairOf(event)};
      if (event.lease != 0) keys_of_lease_[event.lease][event.key] = &versions;
    }
  }
}

const KeyValue* KeyVersions::Find(const Versions& versions, int64_t revision) {
  const auto after = std::upper_bound(
      versions.begin(), versions.end(), revision,
      [](int64_t wanted, const Version& version) { return wanted < version.revision; });
  if (after == versions.begin() || std::prev(after)->deleted) return nullptr;
  return &std::prev(after)->kv;
}

const KeyValue* KeyVersions::Get(std::string_view key, int64_t revision) const {
  const auto found = keys_.find(key);
  return found == keys_.end() ? nullptr : Find(found->second, revision);
}

kv::SelectedPairs KeyVersions::Select(std::string_view begin, std::string_view end,
                                      int64_t revision) const {
  kv::SelectedPairs selected;
  if (end.empty()) {
    if (const KeyValue* kv = Get(begin, revision)) selected.push_back(kv);
    return selected;
  }
  for (auto it = keys_.lower_bound(begin); it != keys_.end() && kv::InRange(it->first, begin, end);
       ++it) {
    if (const KeyValue* kv = Find(it->second, revision)) selected.push_back(kv);
  }
  return selected;
}

std::vector<std::string> KeyVersions::KeysOf(int64_t lease, int64_t revision) const {
  std::vector<std::string> keys;
  const auto found = keys_of_lease_.find(lease);
  if (found == keys_of_lease_.end()) return keys;
  for (const auto& [key, versions] : found->second) {
    const KeyValue* kv = Find(*versions, revision);
    if (kv != nullptr && kv->lease() == lease) keys.push_back(key);
  }
  return keys;
}

int64_t LeaseOfDeletes(const EventLog& log, const KeyVersions& versions, int64_t revision) {
  int64_t lease = 0;
  for (const KvEvent& event : log.At(revision)) {
    const KeyValue* before = versions.Get(event.key, revision - 1);
    if (!event.is_delete || before == nullptr || before->lease() == 0) return 0;
    if (lease != 0 && before->lease() != lease) return 0;
    lease = before->lease();
  }
  return lease;
}

bool EndsLease(const EventLog& log, const KeyVersions& versions, int64_t revision, int64_t lease) {
  const std::vector<KvEvent>& events = log.At(revision);
  const std::vector<std::string> keys = versions.KeysOf(lease, revision - 1);
  return std::equal(events.begin(), events.end(), keys.begin(), keys.end(),
                    [](const KvEvent& event, const std::string& key) {
                      return event.is_delete && event.key == key;
                    });
}

KeyValue PairOf(const KvEvent& put) {
  KeyValue kv;
  kv.set_key(put.key);
  kv.set_value(put.value);
  kv.set_create_revision(put.create_revision);
  kv.set_mod_revision(put.revision);
  kv.set_version(put.version);
  kv.set_lease(put.lease);
  return kv;
}

bool SamePair(const KeyValue& a, const KeyValue& b) {
  return a.key() == b.key() && a.value() == b.value() &&
         a.create_revision() == b.create_revision() && a.mod_revision() == b.mod_revision() &&
         a.version() == b.version() && a.lease() == b.lease();
}

}  // namespace conclave::checker
