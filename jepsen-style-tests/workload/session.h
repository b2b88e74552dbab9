// One logical client of the cluster: it does one thing at a time, gives up after a while, and
// chooses another member when it feels like it. Every call is a coroutine whose answer says what
// became of the request, and every operation is recorded in the run's History. Workloads are
// written against this. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "jepsen-style-tests/checker/verdict.h"
#include "jepsen-style-tests/sim/world.h"
#include "jepsen-style-tests/workload/co.h"
#include "jepsen-style-tests/workload/history.h"
#include "kvstore/proto/rpc.pb.h"
#include "raft/base/random.h"

namespace conclave::sim {

template <typename Response>
struct Answer {
  checker::Outcome outcome = checker::Outcome::kInfo;
  absl::Status status;  // OK if the outcome is kOk
  Response response;    // if the outcome is kOk
  int64_t called_ns = 0;
  int64_t returned_ns = 0;  // when the client knew, or gave up
  uint64_t operation = 0;   // KvOperation::id in the history; 0 if it is not one
  uint64_t attempts = 1;    // how often it was sent

  bool ok() const { return outcome == checker::Outcome::kOk; }
};

// Which member the next call goes to: one of those that serve (World::Serving).
enum class MemberChoice {
  kSticky,           // one and the same, unless it fails many times on end
  kRotateOnFailure,  // the next one after each failure
  kRandom,           // any, each time
};

struct SessionOptions {
  MemberChoice choice = MemberChoice::kRotateOnFailure;
  size_t first_member = 0;
  Duration timeout = Seconds(2);  // then a call is given up, and its outcome is kInfo
  bool has_leader = false;        // metadata "hasleader" on every call
};

// Impatient clients are as likely as patient ones.
SessionOptions DrawSessionOptions(World& world, Random& random);
// For what is to succeed in a healthy cluster.
SessionOptions PatientSession();

class Session {
 public:
  // `world` and `history` must outlive the session, and the session its coroutines.
  Session(World* world, History* history, const SessionOptions& options, Random random);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  End client() const { return client_; }
  Random& random() { return random_; }
  World& world() { return *world_; }
  History& history() { return *history_; }
  // Where the next call goes, if the choice is not random.
  size_t member() const { return member_; }
  void GoTo(size_t member) { member_ = member; }
  void GoToAny();

  // How many calls have gone wrong since one was answered properly.
  uint64_t failures_on_end() const { return failures_on_end_; }

  // Never twice in a run, for the values of puts and the elements of lists.
  uint64_t UniqueNumber();
  std::string UniqueValue() { return std::to_string(UniqueNumber()); }

  Co<void> Sleep(Duration duration);
  // Any time from 0 to `max`.
  Co<void> SleepUpTo(Duration max);

  // ---- KV; recorded. ----

  Co<Answer<etcdserverpb::PutResponse>> Put(etcdserverpb::PutRequest request);
  Co<Answer<etcdserverpb::PutResponse>> Put(std::string key, std::string value, int64_t lease = 0);
  Co<Answer<etcdserverpb::RangeResponse>> Range(etcdserverpb::RangeRequest request);
  // The same answer, come in chunks.
  Co<Answer<etcdserverpb::RangeResponse>> RangeStream(etcdserverpb::RangeRequest request);
  Co<Answer<etcdserverpb::RangeResponse>> Get(std::string key);  // linearizable
  Co<Answer<etcdserverpb::DeleteRangeResponse>> DeleteRange(
      etcdserverpb::DeleteRangeRequest request);
  Co<Answer<etcdserverpb::DeleteRangeResponse>> Delete(std::string key);
  Co<Answer<etcdserverpb::TxnResponse>> Txn(etcdserverpb::TxnRequest request);
  Co<Answer<etcdserverpb::CompactionResponse>> Compact(int64_t revision, bool physical);
  // Under a request id, and sent again as long as nobody knows whether it was done, at most
  // `attempts_max` times: one operation, from the first call to the last answer.
  Co<Answer<etcdserverpb::TxnResponse>> TxnOnce(etcdserverpb::TxnRequest request,
                                                std::string request_id, uint64_t attempts_max);
  // Under a request id that was used before, for whatever; once, and not recorded.
  Co<Answer<etcdserverpb::TxnResponse>> TxnUnrecorded(etcdserverpb::TxnRequest request,
                                                      std::string request_id);

  // ---- Leases; the first three are recorded. ----

  // `id` 0: the member chooses.
  Co<Answer<etcdserverpb::LeaseGrantResponse>> LeaseGrant(int64_t id, int64_t ttl_s);
  Co<Answer<etcdserverpb::LeaseRevokeResponse>> LeaseRevoke(int64_t id);
  // One request on a stream of its own. OK with TTL 0 if the lease does not exist.
  Co<Answer<etcdserverpb::LeaseKeepAliveResponse>> LeaseKeepAlive(int64_t id);
  Co<Answer<etcdserverpb::LeaseTimeToLiveResponse>> LeaseTimeToLive(int64_t id, bool keys);

  // ---- Membership. ----

  Co<Answer<etcdserverpb::MemberListResponse>> MemberList();  // linearizable
  Co<Answer<etcdserverpb::MemberAddResponse>> MemberAdd(std::string peer_url, bool learner);
  Co<Answer<etcdserverpb::MemberRemoveResponse>> MemberRemove(uint64_t id);
  Co<Answer<etcdserverpb::MemberUpdateResponse>> MemberUpdate(uint64_t id, std::string peer_url);
  Co<Answer<etcdserverpb::MemberPromoteResponse>> MemberPromote(uint64_t id);

  // ---- Maintenance. ----

  Co<Answer<etcdserverpb::StatusResponse>> Status();
  Co<Answer<etcdserverpb::HashKVResponse>> HashKv(int64_t revision);
  Co<Answer<etcdserverpb::MoveLeaderResponse>> MoveLeader(uint64_t target);
  Co<Answer<etcdserverpb::AlarmResponse>> Alarm(etcdserverpb::AlarmRequest request);

 private:
  enum class Shape {
    kUnary,
    kFirstOfStream,  // the first message that comes back on a stream of requests
    kChunks,         // all RangeResponses of a RangeStream, as one
  };
  // A request and what came back for it.
  struct Exchange {
    CallEnd end;
    std::string message;
    int64_t called_ns = 0;
    int64_t returned_ns = 0;
  };

  Co<Exchange> Send(std::string path, std::string message, Shape shape,
                    std::string request_id = {});
  template <typename Response>
  static Answer<Response> Conclude(const Exchange& exchange);
  template <typename Response, typename Request>
  Co<Answer<Response>> Call(std::string path, Request request, Shape shape = Shape::kUnary);
  template <typename Response, typename Request>
  Co<Answer<Response>> CallKv(std::string path, Request request, Shape shape = Shape::kUnary);
  void ChooseNext(bool failed);

  World* const world_;
  History* const history_;
  const SessionOptions options_;
  const End client_;
  Random random_;
  size_t member_;
  uint64_t failures_on_end_ = 0;
  uint64_t unique_numbers_ = 0;
  bool busy_ = false;
};

// Whether a member's answer says that the request was certainly not carried out, nor will be.
bool CertainlyNotApplied(const absl::Status& status);

}  // namespace conclave::sim
