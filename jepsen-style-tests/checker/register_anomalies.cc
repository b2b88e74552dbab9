#include "jepsen-style-tests/checker/register_anomalies.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

namespace conclave::checker {
namespace {

using Operations = std::vector<const RegisterOperation*>;

// A time at which `value` may have been (certain: was) stored. The absence at the start counts.
struct Store {
  const RegisterOperation* operation = nullptr;  // null: the start
  int64_t called_ns = std::numeric_limits<int64_t>::min();
  int64_t returned_ns = std::numeric_limits<int64_t>::min();  // kNeverReturned if not certain
};

struct Observation {
  const RegisterOperation* operation;
  RegisterValue value;
};

class Anomalies {
 public:
  explicit Anomalies(const Operations& operations);

  std::optional<RegisterAnomaly> First() const;

 private:
  using Rule = std::optional<RegisterAnomaly> (Anomalies::*)(const Observation&) const;

  const std::vector<Store>& StoresOf(const RegisterValue& value) const;
  // A certain store of another value between the two; null if there is none.
  const RegisterOperation* Overwrite(const Store& store, const Observation& observation) const;

  std::optional<RegisterAnomaly> FirstObservation(Rule rule) const;
  std::optional<RegisterAnomaly> NeverStored(const Observation& observation) const;
  std::optional<RegisterAnomaly> Future(const Observation& observation) const;
  std::optional<RegisterAnomaly> Stale(const Observation& observation) const;
  std::optional<RegisterAnomaly> LostUpdate() const;
  std::optional<RegisterAnomaly> WrongFailure(const RegisterOperation& compare) const;
  bool HeldThroughout(const Store& store, const RegisterOperation& compare) const;

  Operations operations_;  // by return, the uncertain ones last
  std::vector<Observation> observations_;
  std::map<RegisterValue, std::vector<Store>> stores_;
  std::map<RegisterValue, Operations> not_stored_;  // by those that certainly did not
};

Anomalies::Anomalies(const Operations& operations) : operations_(operations) {
  const auto end_of = [](const RegisterOperation* operation) {
    return operation->outcome == Outcome::kInfo ? kNeverReturned : operation->returned_ns;
  };
  std::stable_sort(operations_.begin(), operations_.end(),
                   [&](const auto* a, const auto* b) { return end_of(a) < end_of(b); });
  stores_[std::nullopt].push_back({});
  for (const RegisterOperation* operation : operations_) {
    const bool ok = operation->outcome == Outcome::kOk;
    if (operation->kind == RegisterKind::kRead) {
      if (ok) observations_.push_back({operation, operation->value});
    } else if (operation->outcome == Outcome::kFail || StoredNothing(*operation)) {
      not_stored_[StoredBy(*operation)].push_back(operation);
    } else {
      stores_[StoredBy(*operation)].push_back({operation, operation->called_ns, end_of(operation)});
      if (ok && operation->kind == RegisterKind::kCompareAndSet) {
        observations_.push_back({operation, operation->expected});
      }
    }
  }
}

std::optional<RegisterAnomaly> Anomalies::First() const {
  if (auto found = FirstObservation(&Anomalies::NeverStored)) return found;
  if (auto found = FirstObservation(&Anomalies::Future)) return found;
  if (auto found = LostUpdate()) return found;
  if (auto found = FirstObservation(&Anomalies::Stale)) return found;
  for (const RegisterOperation* operation : operations_) {
    const bool refused = operation->kind == RegisterKind::kCompareAndSet &&
                         operation->outcome == Outcome::kOk && !operation->succeeded;
    if (!refused) continue;
    if (auto found = WrongFailure(*operation)) return found;
  }
  return std::nullopt;
}

std::optional<RegisterAnomaly> Anomalies::FirstObservation(Rule rule) const {
  for (const Observation& observation : observations_) {
    if (auto found = (this->*rule)(observation)) return found;
  }
  return std::nullopt;
}

const std::vector<Store>& Anomalies::StoresOf(const RegisterValue& value) const {
  static const std::vector<Store> none;
  const auto it = stores_.find(value);
  return it == stores_.end() ? none : it->second;
}

std::optional<RegisterAnomaly> Anomalies::NeverStored(const Observation& observation) const {
  for (const Store& store : StoresOf(observation.value)) {
    // An operation cannot observe what it stores itself.
    if (store.operation != observation.operation) return std::nullopt;
  }
  std::string proof = fmt::format("nothing stored {}, which was observed by\n  {}\n",
                                  Quoted(observation.value), ToString(*observation.operation));
  const auto it = not_stored_.find(observation.value);
  if (it == not_stored_.end()) return RegisterAnomaly{"unwritten-read", std::move(proof)};
  proof += "these certainly did not:\n";
  for (const RegisterOperation* operation : it->second) proof += "  " + ToString(*operation) + "\n";
  return RegisterAnomaly{"aborted-read", std::move(proof)};
}

std::optional<RegisterAnomaly> Anomalies::Future(const Observation& observation) const {
  std::string proof = fmt::format("{} was observed by\n  {}\nbefore it was stored by\n",
                                  Quoted(observation.value), ToString(*observation.operation));
  for (const Store& store : StoresOf(observation.value)) {
    if (store.operation == observation.operation) continue;
    if (store.called_ns <= observation.operation->returned_ns) return std::nullopt;
    proof += "  " + ToString(*store.operation) + "\n";
  }
  return RegisterAnomaly{"future-read", std::move(proof)};
}

const RegisterOperation* Anomalies::Overwrite(const Store& store,
                                              const Observation& observation) const {
  for (const RegisterOperation* operation : operations_) {
    if (operation->outcome == Outcome::kInfo ||
        operation->returned_ns >= observation.operation->called_ns) {
      return nullptr;  // by return: no later one can be in between
    }
    const bool stores = operation->outcome == Outcome::kOk && !StoredNothing(*operation);
    if (stores && StoredBy(*operation) != observation.value &&
        store.returned_ns < operation->called_ns) {
      return operation;
    }
  }
  return nullptr;
}

std::optional<RegisterAnomaly> Anomalies::Stale(const Observation& observation) const {
  std::string proof = fmt::format("{} was observed by\n  {}\n", Quoted(observation.value),
                                  ToString(*observation.operation));
  for (const Store& store : StoresOf(observation.value)) {
    if (store.operation == observation.operation) continue;
    if (store.called_ns > observation.operation->returned_ns) continue;
    const RegisterOperation* overwrite = Overwrite(store, observation);
    if (overwrite == nullptr) return std::nullopt;
    proof += fmt::format("but after it was stored by\n  {}\nit was overwritten by\n  {}\n",
                         store.operation == nullptr ? "the start" : ToString(*store.operation),
                         ToString(*overwrite));
  }
  const bool read = observation.operation->kind == RegisterKind::kRead;
  return RegisterAnomaly{read ? "stale-read" : "stale-cas", std::move(proof)};
}

std::optional<RegisterAnomaly> Anomalies::LostUpdate() const {
  std::map<RegisterValue, Operations> replacing;
  for (const Observation& observation : observations_) {
    const RegisterOperation& operation = *observation.operation;
    if (operation.kind != RegisterKind::kCompareAndSet) continue;
    if (operation.value != operation.expected) replacing[operation.expected].push_back(&operation);
  }
  for (const auto& [value, compares] : replacing) {
    const size_t times = StoresOf(value).size();
    if (compares.size() <= times) continue;
    std::string proof =
        fmt::format("{} was stored {} times but replaced by all of\n", Quoted(value), times);
    for (const RegisterOperation* operation : compares) {
      proof += "  " + ToString(*operation) + "\n";
    }
    return RegisterAnomaly{"lost-update", std::move(proof)};
  }
  return std::nullopt;
}

// Whether the register certainly held what `store` stored from then on until `compare` returned.
bool Anomalies::HeldThroughout(const Store& store, const RegisterOperation& compare) const {
  if (store.returned_ns >= compare.called_ns) return false;
  for (const auto& [value, stores] : stores_) {
    if (value == compare.expected) continue;
    for (const Store& other : stores) {
      if (other.called_ns <= compare.returned_ns && other.returned_ns >= store.called_ns) {
        return false;
      }
    }
  }
  return true;
}

std::optional<RegisterAnomaly> Anomalies::WrongFailure(const RegisterOperation& compare) const {
  for (const Store& store : StoresOf(compare.expected)) {
    if (!HeldThroughout(store, compare)) continue;
    return RegisterAnomaly{
        "cas-failed-wrongly",
        fmt::format("{} was stored by\n  {}\nand not replaced before the end of\n  {}\n",
                    Quoted(compare.expected),
                    store.operation == nullptr ? "the start" : ToString(*store.operation),
                    ToString(compare))};
  }
  return std::nullopt;
}

}  // namespace

std::optional<RegisterAnomaly> NameRegisterAnomaly(const Operations& operations) {
  return Anomalies(operations).First();
}

}  // namespace conclave::checker
