#include "jepsen-style-tests/checker/durability.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "jepsen-style-tests/checker/key_versions.h"
#include "jepsen-style-tests/checker/report_draft.h"
#include "jepsen-style-tests/checker/request_replay.h"

namespace conclave::checker {
namespace {

using etcdserverpb::PutRequest;
using etcdserverpb::PutResponse;
using etcdserverpb::TxnRequest;
using etcdserverpb::TxnResponse;
using mvccpb::KeyValue;

// The newest that was acknowledged of one key.
struct Acknowledged {
  int64_t revision = 0;
  bool is_delete = false;
  const KvOperation* operation = nullptr;
};

class Durability {
 public:
  Durability(const std::vector<KvOperation>& history, const EventLog& log)
      : log_(log), versions_(log) {
    for (const KvOperation& operation : history) {
      if (operation.outcome != Outcome::kOk || !MadeRevision(operation.response)) continue;
      ++writes_;
      newest_ = std::max(newest_, operation.header_revision());
      if (const auto* put = std::get_if<PutRequest>(&operation.request)) {
        Acknowledge(operation, put->key(), false);
      }
      if (const auto* txn = std::get_if<TxnRequest>(&operation.request)) {
        AcknowledgePuts(operation, *txn, std::get<TxnResponse>(operation.response));
      }
      // What a range of deletes hit is only in the log.
      for (const KvEvent& event : log.At(operation.header_revision())) {
        if (event.is_delete) Acknowledge(operation, event.key, true);
      }
    }
  }

  void Check(const FinalState& final_state) {
    std::map<std::string_view, const KeyValue*> kvs;
    for (const KeyValue& kv : final_state.kvs) kvs[kv.key()] = &kv;
    if (final_state.revision < newest_) {
      Fail("revision-went-back", final_state,
           fmt::format("a write was acknowledged at {}", newest_));
    }
    for (const auto& [key, acknowledged] : acknowledged_) {
      const auto found = kvs.find(key);
      CheckKey(final_state, key, acknowledged, found == kvs.end() ? nullptr : found->second);
    }
    CheckAgainstLog(final_state, kvs);
  }

  uint64_t writes() const { return writes_; }
  ReportDraft& report() { return report_; }

 private:
  void Fail(std::string_view anomaly, const FinalState& final_state, std::string_view explanation) {
    report_.Fail(anomaly, fmt::format("final state of {} at revision {}: {}", final_state.member,
                                      final_state.revision, explanation));
  }

  void Acknowledge(const KvOperation& operation, const std::string& key, bool is_delete) {
    Acknowledged& newest = acknowledged_[key];
    if (operation.header_revision() < newest.revision) return;
    newest = {operation.header_revision(), is_delete, &operation};
  }

  void AcknowledgePuts(const KvOperation& operation, const TxnRequest& request,
                       const TxnResponse& response) {
    const auto& branch = response.succeeded() ? request.success() : request.failure();
    for (int i = 0; i < std::min(branch.size(), response.responses_size()); ++i) {
      if (branch[i].has_request_put()) Acknowledge(operation, branch[i].request_put().key(), false);
      if (branch[i].has_request_txn()) {
        AcknowledgePuts(operation, branch[i].request_txn(), response.responses(i).response_txn());
      }
    }
  }

  // `kv` is null if the key is not in the final state.
  void CheckKey(const FinalState& final_state, const std::string& key,
                const Acknowledged& acknowledged, const KeyValue* kv) {
    const int64_t mod_revision = kv == nullptr ? 0 : kv->mod_revision();
    const auto text = [&] {
      return fmt::format("{} has mod_revision {}\n{}", key, mod_revision,
                         ToString(*acknowledged.operation));
    };
    if (acknowledged.is_delete) {
      if (kv != nullptr && mod_revision < acknowledged.revision) {
        Fail("lost-delete", final_state, text());
      }
      return;
    }
    const bool lost = kv == nullptr ? !DeletedSince(key, acknowledged.revision)
                                    : mod_revision < acknowledged.revision;
    if (lost) Fail("lost-write", final_state, text());
  }

  bool DeletedSince(const std::string& key, int64_t from) const {
    for (int64_t revision = from; revision <= log_.last_revision(); ++revision) {
      for (const KvEvent& event : log_.At(revision)) {
        if (event.is_delete && event.key == key) return true;
      }
    }
    return false;
  }

  void CheckAgainstLog(const FinalState& final_state,
                       const std::map<std::string_view, const KeyValue*>& kvs) {
    const std::string all(1, '\0');
    const kv::SelectedPairs expected = versions_.Select(all, all, final_state.revision);
    for (const KeyValue* right : expected) {
      const auto found = kvs.find(right->key());
      if (found != kvs.end() && SamePair(*found->second, *right)) continue;
      Fail("wrong-final-value", final_state,
           fmt::format("{} instead of {}",
                       found == kvs.end() ? "nothing" : found->second->ShortDebugString(),
                       right->ShortDebugString()));
    }
    if (kvs.size() > expected.size()) {
      Fail("wrong-final-value", final_state,
           fmt::format("{} keys instead of {}", kvs.size(), expected.size()));
    }
  }

  const EventLog& log_;
  const KeyVersions versions_;
  std::map<std::string, Acknowledged> acknowledged_;
  int64_t newest_ = 0;
  uint64_t writes_ = 0;
  ReportDraft report_{"durability", "writes"};
};

}  // namespace

Report CheckDurability(const std::vector<KvOperation>& history, const EventLog& log,
                       const std::vector<FinalState>& final_states,
                       const DurabilityOptions& options) {
  Durability durability(history, log);
  for (const FinalState& final_state : final_states) durability.Check(final_state);
  const uint64_t writes = durability.writes();
  if (writes < options.writes_min || final_states.empty()) {
    durability.report().Invalidate(fmt::format("only {} acknowledged writes and {} final states",
                                               writes, final_states.size()));
  }
  return std::move(durability.report()).Finish(writes * final_states.size());
}

Report CheckStateHashes(const std::vector<StateHash>& hashes, uint64_t compared_min) {
  ReportDraft report("state-hashes", "hashes");
  std::map<uint64_t, const StateHash*> first_at;
  uint64_t compared = 0;
  for (const StateHash& hash : hashes) {
    const auto [first, is_first] = first_at.emplace(hash.applied_index, &hash);
    if (is_first) continue;
    ++compared;
    const StateHash& other = *first->second;
    if (hash.hash == other.hash) continue;
    report.Fail("state-diverged",
                fmt::format("at applied index {}: {:08x} in {}, {:08x} in {}", hash.applied_index,
                            other.hash, other.copy, hash.hash, hash.copy));
  }
  if (compared < compared_min) {
    report.Invalidate(fmt::format("only {} hashes could be compared", compared));
  }
  return std::move(report).Finish(compared);
}

}  // namespace conclave::checker
