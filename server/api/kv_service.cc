// The KV service: Range, Put, DeleteRange, Txn, Compact (reference: behaviour section 3).
#include <algorithm>
#include <string>
#include <utility>

#include "kvstore/engine/cached_only.h"
#include "kvstore/errors.h"
#include "kvstore/mvcc/range.h"
#include "kvstore/validate.h"
#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "server/api/range_reply.h"
#include "server/api/service.h"

namespace conclave::server {

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

// Whether a reply may wait for the disk, and everybody else with it.
enum class Waits { kNo, kYes };

template <typename Request>
using Reply = void (*)(const ApiContext&, const CallRef&, const Request&, Waits);

// What the reply looks up is read on another lane; then it is made, once and for all.
template <typename Request>
void ReadFromDiskThenReply(const ApiContext& context, const CallRef& call, const Request& request,
                           std::vector<kv::ColdRead> reads, Reply<Request> reply) {
  context.node->ReadFromDisk(std::move(reads),
                             [context, call, request, reply](const absl::Status& status) {
                               if (!call->open()) return;
                               if (!status.ok()) return call->Finish(status);
                               if (context.node->fenced()) return call->Finish(kv::ErrCorrupt());
                               reply(context, call, request, Waits::kYes);
                             });
}

void ReplyRange(const ApiContext& context, const CallRef& call, const RangeRequest& request,
                Waits waits) {
  const kv::Store& store = context.node->store();
  RangeResponse response;
  absl::StatusOr<bool> whole = false;
  bool cold = false;
  {
    const kv::CachedOnly cached_only(waits == Waits::kNo);
    whole = store.RangeIfShort(request, &response);
    cold = cached_only.missed() && !SEEDED_BUG(kColdGetAnswered);
  }
  if (!whole.ok()) return call->Finish(whole.status());
  if (cold) {
    SIM_REACHED("api.range.cold");
    std::optional<std::vector<kv::ColdRead>> reads = store.ColdReads(request);
    if (reads) return ReadFromDiskThenReply(context, call, request, *std::move(reads), ReplyRange);
  }
  // One that would hold up everybody else for long, by the reading of it and by the encoding.
  if (cold || !*whole) return ReplyLongRange(context, call, request);
  context.node->FillHeader(response.mutable_header());
  call->Reply(response);
}

void ReplyReadOnlyTxn(const ApiContext& context, const CallRef& call, const TxnRequest& request,
                      Waits waits) {
  const kv::Store& store = context.node->store();
  TxnResponse response;
  absl::Status status;
  bool cold = false;
  {
    const kv::CachedOnly cached_only(waits == Waits::kNo);
    status = store.ReadOnlyTxn(request, &response);
    cold = cached_only.missed();
  }
  if (cold) {
    SIM_REACHED("api.txn.cold");
    return ReadFromDiskThenReply(context, call, request, store.ColdReads(request),
                                 ReplyReadOnlyTxn);
  }
  if (!status.ok()) return call->Finish(status);
  context.node->FillHeader(response.mutable_header());
  call->Reply(response);
}

// Runs `reply` at once if a stale answer is allowed, else after a read index; skipped if the client
// has gone by then.
template <typename Request>
void ReadThenReply(const ApiContext& context, const CallRef& call, Request& request,
                   bool serializable, Reply<Request> reply) {
  if (serializable) return reply(context, call, request, Waits::kNo);
  context.node->Read(
      [context, call, reply, request = std::move(request)](const absl::Status& status) {
        if (!call->open()) {
          SIM_REACHED("api.read.client_gone");
          return;
        }
        if (!status.ok()) return call->Finish(status);
        reply(context, call, request, Waits::kNo);
      });
}

void Range(const ApiContext& context, const CallRef& call, RangeRequest& request,
           std::string_view) {
  if (absl::Status status = kv::Validate(request); !status.ok()) return call->Finish(status);
  ReadThenReply(context, call, request, request.serializable(), ReplyRange);
}

// What a stream cannot do (reference: behaviour section 3.3). Without an order a target means
// nothing here.
absl::Status CheckStreamable(const RangeRequest& request) {
  const bool in_key_order =
      request.sort_order() == RangeRequest::NONE ||
      (request.sort_order() == RangeRequest::ASCEND && request.sort_target() == RangeRequest::KEY);
  if (!in_key_order) return kv::ErrStreamOfSortedRange();
  if (kv::IsFiltered(request)) return kv::ErrStreamOfFilteredRange();
  return absl::OkStatus();
}

// Always on another lane.
void ReplyStream(const ApiContext& context, const CallRef& call, const RangeRequest& request,
                 Waits) {
  ReplyRangeStream(context, call, request);
}

void RangeStream(const ApiContext& context, const CallRef& call, RangeRequest& request) {
  absl::Status status = kv::Validate(request);
  if (status.ok()) status = CheckStreamable(request);
  if (!status.ok()) return call->Finish(status);
  ReadThenReply(context, call, request, request.serializable(), ReplyStream);
}

// Replicates a request that writes, if it is valid.
template <typename Response>
void Write(const ApiContext& context, const CallRef& call, const absl::Status& valid,
           kv::CommandKind kind, std::string_view bytes) {
  if (!valid.ok()) return call->Finish(valid);
  if (absl::Status status = CheckSound(context); !status.ok()) return call->Finish(status);
  ProposeOnceAndReply<Response>(context, call, kind, bytes, bytes);
}

void Put(const ApiContext& context, const CallRef& call, PutRequest& request,
         std::string_view bytes) {
  absl::Status valid = CheckQuota(context, kv::SpaceFor(request));
  if (valid.ok()) valid = kv::Validate(request);
  if (valid.ok()) valid = CheckSpace(context);
  Write<PutResponse>(context, call, valid, kv::CommandKind::kPut, bytes);
}

void DeleteRange(const ApiContext& context, const CallRef& call, DeleteRangeRequest& request,
                 std::string_view bytes) {
  Write<DeleteRangeResponse>(context, call, kv::Validate(request), kv::CommandKind::kDeleteRange,
                             bytes);
}

// The seeded bug of compares evaluated when proposed: the transaction as they come out here and
// now.
TxnRequest Decided(const kv::Store& store, const TxnRequest& request) {
  TxnRequest question;
  *question.mutable_compare() = request.compare();
  TxnResponse answer;
  CHECK(store.ReadOnlyTxn(question, &answer).ok());
  TxnRequest decided = request;
  decided.clear_compare();
  // No version is below zero.
  if (!answer.succeeded()) decided.add_compare()->set_result(etcdserverpb::Compare::LESS);
  return decided;
}

void Txn(const ApiContext& context, const CallRef& call, TxnRequest& request,
         std::string_view bytes) {
  const uint64_t space = kv::SpaceFor(request);
  absl::Status valid = CheckQuota(context, space);
  if (valid.ok()) valid = kv::Validate(request, context.options->max_txn_ops);
  if (valid.ok() && kv::IsReadOnly(request)) {
    return ReadThenReply(context, call, request, kv::IsSerializable(request), ReplyReadOnlyTxn);
  }
  if (valid.ok() && space != 0) valid = CheckSpace(context);
  if (SEEDED_BUG(kCompareAtPropose)) {
    const std::string decided = Decided(context.node->store(), request).SerializeAsString();
    return Write<TxnResponse>(context, call, valid, kv::CommandKind::kTxn, decided);
  }
  Write<TxnResponse>(context, call, valid, kv::CommandKind::kTxn, bytes);
}

void ReplyCompaction(const ApiContext& context, const CallRef& call, kv::ApplyResult& result) {
  if (!result.status.ok()) return call->Finish(result.status);
  auto& response = std::get<CompactionResponse>(result.response);
  context.node->FillHeader(response.mutable_header());
  call->Reply(response);
}

void Compact(const ApiContext& context, const CallRef& call, CompactionRequest& request,
             std::string_view bytes) {
  const bool physical = request.physical();
  const int64_t revision = request.revision();
  absl::Status valid = CheckSize(context, bytes);
  if (valid.ok()) valid = CheckSound(context);
  if (!valid.ok()) return call->Finish(valid);
  const absl::StatusOr<kv::RequestIdentity> identity = IdentityOf(*call, bytes);
  if (!identity.ok()) return call->Finish(identity.status());
  context.node->Propose(
      kv::CommandKind::kCompact, bytes,
      [context, call, physical, revision](kv::ApplyResult result) {
        const bool compacted = result.status.ok() || result.status == kv::ErrCompacted();
        if (!physical || !compacted) return ReplyCompaction(context, call, result);
        // A physical compaction also waits for one asked for earlier, and then repeats its error.
        context.node->apply().WhenCompacted(
            std::min(revision, context.node->store().compact_revision()),
            [context, call, result = std::move(result)]() mutable {
              ReplyCompaction(context, call, result);
            });
      },
      *identity);
}

}  // namespace

void AddKvService(DispatchTable& table, const ApiContext& context) {
  AddUnary<RangeRequest>(table, "/etcdserverpb.KV/Range", context, Range);
  AddServerStream<RangeRequest>(table, "/etcdserverpb.KV/RangeStream", context, RangeStream);
  AddUnary<PutRequest>(table, "/etcdserverpb.KV/Put", context, Put);
  AddUnary<DeleteRangeRequest>(table, "/etcdserverpb.KV/DeleteRange", context, DeleteRange);
  AddUnary<TxnRequest>(table, "/etcdserverpb.KV/Txn", context, Txn);
  AddUnary<CompactionRequest>(table, "/etcdserverpb.KV/Compact", context, Compact);
}

}  // namespace conclave::server
