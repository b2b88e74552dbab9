#include "jepsen-style-tests/workload/health.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "raft/base/text.h"

namespace conclave::sim {

namespace {

constexpr Duration kProbeAgain = Milliseconds(100);
constexpr Duration kLookEvery = Milliseconds(100);

}  // namespace

// ---- LivenessProbe. ----

LivenessProbe::LivenessProbe(World* world, History* history, const std::vector<size_t>& members,
                             Random random)
    : world_(world) {
  for (const size_t member : members) {
    SessionOptions options = PatientSession();
    options.first_member = member;
    probed_.push_back(
        {.member = member, .session = std::make_unique<Session>(world, history, options, random)});
  }
  for (Probed& probed : probed_) {
    probes_.push_back(Probe(probed));
    probes_.back().Start();
  }
}

Co<void> LivenessProbe::Probe(Probed& probed) {
  Session& session = *probed.session;
  const std::string key = fmt::format("probe/{}", probed.member);
  while (!probed.served_ns.has_value()) {
    session.GoTo(probed.member);
    const auto put = co_await session.Put(key, session.UniqueValue());
    session.GoTo(probed.member);
    const auto get = co_await session.Get(key);
    if (put.ok() && get.ok()) {
      probed.served_ns = get.returned_ns;
    } else {
      probed.last_error = MessageOf(put.ok() ? get.status : put.status);
      co_await session.Sleep(kProbeAgain);
    }
  }
}

bool LivenessProbe::Waits(const Probed& probed) const {
  return !probed.served_ns.has_value() && world_->Serves(probed.member);
}

bool LivenessProbe::done() const {
  return std::none_of(probed_.begin(), probed_.end(),
                      [this](const Probed& probed) { return Waits(probed); });
}

int64_t LivenessProbe::served_ns() const {
  int64_t last = 0;
  for (const Probed& probed : probed_) last = std::max(last, probed.served_ns.value_or(0));
  return last;
}

std::string LivenessProbe::Unserved() const {
  std::string text;
  for (const Probed& probed : probed_) {
    if (!Waits(probed)) continue;
    text += fmt::format("{}m{}: {}", text.empty() ? "" : "; ", probed.member + 1,
                        probed.last_error.empty() ? "no answer" : probed.last_error);
  }
  return text;
}

// ---- LeaderWatch. ----

LeaderWatch::LeaderWatch(World* world) : world_(world) { LookLater(); }

LeaderWatch::~LeaderWatch() { world_->scheduler().Cancel(next_look_); }

void LeaderWatch::LookLater() {
  next_look_ = world_->scheduler().After(kLookEvery, [this] {
    Look();
    LookLater();
  });
}

void LeaderWatch::Look() {
  Member* const leader = healthy_ ? world_->leader() : nullptr;
  const raft::Term term = leader != nullptr ? leader->node().core().term() : raft::Term();
  if (present_.has_value() && leader != nullptr && term == term_) {
    present_->to_ns = world_->NowNs();
    return;
  }
  Close();
  if (leader == nullptr) return;
  term_ = term;
  present_ = checker::HealthyInterval{world_->NowNs(), world_->NowNs()};
}

void LeaderWatch::End() {
  if (healthy_) Look();
  healthy_ = false;
  Close();
}

void LeaderWatch::Close() {
  if (present_.has_value()) intervals_.push_back(*std::exchange(present_, std::nullopt));
}

}  // namespace conclave::sim
