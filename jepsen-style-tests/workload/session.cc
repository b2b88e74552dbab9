#include "jepsen-style-tests/workload/session.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "jepsen-style-tests/checker/kv_history.h"
#include "kvstore/errors.h"
#include "raft/base/check.h"
#include "raft/base/text.h"

namespace conclave::sim {

namespace {

using checker::Outcome;

// A sticky client leaves its member after so many failures.
constexpr uint64_t kPatienceWithMember = 6;
// The longest rest before a request is sent again.
constexpr Duration kRepeatAfterMax = Milliseconds(400);
// Of the numbers that one client draws.
constexpr uint64_t kNumbersPerClient = 1'000'000;

Duration DrawUpTo(Duration max, Random& random) {
  return Duration(static_cast<int64_t>(random.Below(static_cast<uint64_t>(max.count()) + 1)));
}

// Not that the request was refused on its merits.
bool IsTrouble(const CallEnd& end) {
  switch (end.status.code()) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kFailedPrecondition:
      return false;
    default:
      return true;
  }
}

// The bytes of messages, one after the other, are those of the messages merged.
void AppendChunk(std::string_view chunk, std::string& merged) {
  etcdserverpb::RangeStreamResponse response;
  CHECK(response.ParseFromArray(chunk.data(), static_cast<int>(chunk.size())));
  CHECK(response.range_response().AppendToString(&merged));
}

std::string TextOf(const absl::Status& status) { return std::string(MessageOf(status)); }

}  // namespace

bool CertainlyNotApplied(const absl::Status& status) {
  // Those which say that the request may be under way still. A code outside the table (the
  // transport's) says nothing about the request either.
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return status == kv::ErrNoLeader() || status == kv::ErrUnhealthy();
    case absl::StatusCode::kUnknown:
      return status == kv::ErrTooManyRequests();
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kResourceExhausted:
      return true;
    default:
      return false;
  }
}

SessionOptions DrawSessionOptions(World& world, Random& random) {
  SessionOptions options;
  options.choice = static_cast<MemberChoice>(random.Below(3));
  const std::vector<size_t> serving = world.Serving();
  options.first_member = serving[random.Below(serving.size())];
  static constexpr Duration kTimeouts[] = {Milliseconds(150), Milliseconds(600), Seconds(2),
                                           Seconds(5), Seconds(9)};
  options.timeout = kTimeouts[random.Below(std::size(kTimeouts))];
  options.has_leader = random.OneIn(4);
  return options;
}

SessionOptions PatientSession() {
  return {.choice = MemberChoice::kRotateOnFailure, .timeout = Seconds(9)};
}

Session::Session(World* world, History* history, const SessionOptions& options, Random random)
    : world_(world),
      history_(history),
      options_(options),
      client_(history->NextClient()),
      random_(random),
      member_(options.first_member) {}

uint64_t Session::UniqueNumber() {
  CHECK(++unique_numbers_ < kNumbersPerClient);
  return (client_ - kFirstClient) * kNumbersPerClient + unique_numbers_;
}

Co<void> Session::Sleep(Duration duration) {
  Callback<bool> over([this, duration](const Callback<bool>::Done& done) {
    world_->scheduler().After(duration, [done] { done(true); });
  });
  co_await over;
}

Co<void> Session::SleepUpTo(Duration max) { return Sleep(DrawUpTo(max, random_)); }

// ---- One request and what comes back. ----

void Session::ChooseNext(bool failed) {
  failures_on_end_ = failed ? failures_on_end_ + 1 : 0;
  const bool rotates = options_.choice == MemberChoice::kRotateOnFailure && failed;
  const bool gives_up = failed && failures_on_end_ % kPatienceWithMember == 0;
  if (options_.choice == MemberChoice::kRandom) {
    GoToAny();
  } else if (rotates || gives_up) {
    const std::vector<size_t> serving = world_->Serving();
    const auto next = std::upper_bound(serving.begin(), serving.end(), member_);
    if (!serving.empty()) member_ = next == serving.end() ? serving.front() : *next;
  }
}

void Session::GoToAny() {
  const std::vector<size_t> serving = world_->Serving();
  if (!serving.empty()) member_ = serving[random_.Below(serving.size())];
}

Co<Session::Exchange> Session::Send(std::string path, std::string message, Shape shape,
                                    std::string request_id) {
  CHECK(!std::exchange(busy_, true));
  world_->trace().Mix(client_);
  world_->trace().Mix(path);
  world_->trace().Mix(message);
  Scheduler& scheduler = world_->scheduler();
  const bool stream = shape == Shape::kFirstOfStream;
  Exchange exchange;
  exchange.called_ns = world_->NowNs();

  std::shared_ptr<ClientCall> call;
  EventId deadline = 0;
  const auto answer = std::make_shared<std::string>();
  Callback<CallEnd> ended([&](const Callback<CallEnd>::Done& done) {
    const CallRequest request{.path = path,
                              .message = stream ? std::string() : message,
                              .has_leader = options_.has_leader,
                              .request_id = request_id};
    const auto on_message = [answer, done, shape](std::string_view received) {
      if (shape == Shape::kChunks) return AppendChunk(received, *answer);
      *answer = received;
      if (shape == Shape::kFirstOfStream) done({.status = absl::OkStatus(), .answered = true});
    };
    call = world_->Call(client_, member_, request, {.message = on_message, .end = done});
    if (stream) call->Send(message);
    deadline = scheduler.After(options_.timeout, [call, done] {
      call->Cancel();
      done({.status = absl::CancelledError("the client gave up")});
    });
  });
  exchange.end = co_await ended;
  scheduler.Cancel(deadline);
  // Not from within its own event.
  if (stream) scheduler.After(Duration::zero(), [call] { call->Cancel(); });

  exchange.message = std::move(*answer);
  exchange.returned_ns = world_->NowNs();
  world_->trace().Mix(static_cast<uint64_t>(exchange.end.status.code()));
  world_->trace().Mix(exchange.message);
  ChooseNext(IsTrouble(exchange.end));
  busy_ = false;
  co_return exchange;
}

template <typename Response>
Answer<Response> Session::Conclude(const Exchange& exchange) {
  Answer<Response> answer;
  answer.status = exchange.end.status;
  answer.called_ns = exchange.called_ns;
  answer.returned_ns = exchange.returned_ns;
  if (exchange.end.answered && answer.status.ok()) {
    answer.outcome = Outcome::kOk;
    CHECK(answer.response.ParseFromString(exchange.message));
  } else if (exchange.end.refused ||
             (exchange.end.answered && CertainlyNotApplied(answer.status))) {
    answer.outcome = Outcome::kFail;
  }
  return answer;
}

template <typename Response, typename Request>
Co<Answer<Response>> Session::Call(std::string path, Request request, Shape shape) {
  Co<Exchange> sent = Send(std::move(path), request.SerializeAsString(), shape);
  const Exchange exchange = co_await sent;
  co_return Conclude<Response>(exchange);
}

// ---- KV. ----

template <typename Response, typename Request>
Co<Answer<Response>> Session::CallKv(std::string path, Request request, Shape shape) {
  const uint64_t operation = history_->BeginKv(client_, request, world_->NowNs());
  Co<Answer<Response>> call = Call<Response>(std::move(path), std::move(request), shape);
  Answer<Response> answer = co_await call;
  answer.operation = operation;
  // A compaction may end a stream of the newest revision (reference: behaviour section 3.3): says
  // nothing of the keys.
  if (shape == Shape::kChunks && answer.status == kv::ErrCompacted()) {
    answer.outcome = Outcome::kInfo;
  }
  history_->EndKv(operation, answer.outcome, answer.response, TextOf(answer.status),
                  answer.returned_ns);
  co_return answer;
}

Co<Answer<etcdserverpb::PutResponse>> Session::Put(etcdserverpb::PutRequest request) {
  return CallKv<etcdserverpb::PutResponse>("/etcdserverpb.KV/Put", std::move(request));
}

Co<Answer<etcdserverpb::PutResponse>> Session::Put(std::string key, std::string value,
                                                   int64_t lease) {
  etcdserverpb::PutRequest request;
  request.set_key(std::move(key));
  request.set_value(std::move(value));
  request.set_lease(lease);
  return Put(std::move(request));
}

Co<Answer<etcdserverpb::RangeResponse>> Session::Range(etcdserverpb::RangeRequest request) {
  return CallKv<etcdserverpb::RangeResponse>("/etcdserverpb.KV/Range", std::move(request));
}

Co<Answer<etcdserverpb::RangeResponse>> Session::RangeStream(etcdserverpb::RangeRequest request) {
  return CallKv<etcdserverpb::RangeResponse>("/etcdserverpb.KV/RangeStream", std::move(request),
                                             Shape::kChunks);
}

Co<Answer<etcdserverpb::RangeResponse>> Session::Get(std::string key) {
  etcdserverpb::RangeRequest request;
  request.set_key(std::move(key));
  return Range(std::move(request));
}

Co<Answer<etcdserverpb::DeleteRangeResponse>> Session::DeleteRange(
    etcdserverpb::DeleteRangeRequest request) {
  return CallKv<etcdserverpb::DeleteRangeResponse>("/etcdserverpb.KV/DeleteRange",
                                                   std::move(request));
}

Co<Answer<etcdserverpb::DeleteRangeResponse>> Session::Delete(std::string key) {
  etcdserverpb::DeleteRangeRequest request;
  request.set_key(std::move(key));
  return DeleteRange(std::move(request));
}

Co<Answer<etcdserverpb::TxnResponse>> Session::Txn(etcdserverpb::TxnRequest request) {
  return CallKv<etcdserverpb::TxnResponse>("/etcdserverpb.KV/Txn", std::move(request));
}

Co<Answer<etcdserverpb::CompactionResponse>> Session::Compact(int64_t revision, bool physical) {
  etcdserverpb::CompactionRequest request;
  request.set_revision(revision);
  request.set_physical(physical);
  return CallKv<etcdserverpb::CompactionResponse>("/etcdserverpb.KV/Compact", std::move(request));
}

Co<Answer<etcdserverpb::TxnResponse>> Session::TxnUnrecorded(etcdserverpb::TxnRequest request,
                                                             std::string request_id) {
  Co<Exchange> sent = Send("/etcdserverpb.KV/Txn", request.SerializeAsString(), Shape::kUnary,
                           std::move(request_id));
  const Exchange exchange = co_await sent;
  co_return Conclude<etcdserverpb::TxnResponse>(exchange);
}

Co<Answer<etcdserverpb::TxnResponse>> Session::TxnOnce(etcdserverpb::TxnRequest request,
                                                       std::string request_id,
                                                       uint64_t attempts_max) {
  const uint64_t operation = history_->BeginKv(client_, request, world_->NowNs());
  Answer<etcdserverpb::TxnResponse> answer;
  const int64_t called_ns = world_->NowNs();
  for (uint64_t attempt = 1; attempt <= attempts_max; ++attempt) {
    const bool open = attempt > 1;  // an earlier attempt may have been done, or may still be
    if (open) co_await SleepUpTo(kRepeatAfterMax);
    Answer<etcdserverpb::TxnResponse> last = co_await TxnUnrecorded(request, request_id);
    answer = std::move(last);
    answer.attempts = attempt;
    // What a member refuses by itself says nothing of the attempts before.
    if (open && answer.outcome == Outcome::kFail) answer.outcome = Outcome::kInfo;
    if (answer.outcome != Outcome::kInfo) break;
  }
  answer.called_ns = called_ns;
  answer.operation = operation;
  history_->EndKv(operation, answer.outcome, answer.response, TextOf(answer.status),
                  answer.returned_ns);
  co_return answer;
}

// ---- Leases. ----

Co<Answer<etcdserverpb::LeaseGrantResponse>> Session::LeaseGrant(int64_t id, int64_t ttl_s) {
  etcdserverpb::LeaseGrantRequest request;
  request.set_id(id);
  request.set_ttl(ttl_s);
  auto call = Call<etcdserverpb::LeaseGrantResponse>("/etcdserverpb.Lease/LeaseGrant", request);
  Answer<etcdserverpb::LeaseGrantResponse> answer = co_await call;
  const int64_t lease = answer.ok() ? answer.response.id() : id;
  // Of a lease whose id nobody was told, there is nothing to check.
  if (lease != 0) {
    history_->leases().grants.push_back({.lease = lease,
                                         .ttl_s = answer.ok() ? answer.response.ttl() : ttl_s,
                                         .called_ns = answer.called_ns,
                                         .returned_ns = answer.returned_ns,
                                         .outcome = answer.outcome});
  }
  co_return answer;
}

Co<Answer<etcdserverpb::LeaseRevokeResponse>> Session::LeaseRevoke(int64_t id) {
  etcdserverpb::LeaseRevokeRequest request;
  request.set_id(id);
  auto call = Call<etcdserverpb::LeaseRevokeResponse>("/etcdserverpb.Lease/LeaseRevoke", request);
  const Answer<etcdserverpb::LeaseRevokeResponse> answer = co_await call;
  history_->leases().revokes.push_back({.lease = id,
                                        .called_ns = answer.called_ns,
                                        .returned_ns = answer.returned_ns,
                                        .outcome = answer.outcome});
  co_return answer;
}

Co<Answer<etcdserverpb::LeaseKeepAliveResponse>> Session::LeaseKeepAlive(int64_t id) {
  etcdserverpb::LeaseKeepAliveRequest request;
  request.set_id(id);
  auto call = Call<etcdserverpb::LeaseKeepAliveResponse>("/etcdserverpb.Lease/LeaseKeepAlive",
                                                         request, Shape::kFirstOfStream);
  const Answer<etcdserverpb::LeaseKeepAliveResponse> answer = co_await call;
  history_->leases().keepalives.push_back({.lease = id,
                                           .ttl_s = answer.response.ttl(),
                                           .called_ns = answer.called_ns,
                                           .returned_ns = answer.returned_ns,
                                           .outcome = answer.outcome});
  co_return answer;
}

Co<Answer<etcdserverpb::LeaseTimeToLiveResponse>> Session::LeaseTimeToLive(int64_t id, bool keys) {
  etcdserverpb::LeaseTimeToLiveRequest request;
  request.set_id(id);
  request.set_keys(keys);
  return Call<etcdserverpb::LeaseTimeToLiveResponse>("/etcdserverpb.Lease/LeaseTimeToLive",
                                                     std::move(request));
}

// ---- Membership. ----

Co<Answer<etcdserverpb::MemberListResponse>> Session::MemberList() {
  etcdserverpb::MemberListRequest request;
  request.set_linearizable(true);
  return Call<etcdserverpb::MemberListResponse>("/etcdserverpb.Cluster/MemberList",
                                                std::move(request));
}

Co<Answer<etcdserverpb::MemberAddResponse>> Session::MemberAdd(std::string peer_url, bool learner) {
  etcdserverpb::MemberAddRequest request;
  request.add_peerurls(std::move(peer_url));
  request.set_islearner(learner);
  return Call<etcdserverpb::MemberAddResponse>("/etcdserverpb.Cluster/MemberAdd",
                                               std::move(request));
}

Co<Answer<etcdserverpb::MemberRemoveResponse>> Session::MemberRemove(uint64_t id) {
  etcdserverpb::MemberRemoveRequest request;
  request.set_id(id);
  return Call<etcdserverpb::MemberRemoveResponse>("/etcdserverpb.Cluster/MemberRemove",
                                                  std::move(request));
}

Co<Answer<etcdserverpb::MemberUpdateResponse>> Session::MemberUpdate(uint64_t id,
                                                                     std::string peer_url) {
  etcdserverpb::MemberUpdateRequest request;
  request.set_id(id);
  request.add_peerurls(std::move(peer_url));
  return Call<etcdserverpb::MemberUpdateResponse>("/etcdserverpb.Cluster/MemberUpdate",
                                                  std::move(request));
}

Co<Answer<etcdserverpb::MemberPromoteResponse>> Session::MemberPromote(uint64_t id) {
  etcdserverpb::MemberPromoteRequest request;
  request.set_id(id);
  return Call<etcdserverpb::MemberPromoteResponse>("/etcdserverpb.Cluster/MemberPromote",
                                                   std::move(request));
}

// ---- Maintenance. ----

Co<Answer<etcdserverpb::StatusResponse>> Session::Status() {
  return Call<etcdserverpb::StatusResponse>("/etcdserverpb.Maintenance/Status",
                                            etcdserverpb::StatusRequest());
}

Co<Answer<etcdserverpb::HashKVResponse>> Session::HashKv(int64_t revision) {
  etcdserverpb::HashKVRequest request;
  request.set_revision(revision);
  return Call<etcdserverpb::HashKVResponse>("/etcdserverpb.Maintenance/HashKV", std::move(request));
}

Co<Answer<etcdserverpb::AlarmResponse>> Session::Alarm(etcdserverpb::AlarmRequest request) {
  return Call<etcdserverpb::AlarmResponse>("/etcdserverpb.Maintenance/Alarm", std::move(request));
}

Co<Answer<etcdserverpb::MoveLeaderResponse>> Session::MoveLeader(uint64_t target) {
  etcdserverpb::MoveLeaderRequest request;
  request.set_targetid(target);
  return Call<etcdserverpb::MoveLeaderResponse>("/etcdserverpb.Maintenance/MoveLeader",
                                                std::move(request));
}

}  // namespace conclave::sim
