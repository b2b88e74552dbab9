// Writes that are not idempotent, each under a request id of its own: sent again, through any
// member, until an answer comes, and at times once more after it. Each must take effect exactly
// once (docs/request-identity.md). Where the table of results is small, so that it lets go of
// results all the time, every write is sent once: what it promises is then too little to retry by.
#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "jepsen-style-tests/checker/exactly_once.h"
#include "jepsen-style-tests/workload/all_workloads.h"
#include "jepsen-style-tests/workload/requests.h"
#include "kvstore/request_identity.h"

namespace conclave::sim {

namespace {

constexpr uint64_t kOkMin = 5;
constexpr uint64_t kAttemptsMax = 8;
constexpr uint64_t kResultsForRetries = 100'000;  // more than any run makes
constexpr Duration kRepeatedAfterMax = Seconds(3);

using checker::OnceWrite;
using checker::Outcome;
using etcdserverpb::TxnRequest;
using TxnAnswer = Answer<etcdserverpb::TxnResponse>;

// All that does not depend on which member answers, and when.
std::string Comparable(etcdserverpb::TxnResponse response) {
  const int64_t revision = response.header().revision();
  response.mutable_header()->Clear();
  response.mutable_header()->set_revision(revision);
  return response.SerializeAsString();
}

class WriteOnce : public Workload {
 public:
  WriteOnce(World* world, History* history, Random drawn)
      : Workload("write-once", world, history, drawn),
        keys_(random().Between(1, 4)),
        retries_(world->options().member.store.results.results_max >= kResultsForRetries) {}

  void Start() override { SpawnClients(&WriteOnce::Client); }
  bool Enough() const override { return ok_writes_ >= kOkMin && ok_reads_ >= kOkMin; }
  std::vector<checker::Report> Check() override {
    return {checker::CheckExactlyOnce(writes_, world().events(), kOkMin)};
  }

 private:
  Co<void> Client(Session& session);
  Co<void> Write(Session& session);
  Co<void> Read(Session& session);
  Co<void> Repeat(Session& session, TxnRequest txn, std::string id, size_t write);
  Co<void> Reuse(Session& session, std::string id, size_t write);

  TxnRequest PutAndRead(const std::string& key, const std::string& value) const;
  std::string Key(Random& random) const {
    return fmt::format("write-once/{}", random.Below(keys_));
  }

  const size_t keys_;
  const bool retries_;
  std::vector<OnceWrite> writes_;
  uint64_t ok_writes_ = 0;
  uint64_t ok_reads_ = 0;
};

// The version that is read says how often the key was put, so no two answers are alike.
TxnRequest WriteOnce::PutAndRead(const std::string& key, const std::string& value) const {
  TxnRequest txn;
  *txn.add_success() = OpPut(key, value);
  *txn.add_success() = OpRange(RangeOf(key));
  return txn;
}

Co<void> WriteOnce::Client(Session& session) {
  while (loading()) {
    co_await Write(session);
    if (session.random().OneIn(4)) co_await Read(session);
    co_await Think(session);
  }
}

// For the checkers that judge every run, and are content with no run that has writes alone.
Co<void> WriteOnce::Read(Session& session) {
  const auto read = co_await session.Get(Key(session.random()));
  if (read.ok()) ++ok_reads_;
}

Co<void> WriteOnce::Write(Session& session) {
  const std::string key = Key(session.random());
  const std::string value = session.UniqueValue();
  const std::string id = fmt::format("write-once-{:0>8}", value);
  const TxnRequest txn = PutAndRead(key, value);
  const TxnAnswer answer = co_await session.TxnOnce(txn, id, retries_ ? kAttemptsMax : 1);

  const size_t write = writes_.size();
  writes_.push_back({.id = answer.operation,
                     .process = session.client(),
                     .key = key,
                     .value = value,
                     .outcome = answer.outcome,
                     .attempts = answer.attempts,
                     .revision = answer.response.header().revision(),
                     .response = Comparable(answer.response)});
  if (!answer.ok()) co_return;
  ++ok_writes_;
  if (retries_ && session.random().OneIn(3)) co_await Repeat(session, txn, id, write);
  if (retries_ && session.random().OneIn(6)) co_await Reuse(session, id, write);
}

// As somebody does who has not heard the answer.
Co<void> WriteOnce::Repeat(Session& session, TxnRequest txn, std::string id, size_t write) {
  co_await session.SleepUpTo(kRepeatedAfterMax);
  if (session.random().OneIn(2)) session.GoToAny();
  const TxnAnswer again = co_await session.TxnUnrecorded(std::move(txn), std::move(id));
  writes_[write].repeated.push_back({.same = true,
                                     .outcome = again.outcome,
                                     .response = Comparable(again.response),
                                     .refused_as_other = again.status == kv::ErrRequestIdReused()});
}

Co<void> WriteOnce::Reuse(Session& session, std::string id, size_t write) {
  const TxnRequest other = PutAndRead(Key(session.random()), session.UniqueValue());
  const TxnAnswer answer = co_await session.TxnUnrecorded(other, std::move(id));
  writes_[write].repeated.push_back(
      {.same = false,
       .outcome = answer.outcome,
       .response = Comparable(answer.response),
       .refused_as_other = answer.status == kv::ErrRequestIdReused()});
}

}  // namespace

std::unique_ptr<Workload> MakeWriteOnce(World* world, History* history, Random random) {
  return std::make_unique<WriteOnce>(world, history, random);
}

}  // namespace conclave::sim
