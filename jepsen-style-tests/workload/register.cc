// Registers: keys that clients read, overwrite, delete, and change by compare-and-set, which here
// is a transaction on the value or on the mod_revision. Each register must be linearizable. After
// some operations the clients move on to new keys, so that no search grows too long.
//
// This is the workload to copy: a coroutine per client, a history of its own, a checker.
#include <fmt/format.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "jepsen-style-tests/checker/linearizability.h"
#include "jepsen-style-tests/workload/all_workloads.h"
#include "jepsen-style-tests/workload/requests.h"

namespace conclave::sim {

namespace {

using checker::RegisterKind;
using checker::RegisterOperation;
using checker::RegisterValue;

constexpr size_t kOperationsPerGeneration = 100;
constexpr uint64_t kOkOperationsMin = 10;

class Register : public Workload {
 public:
  Register(World* world, History* history, Random drawn)
      : Workload("register", world, history, drawn), keys_(random().Between(1, 4)) {}

  void Start() override { SpawnClients(&Register::Client); }
  bool Enough() const override { return ok_operations_ >= kOkOperationsMin; }
  Co<void> FinalReads(Session& session) override;
  std::vector<checker::Report> Check() override {
    return {checker::CheckLinearizable(operations_, {.ok_operations_min = kOkOperationsMin})};
  }

 private:
  // What somebody saw last of a register, which is what a compare-and-set expects.
  struct Seen {
    RegisterValue value;
    int64_t mod_revision = 0;  // 0 if it does not exist
  };

  Co<void> Client(Session& session);
  Co<void> Operate(Session& session, const std::string& key);
  Co<void> Read(Session& session, std::string key);
  Co<void> ReadSerializable(Session& session, std::string key);
  Co<void> Write(Session& session, std::string key);
  Co<void> Delete(Session& session, std::string key);
  Co<void> CompareAndSet(Session& session, std::string key);

  std::string Key(size_t generation, size_t number) const {
    return fmt::format("register/{}/{}", generation, number);
  }
  size_t generation() const { return operations_.size() / kOperationsPerGeneration; }
  template <typename Response>
  RegisterOperation& Record(const Session& session, const std::string& key, RegisterKind kind,
                            const Answer<Response>& answer);

  const size_t keys_;
  std::vector<RegisterOperation> operations_;
  uint64_t ok_operations_ = 0;
  std::map<std::string, Seen> seen_;
};

Co<void> Register::Client(Session& session) {
  while (loading()) {
    const std::string key = Key(generation(), session.random().Below(keys_));
    co_await Operate(session, key);
    co_await Think(session);
  }
}

Co<void> Register::Operate(Session& session, const std::string& key) {
  switch (session.random().Below(10)) {
    case 0:
      return ReadSerializable(session, key);
    case 1:
      return Delete(session, key);
    case 2:
    case 3:
      return Write(session, key);
    case 4:
    case 5:
    case 6:
      return CompareAndSet(session, key);
    default:
      return Read(session, key);
  }
}

template <typename Response>
RegisterOperation& Register::Record(const Session& session, const std::string& key,
                                    RegisterKind kind, const Answer<Response>& answer) {
  RegisterOperation& operation = operations_.emplace_back();
  operation.id = answer.operation;
  operation.process = session.client();
  operation.key = key;
  operation.kind = kind;
  operation.outcome = answer.outcome;
  operation.called_ns = answer.called_ns;
  operation.returned_ns = answer.returned_ns;
  if (answer.ok()) ++ok_operations_;
  return operation;
}

Co<void> Register::Read(Session& session, std::string key) {
  const auto get = co_await session.Get(key);
  if (!get.ok()) co_return;  // it changed nothing and saw nothing
  Seen seen;
  if (get.response.kvs_size() == 1) {
    seen = {get.response.kvs(0).value(), get.response.kvs(0).mod_revision()};
  }
  seen_[key] = seen;
  Record(session, key, RegisterKind::kRead, get).value = seen.value;
}

// May be stale, so linearizability has no say; the revision oracle judges it.
Co<void> Register::ReadSerializable(Session& session, std::string key) {
  etcdserverpb::RangeRequest range = RangeOf(key);
  range.set_serializable(true);
  co_await session.Range(range);
}

Co<void> Register::Write(Session& session, std::string key) {
  const std::string value = session.UniqueValue();
  const auto put = co_await session.Put(key, value);
  if (put.ok()) seen_[key] = {value, put.response.header().revision()};
  Record(session, key, RegisterKind::kWrite, put).value = value;
}

Co<void> Register::Delete(Session& session, std::string key) {
  const auto deleted = co_await session.Delete(key);
  if (deleted.ok()) seen_[key] = {};
  Record(session, key, RegisterKind::kDelete, deleted);
}

// Values are unique, so what holds of the mod_revision holds of the value.
Co<void> Register::CompareAndSet(Session& session, std::string key) {
  const Seen expected = seen_[key];
  RegisterValue value;
  if (!session.random().OneIn(6)) value = session.UniqueValue();

  etcdserverpb::TxnRequest txn;
  const bool by_value = expected.value.has_value() && session.random().OneIn(2);
  *txn.add_compare() =
      by_value ? IfValue(key, *expected.value) : IfModRevision(key, expected.mod_revision);
  *txn.add_success() = value.has_value() ? OpPut(key, *value) : OpDelete(key);
  *txn.add_failure() = OpRange(RangeOf(key));
  const auto answer = co_await session.Txn(txn);

  const bool succeeded = answer.ok() && answer.response.succeeded();
  if (succeeded) {
    seen_[key] = value.has_value() ? Seen{value, answer.response.header().revision()} : Seen{};
  }
  RegisterOperation& operation = Record(session, key, RegisterKind::kCompareAndSet, answer);
  operation.value = value;
  operation.expected = expected.value;
  operation.succeeded = succeeded;
}

Co<void> Register::FinalReads(Session& session) {
  const size_t last = generation();
  for (size_t generation = 0; generation <= last; ++generation) {
    for (size_t number = 0; number < keys_; ++number) {
      co_await Read(session, Key(generation, number));
    }
  }
}

}  // namespace

std::unique_ptr<Workload> MakeRegister(World* world, History* history, Random random) {
  return std::make_unique<Register>(world, history, random);
}

}  // namespace conclave::sim
