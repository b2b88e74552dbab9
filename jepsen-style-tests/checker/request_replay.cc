#include "jepsen-style-tests/checker/request_replay.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace conclave::checker {
namespace {

using etcdserverpb::CompactionRequest;
using etcdserverpb::CompactionResponse;
using etcdserverpb::Compare;
using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::DeleteRangeResponse;
using etcdserverpb::PutRequest;
using etcdserverpb::PutResponse;
using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;
using etcdserverpb::RequestOp;
using etcdserverpb::ResponseOp;
using etcdserverpb::TxnRequest;
using etcdserverpb::TxnResponse;
using mvccpb::KeyValue;

// The state as of a revision, and one request's changes on top of it.
class Draft {
 public:
  Draft(const KeyVersions& versions, int64_t base) : versions_(versions), base_(base) {}

  std::optional<KvResponse> Apply(const PutRequest& request) {
    if (!Possible(request)) return std::nullopt;
    PutResponse response;
    Put(request, response);
    return response;
  }
  std::optional<KvResponse> Apply(const RangeRequest& request) {
    if (!Possible(request)) return std::nullopt;
    RangeResponse response;
    Range(request, response);
    return response;
  }
  std::optional<KvResponse> Apply(const DeleteRangeRequest& request) {
    DeleteRangeResponse response;
    DeleteRange(request, response);
    return response;
  }
  std::optional<KvResponse> Apply(const TxnRequest& request) {
    if (!Possible(request)) return std::nullopt;
    TxnResponse response;
    Txn(request, response);
    response.mutable_header()->set_revision(current());
    return response;
  }
  std::optional<KvResponse> Apply(const CompactionRequest& request) {
    if (request.revision() > base_) return std::nullopt;
    CompactionResponse response;
    response.mutable_header()->set_revision(base_);
    return response;
  }

  std::vector<KvEvent> TakeEvents() { return std::move(events_); }

 private:
  int64_t current() const { return base_ + (events_.empty() ? 0 : 1); }

  const KeyValue* Get(const std::string& key) const {
    const auto changed = changed_.find(key);
    if (changed == changed_.end()) return versions_.Get(key, base_);
    return changed->second.has_value() ? &*changed->second : nullptr;
  }

  kv::SelectedPairs Select(const std::string& begin, const std::string& end) const {
    kv::SelectedPairs selected = versions_.Select(begin, end, base_);
    if (changed_.empty()) return selected;
    std::erase_if(selected, [this](const KeyValue* kv) { return changed_.contains(kv->key()); });
    for (const auto& [key, kv] : changed_) {
      if (kv.has_value() && kv::InRange(key, begin, end)) selected.push_back(&*kv);
    }
    std::sort(selected.begin(), selected.end(),
              [](const KeyValue* a, const KeyValue* b) { return a->key() < b->key(); });
    return selected;
  }

  // The three below look at the state before the whole request.

  bool Possible(const PutRequest& request) const {
    const bool needs_key = request.ignore_value() || request.ignore_lease();
    return !needs_key || versions_.Get(request.key(), base_) != nullptr;
  }
  bool Possible(const RangeRequest& request) const { return request.revision() <= base_; }
  bool Possible(const TxnRequest& request) const {
    for (const RequestOp& op : Branch(request)) {
      if (op.has_request_put() && !Possible(op.request_put())) return false;
      if (op.has_request_range() && !Possible(op.request_range())) return false;
      if (op.has_request_txn() && !Possible(op.request_txn())) return false;
    }
    return true;
  }

  bool Succeeds(const TxnRequest& request) const {
    return std::all_of(request.compare().begin(), request.compare().end(), [&](const Compare& c) {
      return kv::Holds(c, versions_.Select(c.key(), c.range_end(), base_));
    });
  }
  const google::protobuf::RepeatedPtrField<RequestOp>& Branch(const TxnRequest& request) const {
    return Succeeds(request) ? request.success() : request.failure();
  }

  void Put(const PutRequest& request, PutResponse& response) {
    const KeyValue* previous = Get(request.key());
    KvEvent event{.revision = base_ + 1,
                  .sub = static_cast<int64_t>(events_.size()),
                  .key = request.key(),
                  .value = request.value(),
                  .is_delete = false,
                  .lease = request.lease(),
                  .create_revision = base_ + 1,
                  .version = 1};
    if (previous != nullptr) {
      event.create_revision = previous->create_revision();
      event.version = previous->version() + 1;
      if (request.ignore_value()) event.value = previous->value();
      if (request.ignore_lease()) event.lease = previous->lease();
      if (request.prev_kv()) *response.mutable_prev_kv() = *previous;
    }
    changed_[request.key()] = PairOf(event);
    events_.push_back(std::move(event));
    response.mutable_header()->set_revision(base_ + 1);
  }

  void DeleteRange(const DeleteRangeRequest& request, DeleteRangeResponse& response) {
    for (const KeyValue* kv : Select(request.key(), request.range_end())) {
      if (request.prev_kv()) *response.add_prev_kvs() = *kv;
      events_.push_back({.revision = base_ + 1,
                         .sub = static_cast<int64_t>(events_.size()),
                         .key = kv->key(),
                         .value = {},
                         .is_delete = true});
      changed_[events_.back().key] = std::nullopt;
      response.set_deleted(response.deleted() + 1);
    }
    response.mutable_header()->set_revision(current());
  }

  void Range(const RangeRequest& request, RangeResponse& response) const {
    response.mutable_header()->set_revision(current());
    const bool past = request.revision() > 0;
    kv::AnswerRange(past ? versions_.Select(request.key(), request.range_end(), request.revision())
                         : Select(request.key(), request.range_end()),
                    request, &response);
  }

  void Txn(const TxnRequest& request, TxnResponse& response) {
    response.set_succeeded(Succeeds(request));
    for (const RequestOp& op : Branch(request)) {
      ResponseOp& out = *response.add_responses();
      if (op.has_request_put()) Put(op.request_put(), *out.mutable_response_put());
      if (op.has_request_range()) Range(op.request_range(), *out.mutable_response_range());
      if (op.has_request_delete_range()) {
        DeleteRange(op.request_delete_range(), *out.mutable_response_delete_range());
      }
      if (op.has_request_txn()) Txn(op.request_txn(), *out.mutable_response_txn());
    }
  }

  const KeyVersions& versions_;
  const int64_t base_;
  std::map<std::string, std::optional<KeyValue>, std::less<>> changed_;
  std::vector<KvEvent> events_;
};

bool Changed(const PutResponse&) { return true; }
bool Changed(const RangeResponse&) { return false; }
bool Changed(const CompactionResponse&) { return false; }
bool Changed(std::monostate) { return false; }
bool Changed(const DeleteRangeResponse& response) { return response.deleted() > 0; }
bool Changed(const TxnResponse& response) {
  return std::any_of(
      response.responses().begin(), response.responses().end(), [](const ResponseOp& op) {
        return op.has_response_put() || (op.has_response_txn() && Changed(op.response_txn())) ||
               (op.has_response_delete_range() && Changed(op.response_delete_range()));
      });
}

using Pairs = google::protobuf::RepeatedPtrField<KeyValue>;

bool SamePairs(const Pairs& a, const Pairs& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), SamePair);
}

std::string Difference(const PutRequest&, const PutResponse& a, const PutResponse& b) {
  const bool same = a.has_prev_kv() == b.has_prev_kv() && SamePair(a.prev_kv(), b.prev_kv());
  return same ? "" : "wrong-prev-kv";
}

std::string Difference(const RangeRequest&, const RangeResponse& a, const RangeResponse& b) {
  if (a.count() != b.count()) return "wrong-count";
  if (!SamePairs(a.kvs(), b.kvs())) return "wrong-read";
  return a.more() == b.more() ? "" : "wrong-response";
}

std::string Difference(const DeleteRangeRequest&, const DeleteRangeResponse& a,
                       const DeleteRangeResponse& b) {
  if (a.deleted() != b.deleted()) return "wrong-count";
  return SamePairs(a.prev_kvs(), b.prev_kvs()) ? "" : "wrong-prev-kv";
}

std::string Difference(const CompactionRequest&, const CompactionResponse&,
                       const CompactionResponse&) {
  return "";
}

// Of an inner operation, whose header counts as well.
template <typename Request, typename Response>
std::string InnerDifference(const Request& request, const Response& a, const Response& b);

std::string Difference(const TxnRequest& request, const TxnResponse& a, const TxnResponse& b) {
  if (a.succeeded() != b.succeeded()) return "wrong-branch";
  if (a.responses_size() != b.responses_size()) return "wrong-response";
  const auto& branch = a.succeeded() ? request.success() : request.failure();
  for (int i = 0; i < a.responses_size(); ++i) {
    const ResponseOp& x = a.responses(i);
    const ResponseOp& y = b.responses(i);
    if (x.response_case() != y.response_case()) return "wrong-response";
    const RequestOp& op = branch[i];
    std::string difference;
    if (x.has_response_put()) {
      difference = InnerDifference(op.request_put(), x.response_put(), y.response_put());
    } else if (x.has_response_range()) {
      difference = InnerDifference(op.request_range(), x.response_range(), y.response_range());
    } else if (x.has_response_delete_range()) {
      difference = InnerDifference(op.request_delete_range(), x.response_delete_range(),
                                   y.response_delete_range());
    } else {
      difference = InnerDifference(op.request_txn(), x.response_txn(), y.response_txn());
    }
    if (!difference.empty()) return difference;
  }
  return "";
}

template <typename Request, typename Response>
std::string InnerDifference(const Request& request, const Response& a, const Response& b) {
  std::string difference = Difference(request, a, b);
  if (!difference.empty()) return difference;
  return a.header().revision() == b.header().revision() ? "" : "wrong-response";
}

template <typename Request>
struct ResponseTo;
template <>
struct ResponseTo<PutRequest> {
  using Type = PutResponse;
};
template <>
struct ResponseTo<RangeRequest> {
  using Type = RangeResponse;
};
template <>
struct ResponseTo<DeleteRangeRequest> {
  using Type = DeleteRangeResponse;
};
template <>
struct ResponseTo<TxnRequest> {
  using Type = TxnResponse;
};
template <>
struct ResponseTo<CompactionRequest> {
  using Type = CompactionResponse;
};

}  // namespace

Replayed Replay(const KvRequest& request, const KeyVersions& versions, int64_t base) {
  Draft draft(versions, base);
  std::optional<KvResponse> response =
      std::visit([&](const auto& known) { return draft.Apply(known); }, request);
  if (!response.has_value()) return {.refused = true, .events = {}, .response = {}};
  return {.refused = false, .events = draft.TakeEvents(), .response = *std::move(response)};
}

bool MadeRevision(const KvResponse& response) {
  return std::visit([](const auto& answer) { return Changed(answer); }, response);
}

std::string DifferenceOf(const KvRequest& request, const KvResponse& expected,
                         const KvResponse& answered) {
  if (expected.index() != answered.index()) return "wrong-response";
  return std::visit(
      [&](const auto& known) {
        using Response = typename ResponseTo<std::decay_t<decltype(known)>>::Type;
        return InnerDifference(known, std::get<Response>(expected), std::get<Response>(answered));
      },
      request);
}

}  // namespace conclave::checker
