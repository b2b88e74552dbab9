// What the revision oracle and the durability checker must find, inflicted on valid histories.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "jepsen-style-tests/checker/damage.h"
#include "jepsen-style-tests/checker/request_replay.h"

namespace conclave::checker {
namespace {

using etcdserverpb::CompactionRequest;
using etcdserverpb::CompactionResponse;
using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::DeleteRangeResponse;
using etcdserverpb::PutRequest;
using etcdserverpb::PutResponse;
using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;
using etcdserverpb::TxnRequest;
using etcdserverpb::TxnResponse;

template <typename Request>
bool IsOk(const KvOperation& operation) {
  return operation.outcome == Outcome::kOk && std::holds_alternative<Request>(operation.request);
}

template <typename Request>
KvOperation* PickOk(GeneratedHistory& history, Random& random) {
  return Pick(history.operations, random, IsOk<Request>);
}

// A plain put with a value of its own.
KvOperation* PickPut(GeneratedHistory& history, Random& random) {
  return Pick(history.operations, random, [](const KvOperation& operation) {
    return IsOk<PutRequest>(operation) && !std::get<PutRequest>(operation.request).ignore_value();
  });
}

// A linearizable read of the latest state.
KvOperation* PickRead(GeneratedHistory& history, Random& random) {
  return Pick(history.operations, random, [](const KvOperation& operation) {
    return IsOk<RangeRequest>(operation) && !operation.serializable() &&
           std::get<RangeRequest>(operation.request).revision() == 0;
  });
}

KvOperation* PickReadOfPairs(GeneratedHistory& history, Random& random) {
  return Pick(history.operations, random, [](const KvOperation& operation) {
    return IsOk<RangeRequest>(operation) &&
           std::get<RangeResponse>(operation.response).kvs_size() > 0;
  });
}

void MoveToEnd(GeneratedHistory& history, KvOperation& operation) {
  operation.called_ns = history.end_ns + 1;
  operation.returned_ns = history.end_ns + 2;
  history.end_ns += 2;
}

// An acknowledged operation after all others.
KvOperation& Append(GeneratedHistory& history, KvRequest request, KvResponse response) {
  KvOperation& operation = history.operations.emplace_back();
  operation.id = history.operations.size();
  operation.request = std::move(request);
  operation.response = std::move(response);
  MoveToEnd(history, operation);
  return operation;
}

bool AcknowledgeNeverApplied(GeneratedHistory& history, Random&) {
  PutRequest put;
  put.set_key("a");
  put.set_value("lost");
  PutResponse response;
  response.mutable_header()->set_revision(history.log.last_revision() + 1);
  Append(history, put, response);
  return true;
}

bool ReplaceByAnotherPut(GeneratedHistory& history, Random& random) {
  KvOperation* put = PickPut(history, random);
  if (put == nullptr) return false;
  history.log = Edited(history.log, put->header_revision(),
                       [](std::vector<KvEvent>& events) { events[0].value = "other"; });
  return true;
}

bool ApplyAgain(GeneratedHistory& history, Random& random) {
  KvOperation* put = PickPut(history, random);
  if (put == nullptr || std::get<PutRequest>(put->request).ignore_lease()) return false;
  const int64_t last = history.log.last_revision();
  Replayed again = Replay(put->request, KeyVersions(history.log), last);
  history.log.Add(last + 1, std::move(again.events), history.end_ns);
  return true;
}

bool RefuseApplied(GeneratedHistory& history, Random& random) {
  KvOperation* put = PickPut(history, random);
  if (put == nullptr) return false;
  put->outcome = Outcome::kFail;
  put->response = {};
  return true;
}

bool ForgetOperation(GeneratedHistory& history, Random& random) {
  KvOperation* put = PickPut(history, random);
  if (put == nullptr) return false;
  history.operations.erase(history.operations.begin() + (put - history.operations.data()));
  return true;
}

bool ChangeLease(GeneratedHistory& history, Random& random) {
  KvOperation* put = PickPut(history, random);
  if (put == nullptr) return false;
  history.log = Edited(history.log, put->header_revision(),
                       [](std::vector<KvEvent>& events) { events[0].lease = 99; });
  return true;
}

bool ChangeVersion(GeneratedHistory& history, Random& random) {
  KvOperation* put = PickPut(history, random);
  if (put == nullptr) return false;
  history.log = Edited(history.log, put->header_revision(),
                       [](std::vector<KvEvent>& events) { ++events[0].version; });
  return true;
}

bool MisnumberInternal(GeneratedHistory& history, Random& random) {
  ChangeVersion(history, random);
  // Made by nobody in the history: all that is left to check are the numbers.
  for (KvOperation& operation : history.operations) {
    if (MadeRevision(operation.response)) {
      history.oracle_options.internal_revisions.insert(operation.header_revision());
    }
  }
  std::erase_if(history.operations,
                [](const KvOperation& operation) { return MadeRevision(operation.response); });
  return true;
}

bool ReuseRevision(GeneratedHistory& history, Random& random) {
  KvOperation* one = PickPut(history, random);
  KvOperation* other = PickPut(history, random);
  if (one == nullptr || one == other) return false;
  std::get<PutResponse>(one->response).mutable_header()->set_revision(other->header_revision());
  return true;
}

bool TakeForbiddenBranch(GeneratedHistory& history, Random& random) {
  KvOperation* txn = Pick(history.operations, random, [](const KvOperation& operation) {
    return IsOk<TxnRequest>(operation) && std::get<TxnResponse>(operation.response).succeeded();
  });
  if (txn == nullptr) return false;
  auto& request = std::get<TxnRequest>(txn->request);
  request.clear_failure();
  etcdserverpb::Compare& compare = *request.add_compare();
  compare.set_key("absent");
  compare.set_target(etcdserverpb::Compare::VERSION);
  compare.set_version(1);
  return true;
}

bool DelayRead(GeneratedHistory& history, Random& random) {
  KvOperation* read = PickRead(history, random);
  if (read == nullptr) return false;
  MoveToEnd(history, *read);
  return true;
}

bool DelayWrite(GeneratedHistory& history, Random& random) {
  KvOperation* put = PickPut(history, random);
  if (put == nullptr) return false;
  MoveToEnd(history, *put);
  return true;
}

bool ReadTheFuture(GeneratedHistory& history, Random& random) {
  KvOperation* read = PickRead(history, random);
  if (read == nullptr) return false;
  std::get<RangeResponse>(read->response)
      .mutable_header()
      ->set_revision(history.log.last_revision() + 1);
  return true;
}

bool ChangeReadValue(GeneratedHistory& history, Random& random) {
  KvOperation* read = PickReadOfPairs(history, random);
  if (read == nullptr) return false;
  std::get<RangeResponse>(read->response).mutable_kvs(0)->set_value("never");
  return true;
}

bool DropReadPair(GeneratedHistory& history, Random& random) {
  KvOperation* read = PickReadOfPairs(history, random);
  if (read == nullptr) return false;
  std::get<RangeResponse>(read->response).mutable_kvs()->RemoveLast();
  return true;
}

bool ChangeCount(GeneratedHistory& history, Random& random) {
  KvOperation* read = PickOk<RangeRequest>(history, random);
  if (read == nullptr) return false;
  auto& response = std::get<RangeResponse>(read->response);
  response.set_count(response.count() + 1);
  return true;
}

bool ChangeMore(GeneratedHistory& history, Random& random) {
  KvOperation* read = PickOk<RangeRequest>(history, random);
  if (read == nullptr) return false;
  auto& response = std::get<RangeResponse>(read->response);
  response.set_more(!response.more());
  return true;
}

bool ChangeDeleted(GeneratedHistory& history, Random& random) {
  KvOperation* operation = Pick(history.operations, random, [](const KvOperation& candidate) {
    return IsOk<DeleteRangeRequest>(candidate) && MadeRevision(candidate.response);
  });
  if (operation == nullptr) return false;
  auto& response = std::get<DeleteRangeResponse>(operation->response);
  response.set_deleted(response.deleted() + 1);
  return true;
}

bool ChangePrevKv(GeneratedHistory& history, Random& random) {
  KvOperation* put = Pick(history.operations, random, [](const KvOperation& operation) {
    return IsOk<PutRequest>(operation) && std::get<PutResponse>(operation.response).has_prev_kv();
  });
  if (put == nullptr) return false;
  auto& previous = *std::get<PutResponse>(put->response).mutable_prev_kv();
  previous.set_mod_revision(previous.mod_revision() - 1);
  return true;
}

bool DropDeletedPrevKv(GeneratedHistory& history, Random& random) {
  KvOperation* operation = Pick(history.operations, random, [](const KvOperation& candidate) {
    return IsOk<DeleteRangeRequest>(candidate) &&
           std::get<DeleteRangeResponse>(candidate.response).prev_kvs_size() > 0;
  });
  if (operation == nullptr) return false;
  std::get<DeleteRangeResponse>(operation->response).mutable_prev_kvs()->RemoveLast();
  return true;
}

bool ReadCompacted(GeneratedHistory& history, Random& random) {
  KvOperation* found = PickRead(history, random);
  if (found == nullptr) return false;
  const int64_t last = history.log.last_revision();
  CompactionRequest compaction;
  compaction.set_revision(last);
  CompactionResponse compacted;
  compacted.mutable_header()->set_revision(last);
  RangeRequest request = std::get<RangeRequest>(found->request);
  request.set_revision(found->header_revision());
  RangeResponse response = std::get<RangeResponse>(found->response);
  response.mutable_header()->set_revision(last);
  Append(history, compaction, compacted);
  Append(history, request, response);
  return true;
}

bool RefuseReadable(GeneratedHistory& history, std::string_view error) {
  RangeRequest request;
  request.set_key("a");
  request.set_revision(history.log.last_revision());
  RangeResponse seen;  // shows everyone the newest revision
  seen.mutable_header()->set_revision(history.log.last_revision());
  RangeRequest nothing;
  nothing.set_key("absent");
  Append(history, nothing, seen);
  KvOperation& refused = Append(history, request, {});
  refused.outcome = Outcome::kFail;
  refused.error = error;
  return true;
}
bool RefuseAsCompacted(GeneratedHistory& history, Random&) {
  return RefuseReadable(history, "etcdserver: mvcc: required revision has been compacted");
}
bool RefuseAsFuture(GeneratedHistory& history, Random&) {
  return RefuseReadable(history, "etcdserver: mvcc: required revision is a future revision");
}

bool Diverge(GeneratedHistory& history, Random& random) {
  const auto revision =
      static_cast<int64_t>(random.Between(2, static_cast<uint64_t>(history.log.last_revision())));
  std::vector<KvEvent> events = history.log.At(revision);
  events[0].key += "x";
  history.log.Add(revision, events, 0);
  return true;
}

bool SkipRevision(GeneratedHistory& history, Random&) {
  history.log.Add(history.log.last_revision() + 2, history.log.At(2), 0);
  return true;
}

class RevisionDamage : public testing::TestWithParam<Damage> {};

TEST_P(RevisionDamage, IsFound) {
  ExpectFound(GetParam(), [](const GeneratedHistory& history) {
    return CheckRevisions(history.operations, history.log, history.oracle_options);
  });
}

INSTANTIATE_TEST_SUITE_P(
    Damages, RevisionDamage,
    testing::Values(Damage{"LostWrite", "lost-write", AcknowledgeNeverApplied},
                    Damage{"OverwrittenInTheLog", "lost-write", ReplaceByAnotherPut},
                    Damage{"AppliedTwice", "write-applied-twice", ApplyAgain},
                    Damage{"FailedApplied", "failed-write-applied", RefuseApplied},
                    Damage{"AppearedFromNowhere", "unexplained-event", ForgetOperation},
                    Damage{"WrongLease", "wrong-event", ChangeLease},
                    Damage{"WrongVersion", "wrong-event", ChangeVersion},
                    Damage{"WrongVersionOfOthers", "wrong-event", MisnumberInternal},
                    Damage{"RevisionReused", "revision-reused", ReuseRevision},
                    Damage{"WrongBranch", "wrong-branch", TakeForbiddenBranch},
                    Damage{"StaleRead", "stale-read", DelayRead},
                    Damage{"RevisionWentBack", "revision-went-back", DelayWrite},
                    Damage{"RevisionAhead", "revision-ahead", ReadTheFuture},
                    Damage{"WrongValueRead", "wrong-read", ChangeReadValue},
                    Damage{"PairNotRead", "wrong-read", DropReadPair},
                    Damage{"WrongCount", "wrong-count", ChangeCount},
                    Damage{"WrongMore", "wrong-response", ChangeMore},
                    Damage{"WrongDeletedCount", "wrong-count", ChangeDeleted},
                    Damage{"WrongPrevKv", "wrong-prev-kv", ChangePrevKv},
                    Damage{"MissingDeletedPrevKv", "wrong-prev-kv", DropDeletedPrevKv},
                    Damage{"CompactedRead", "read-of-compacted", ReadCompacted},
                    Damage{"RefusedAsCompacted", "wrong-error", RefuseAsCompacted},
                    Damage{"RefusedAsFuture", "wrong-error", RefuseAsFuture},
                    Damage{"Diverged", "diverged-events", Diverge},
                    Damage{"MissingRevision", "missing-revision", SkipRevision}),
    NameOf);

// ---- Durability. ----

// The pair that an acknowledged put left in the final state, and that nothing changed since.
int FindAcknowledgedPair(const GeneratedHistory& history, const FinalState& final_state) {
  for (int i = 0; i < static_cast<int>(final_state.kvs.size()); ++i) {
    const auto acknowledged = [&](const KvOperation& operation) {
      return IsOk<PutRequest>(operation) &&
             operation.header_revision() == final_state.kvs[static_cast<size_t>(i)].mod_revision();
    };
    if (std::any_of(history.operations.begin(), history.operations.end(), acknowledged)) return i;
  }
  return -1;
}

bool LosePair(GeneratedHistory& history, Random&) {
  FinalState& final_state = history.final_states[1];
  const int at = FindAcknowledgedPair(history, final_state);
  if (at < 0) return false;
  final_state.kvs.erase(final_state.kvs.begin() + at);
  return true;
}

bool KeepOldPair(GeneratedHistory& history, Random&) {
  FinalState& final_state = history.final_states[2];
  const int at = FindAcknowledgedPair(history, final_state);
  if (at < 0) return false;
  mvccpb::KeyValue& kv = final_state.kvs[static_cast<size_t>(at)];
  kv.set_mod_revision(kv.mod_revision() - 1);
  return true;
}

// The pair that an acknowledged operation deleted for good; null if there was none.
const mvccpb::KeyValue* DeletedForGood(const KvOperation& operation, const KeyVersions& versions,
                                       int64_t last) {
  if (!IsOk<DeleteRangeRequest>(operation)) return nullptr;
  for (const mvccpb::KeyValue& kv : std::get<DeleteRangeResponse>(operation.response).prev_kvs()) {
    bool gone = true;
    for (int64_t at = operation.header_revision(); at <= last; ++at) {
      gone = gone && versions.Get(kv.key(), at) == nullptr;
    }
    if (gone) return &kv;
  }
  return nullptr;
}

bool ResurrectPair(GeneratedHistory& history, Random& random) {
  const KeyVersions versions(history.log);
  const int64_t last = history.log.last_revision();
  KvOperation* operation = Pick(history.operations, random, [&](const KvOperation& candidate) {
    return DeletedForGood(candidate, versions, last) != nullptr;
  });
  if (operation == nullptr) return false;
  history.final_states[0].kvs.push_back(*DeletedForGood(*operation, versions, last));
  return true;
}

bool ChangeFinalValue(GeneratedHistory& history, Random& random) {
  std::vector<mvccpb::KeyValue>& kvs = history.final_states[0].kvs;
  if (kvs.empty()) return false;
  kvs[random.Below(kvs.size())].set_value("changed");
  return true;
}

bool InventPair(GeneratedHistory& history, Random&) {
  mvccpb::KeyValue kv;
  kv.set_key("invented");
  history.final_states[0].kvs.push_back(kv);
  return true;
}

bool GoBack(GeneratedHistory& history, Random&) {
  history.final_states[1].revision = 2;
  return true;
}

class DurabilityDamage : public testing::TestWithParam<Damage> {};

TEST_P(DurabilityDamage, IsFound) {
  ExpectFound(GetParam(), [](const GeneratedHistory& history) {
    return CheckDurability(history.operations, history.log, history.final_states);
  });
}

INSTANTIATE_TEST_SUITE_P(Damages, DurabilityDamage,
                         testing::Values(Damage{"LostKey", "lost-write", LosePair},
                                         Damage{"OldPair", "lost-write", KeepOldPair},
                                         Damage{"LostDelete", "lost-delete", ResurrectPair},
                                         Damage{"WrongValue", "wrong-final-value",
                                                ChangeFinalValue},
                                         Damage{"InventedKey", "wrong-final-value", InventPair},
                                         Damage{"RevisionWentBack", "revision-went-back", GoBack}),
                         NameOf);

TEST(StateHashes, DivergedCopiesAreNamed) {
  const std::vector<StateHash> hashes = {{"a", 7, 1}, {"b", 8, 2}, {"replay", 7, 3}};
  const Report report = CheckStateHashes(hashes);
  EXPECT_EQ(report.anomaly, "state-diverged");
  EXPECT_EQ(report.explanation, "at applied index 7: 00000001 in a, 00000003 in replay");
}

TEST(StateHashes, HashesOfDifferentIndexesSayNothing) {
  EXPECT_EQ(CheckStateHashes({{"a", 7, 1}, {"b", 8, 2}}).verdict, Verdict::kInvalid);
}

}  // namespace
}  // namespace conclave::checker
