#include "jepsen-style-tests/workload/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace conclave::sim {

namespace {

// The longest pause after the first error; it doubles with each, up to a bound.
constexpr Duration kBackOff = Milliseconds(500);
constexpr uint64_t kDoublingsMax = 4;

}  // namespace

Workload::Workload(std::string name, World* world, History* history, Random random)
    : name_(std::move(name)), world_(world), history_(history), random_(random) {
  clients_ = random_.Between(1, 8);
  // All clients of a workload together ask 3 to 20 times a second.
  const Duration between_operations = Milliseconds(static_cast<int64_t>(random_.Between(50, 350)));
  think_time_ = between_operations * clients_;
}

std::string Workload::Describe() const {
  return fmt::format("{}: {} clients, think {} ms", name_, clients_, ToMilliseconds(think_time_));
}

bool Workload::idle() const {
  return std::all_of(coroutines_.begin(), coroutines_.end(),
                     [](const Co<void>& coroutine) { return coroutine.done(); });
}

Co<void> Workload::FinalReads(Session& /*session*/) { co_return; }

Co<void> Workload::Think(Session& session) {
  const uint64_t failures = session.failures_on_end();
  Duration longest = 2 * think_time_;
  if (failures > 0) longest += kBackOff * (1 << std::min(failures - 1, kDoublingsMax));
  return session.SleepUpTo(longest);
}

Session& Workload::NewSession() { return NewSession(DrawSessionOptions(*world_, random_)); }

Session& Workload::NewSession(const SessionOptions& options) {
  const Random stream = random_.Stream(fmt::format("session {}", sessions_.size()));
  return *sessions_.emplace_back(std::make_unique<Session>(world_, history_, options, stream));
}

void Workload::Spawn(Co<void> coroutine) {
  coroutines_.push_back(std::move(coroutine));
  coroutines_.back().Start();
}

}  // namespace conclave::sim
