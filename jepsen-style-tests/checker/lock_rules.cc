#include "jepsen-style-tests/checker/lock_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "jepsen-style-tests/checker/key_versions.h"
#include "jepsen-style-tests/checker/report_draft.h"

namespace conclave::checker {
namespace {

using mvccpb::KeyValue;

std::string ToText(const LockAcquisition& acquisition) {
  return fmt::format("process {} was granted {} with key {}, token {}, at revision {} ({}-{} ns)",
                     acquisition.process, acquisition.name, acquisition.key, acquisition.token,
                     acquisition.revision, acquisition.called_ns, acquisition.returned_ns);
}

std::string ToText(const FencedUpdate& update) {
  return fmt::format("update {} of process {}: {}=\"{}\" under {} with token {} -> {} {} at {}",
                     update.id, update.process, update.target, update.value, update.lock_key,
                     update.token, ToString(update.outcome),
                     update.succeeded ? "succeeded" : "refused", update.revision);
}

class LockRules {
 public:
  LockRules(const LockHistory& history, const EventLog& log, const LockRulesOptions& options)
      : history_(history), log_(log), options_(options), versions_(log) {}

  Report Check() && {
    for (const LockAcquisition& acquisition : history_.acquisitions) CheckOwner(acquisition);
    CheckTokenOrder();
    FindUpdates();
    CheckUpdates();
    CheckTargets();
    const size_t acquired = history_.acquisitions.size();
    if (acquired < options_.acquisitions_min || successful_ < options_.updates_min) {
      report_.Invalidate(fmt::format("only {} acquisitions and {} updates", acquired, successful_));
    }
    return std::move(report_).Finish(acquired + successful_);
  }

 private:
  bool Holds(const std::string& key, int64_t token, int64_t revision) const {
    const KeyValue* kv = versions_.Get(key, revision);
    return kv != nullptr && kv->create_revision() == token;
  }

  void CheckOwner(const LockAcquisition& acquisition) {
    if (!Holds(acquisition.key, acquisition.token, acquisition.revision)) {
      report_.Fail("lock-not-held", ToText(acquisition) + "\nbut the key was not there");
    }
    // '0' follows '/'.
    for (const KeyValue* kv :
         versions_.Select(acquisition.name + "/", acquisition.name + "0", acquisition.revision)) {
      if (kv->create_revision() >= acquisition.token) continue;
      report_.Fail("lock-two-holders",
                   fmt::format("{}\nbut {}, created at {}, owned it", ToText(acquisition),
                               kv->key(), kv->create_revision()));
    }
  }

  // A lock granted after another grant of it returned is the same grant or a newer one.
  void CheckTokenOrder() {
    std::map<std::string, std::vector<const LockAcquisition*>> by_name;
    for (const LockAcquisition& acquisition : history_.acquisitions) {
      by_name[acquisition.name].push_back(&acquisition);
    }
    for (auto& [name, calls] : by_name) {
      std::vector<const LockAcquisition*> returns = calls;
      std::stable_sort(calls.begin(), calls.end(),
                       [](const auto* a, const auto* b) { return a->called_ns < b->called_ns; });
      std::stable_sort(returns.begin(), returns.end(), [](const auto* a, const auto* b) {
        return a->returned_ns < b->returned_ns;
      });
      const LockAcquisition* newest = nullptr;
      auto returned = returns.begin();
      for (const LockAcquisition* call : calls) {
        for (; returned != returns.end() && (*returned)->returned_ns < call->called_ns;
             ++returned) {
          if (newest == nullptr || (*returned)->token > newest->token) newest = *returned;
        }
        if (newest == nullptr || call->token > newest->token) continue;
        if (call->token == newest->token && call->key == newest->key) continue;
        report_.Fail("lock-token-order", ToText(*newest) + "\nand after it\n" + ToText(*call));
      }
    }
  }

  void FindUpdates() {
    std::map<std::pair<std::string, std::string>, const FencedUpdate*> updates;
    for (const FencedUpdate& update : history_.updates) {
      updates[{update.target, update.value}] = &update;
    }
    for (int64_t revision = 2; revision <= log_.last_revision(); ++revision) {
      for (const KvEvent& event : log_.At(revision)) {
        if (event.is_delete) continue;
        const auto found = updates.find({event.key, event.value});
        if (found != updates.end()) applied_.emplace_back(revision, found->second);
      }
    }
  }

  void CheckUpdates() {
    for (const FencedUpdate& update : history_.updates) {
      if (update.outcome != Outcome::kOk) continue;
      if (!update.succeeded) {
        if (!Holds(update.lock_key, update.token, update.revision)) continue;
        report_.Fail("fence-refused", ToText(update) + "\nbut the key was there");
        continue;
      }
      ++successful_;
      const bool there = std::find(applied_.begin(), applied_.end(),
                                   std::pair(update.revision, &update)) != applied_.end();
      if (!there) report_.Fail("fence-lost-update", ToText(update));
    }
    for (const auto& [revision, update] : applied_) {
      if (Holds(update->lock_key, update->token, revision - 1)) continue;
      report_.Fail("fence-violated", fmt::format("{}\napplied at {}, when the key was gone",
                                                 ToText(*update), revision));
    }
  }

  void CheckTargets() {
    std::map<std::string, const FencedUpdate*> newest;
    for (const auto& [revision, update] : applied_) {
      const FencedUpdate*& last = newest[update->target];
      if (last != nullptr && update->token < last->token) {
        report_.Fail("fence-token-order", ToText(*last) + "\nand then\n" + ToText(*update));
      }
      last = update;
    }
  }

  const LockHistory& history_;
  const EventLog& log_;
  const LockRulesOptions& options_;
  const KeyVersions versions_;
  // Updates that are in the log, whatever their clients know, by revision.
  std::vector<std::pair<int64_t, const FencedUpdate*>> applied_;
  uint64_t successful_ = 0;
  ReportDraft report_{"lock-rules", "steps"};
};

}  // namespace

Report CheckLocks(const LockHistory& history, const EventLog& log,
                  const LockRulesOptions& options) {
  return LockRules(history, log, options).Check();
}

}  // namespace conclave::checker
