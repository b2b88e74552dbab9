// History out of a vector, for the tests of this folder: changes make revisions (the first is 2),
// compaction takes old records away at once. Reading what compaction took is a failed CHECK, as it
// is the store's contract.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/mvcc/history.h"
#include "raft/base/check.h"

namespace conclave::kv {

class FakeHistory final : public History {
 public:
  struct Change {
    std::string key;
    std::optional<std::string> value;  // none: delete; the key must exist
  };

  // One revision with all the changes in it; already visible when it is returned.
  SharedRevisionEvents Apply(const std::vector<Change>& changes) {
    auto made = std::make_shared<RevisionEvents>();
    made->revision = revision() + 1;
    for (const Change& change : changes) {
      const Revision at{made->revision, static_cast<int64_t>(made->events.size())};
      made->events.push_back(MakeEvent(change, at));
    }
    revisions_.push_back(made);
    return made;
  }
  SharedRevisionEvents Put(std::string_view key, std::string_view value) {
    return Apply({{std::string(key), std::string(value)}});
  }
  SharedRevisionEvents Delete(std::string_view key) {
    return Apply({{std::string(key), std::nullopt}});
  }

  void Compact(int64_t at) {
    CHECK(at > compact_revision_ && at <= revision());
    compact_revision_ = at;
    std::erase_if(records_, [at](const auto& record) { return record.second.replaced_at <= at; });
  }

  bool Lives(const std::string& key) const { return live_.contains(key); }
  const RevisionEvents& At(int64_t revision) const {
    return *revisions_.at(static_cast<size_t>(revision - kFirstRevision));
  }
  // How often ReadEvents was called.
  int reads() const { return reads_; }

  int64_t revision() const override {
    return kFirstRevision - 1 + static_cast<int64_t>(revisions_.size());
  }
  int64_t compact_revision() const override { return compact_revision_; }

  std::vector<SharedRevisionEvents> ReadEvents(int64_t from, size_t revisions_max,
                                               size_t bytes_max) const override {
    CHECK(from >= compact_revision_);
    ++reads_;
    std::vector<SharedRevisionEvents> read;
    size_t bytes = 0;
    for (int64_t at = std::max(from, kFirstRevision);
         at <= revision() && read.size() < revisions_max && bytes <= bytes_max; ++at) {
      read.push_back(revisions_[static_cast<size_t>(at - kFirstRevision)]);
      for (const Event& event : read.back()->events) {
        bytes += event.key.size() + event.record.value.size();
      }
    }
    return read;
  }

  std::optional<Record> RecordAt(std::string_view key, Revision at) const override {
    const auto found = records_.find({std::string(key), at});
    if (found == records_.end()) return std::nullopt;
    return found->second.record;
  }

 private:
  static constexpr int64_t kFirstRevision = 2;  // reference: behaviour section 2

  struct Kept {
    Record record;
    int64_t replaced_at = INT64_MAX;
  };

  Event MakeEvent(const Change& change, Revision at) {
    Event event{.is_delete = !change.value, .key = change.key, .record = {}, .previous = {}};
    event.record.mod = at;
    const auto before = live_.find(change.key);
    if (before != live_.end()) {
      event.previous = before->second.mod;
      records_.at({change.key, event.previous}).replaced_at = at.main;
    }
    if (event.is_delete) {
      CHECK(before != live_.end());
      live_.erase(before);
      return event;
    }
    event.record.create_revision = before == live_.end() ? at.main : before->second.create_revision;
    event.record.version = before == live_.end() ? 1 : before->second.version + 1;
    event.record.value = *change.value;
    live_[change.key] = event.record;
    records_[{change.key, at}] = {.record = event.record};
    return event;
  }

  std::vector<SharedRevisionEvents> revisions_;
  std::map<std::string, Record> live_;
  std::map<std::pair<std::string, Revision>, Kept> records_;
  int64_t compact_revision_ = -1;
  mutable int reads_ = 0;
};

}  // namespace conclave::kv
