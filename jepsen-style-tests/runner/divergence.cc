#include "jepsen-style-tests/runner/divergence.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace conclave::sim {

namespace {

constexpr const char* kKey = "divergence";
constexpr Duration kPause = Milliseconds(20);

size_t AnyOf(const std::vector<size_t>& positions, Random random) {
  return positions[random.Below(positions.size())];
}

}  // namespace

DivergenceDrill::DivergenceDrill(World* world, History* history, Duration fenced_within,
                                 Random random)
    : world_(world),
      fenced_within_(fenced_within),
      session_(world, history, PatientSession(), random.Stream("session")),
      reader_(world, history, PatientSession(), random.Stream("reader")),
      position_(AnyOf(world->Serving(), random.Stream("member"))),
      work_(Work()) {
  work_.Start();
}

bool DivergenceDrill::IsFenced() const {
  Member& member = world_->member(position_);
  return member.running() && member.node().fenced();
}

Co<void> DivergenceDrill::Work() {
  co_await Diverge();
  co_await AwaitFence();
  if (failed_) co_return;
  co_await TryToRead();
  if (failed_) co_return;
  co_await AwaitRebuild();
  stage_ = "a put at the member whose state was wrong";
  for (;;) {
    reader_.GoTo(position_);
    const auto put = co_await reader_.Put(kKey, reader_.UniqueValue());
    if (put.ok()) co_return;
    co_await reader_.Sleep(kPause);
  }
}

Co<void> DivergenceDrill::Diverge() {
  Member& member = world_->member(position_);
  world_->Note("{} is to spoil a put", member.name());
  stage_ = "a put that is spoilt";
  world_->ExpectDivergence(member.id());
  member.SpoilNextPut();
  const std::vector<size_t> serving = world_->Serving();
  const auto other = std::find_if(serving.begin(), serving.end(),
                                  [this](size_t position) { return position != position_; });
  // Not until its state is wrong: that may be over between two looks.
  while (member.spoils_next_put()) {
    session_.GoTo(*other);
    co_await session_.Put(kKey, session_.UniqueValue());
    if (member.spoils_next_put()) co_await session_.Sleep(kPause);
  }
}

Co<void> DivergenceDrill::AwaitFence() {
  stage_ = "the fence";
  const Instant deadline = world_->scheduler().Now() + fenced_within_;
  while (!IsFenced()) {
    if (!world_->member(position_).state_is_wrong()) co_return;  // and is right again already
    if (world_->scheduler().Now() > deadline) {
      world_->Report(
          fmt::format("integrity: not fenced: {}, whose state is wrong, goes on after "
                      "{:.3g} s",
                      world_->member(position_).name(), ToSeconds(fenced_within_)));
      failed_ = true;
      co_return;
    }
    co_await session_.Sleep(kPause);
  }
}

Co<void> DivergenceDrill::TryToRead() {
  stage_ = "a read that is refused";
  etcdserverpb::RangeRequest range;
  range.set_key(kKey);
  range.set_serializable(true);
  for (int i = 0; i < 5 && IsFenced(); ++i) {
    reader_.GoTo(position_);
    const auto read = co_await reader_.Range(range);
    // It may have been sound when it answered, and fenced again since, by an alarm that came late
    // in the log. What is wrong still has been wrong all the time: nothing is spoiled twice.
    if (read.ok() && IsFenced() && world_->member(position_).state_is_wrong()) {
      world_->Report(fmt::format("integrity: served: {} answers a read from a state that is wrong",
                                 world_->member(position_).name()));
      failed_ = true;
      co_return;
    }
  }
}

Co<void> DivergenceDrill::AwaitRebuild() {
  stage_ = "the state of the others, at the member whose state is wrong";
  const uint64_t id = world_->member(position_).id().value();
  const auto well = [this, id] {
    const std::vector<size_t> members = world_->Members();
    return std::none_of(members.begin(), members.end(), [this, id](size_t position) {
      Member& member = world_->member(position);
      return !member.running() || member.node().fenced() || member.state_is_wrong() ||
             member.store().IsDivergenceAlarmOn(id);
    });
  };
  while (!well()) co_await session_.Sleep(kPause);
}

}  // namespace conclave::sim
