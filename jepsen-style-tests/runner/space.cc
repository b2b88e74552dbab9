#include "jepsen-style-tests/runner/space.h"

#include <fmt/format.h>

#include <algorithm>

#include "jepsen-style-tests/workload/requests.h"
#include "kvstore/errors.h"
#include "raft/base/text.h"

namespace conclave::sim {

namespace {

using etcdserverpb::AlarmMember;
using etcdserverpb::AlarmRequest;

constexpr const char* kKey = "space";
constexpr const char* kFillPrefix = "space/";
constexpr size_t kFillBytes = 128 << 10;
constexpr Duration kPause = Milliseconds(500);
constexpr Duration kAlarmWithin = Seconds(30);

// Any member, each time: one that is cut off knows of no alarm, or lifts none.
SessionOptions Persistent() { return {.choice = MemberChoice::kRandom, .timeout = Seconds(1)}; }

// Asks for the alarms and lifts those for want of space.
Co<void> LiftAlarms(Session& session) {
  const auto alarms = co_await session.Alarm(AlarmRequest());
  if (!alarms.ok()) co_return;
  for (const AlarmMember& alarm : alarms.response.alarms()) {
    if (alarm.alarm() != etcdserverpb::NOSPACE) continue;
    AlarmRequest lift;
    lift.set_action(AlarmRequest::DEACTIVATE);
    lift.set_alarm(alarm.alarm());
    lift.set_memberid(alarm.memberid());
    co_await session.Alarm(lift);
  }
}

size_t AnyOf(const std::vector<size_t>& positions, Random& random) {
  return positions[random.Below(positions.size())];
}

}  // namespace

// ---- AlarmLifter. ----

AlarmLifter::AlarmLifter(World* world, History* history, Random random)
    : session_(world, history, Persistent(), random), work_(Work()) {
  work_.Start();
}

Co<void> AlarmLifter::Work() {
  for (;;) {
    co_await session_.Sleep(kPause);
    co_await LiftAlarms(session_);
  }
}

// ---- SpaceDrill. ----

SpaceDrill::SpaceDrill(World* world, Nemesis* nemesis, History* history, Random random)
    : world_(world),
      nemesis_(nemesis),
      session_(world, history, PatientSession(), random.Stream("session")),
      position_(AnyOf(world->Serving(), random)),
      work_(Work()) {
  work_.Start();
}

SpaceDrill::~SpaceDrill() { nemesis_->EndFull(); }

Co<void> SpaceDrill::Work() {
  world_->Note("the disk of {} fills up", world_->member(position_).name());
  nemesis_->KeepFull(position_);
  co_await AwaitAlarm();
  if (failed_) co_return;
  co_await TryWithoutSpace();
  if (failed_) co_return;

  stage_ = "a put once there is space again";
  nemesis_->EndFull();
  for (;;) {
    co_await LiftAlarms(session_);
    const auto put = co_await session_.Put(kKey, session_.UniqueValue());
    if (put.ok()) co_return;
    co_await session_.Sleep(kPause);
  }
}

Co<void> SpaceDrill::AwaitAlarm() {
  stage_ = "the alarm";
  const Instant deadline = world_->scheduler().Now() + kAlarmWithin;
  while (!AlarmIsKnown()) {
    co_await session_.Sleep(kPause);
    if (world_->scheduler().Now() < deadline) continue;
    world_->Report(fmt::format("space: no alarm: of {}, whose disk is full",
                               world_->member(position_).name()));
    failed_ = true;
    co_return;
  }
}

bool SpaceDrill::AlarmIsKnown() const {
  const uint64_t full = world_->member(position_).id().value();
  for (const size_t i : world_->Members()) {
    Member& member = world_->member(i);
    if (i == position_ || !member.running()) continue;
    const std::vector<AlarmMember> alarms = member.store().Alarms();
    const bool knows = std::any_of(alarms.begin(), alarms.end(), [full](const AlarmMember& alarm) {
      return alarm.memberid() == full && alarm.alarm() == etcdserverpb::NOSPACE;
    });
    if (!knows) return false;
  }
  return true;
}

Co<void> SpaceDrill::TryWithoutSpace() {
  const std::vector<size_t> serving = world_->Serving();
  const auto other = std::find_if(serving.begin(), serving.end(),
                                  [this](size_t position) { return position != position_; });
  session_.GoTo(other != serving.end() ? *other : position_);
  stage_ = "the refusal of a put";
  for (;;) {
    const auto put = co_await session_.Put(kKey, session_.UniqueValue());
    if (put.status == kv::ErrNoSpace()) break;
    if (put.ok()) {
      world_->Report("space: put taken: while a member is out of space");
      failed_ = true;
      co_return;
    }
    co_await session_.Sleep(kPause);
  }
  stage_ = "a delete and a read without space";
  for (;;) {
    const auto removal = co_await session_.Delete(kKey);
    if (removal.status == kv::ErrNoSpace()) {
      world_->Report("space: delete refused: while a member is out of space");
      failed_ = true;
      co_return;
    }
    const auto read = co_await session_.Get(kKey);
    if (removal.ok() && read.ok()) co_return;
    co_await session_.Sleep(kPause);
  }
}

// ---- QuotaDrill. ----

QuotaDrill::QuotaDrill(World* world, History* history, Random random)
    : world_(world),
      session_(world, history, PatientSession(), random),
      quota_(world->options().member.node.space.quota_bytes),
      work_(Work()) {
  work_.Start();
}

Co<void> QuotaDrill::Work() {
  co_await Fill();
  if (failed_) co_return;
  co_await GiveBack();
  stage_ = "a put once there is room again";
  for (;;) {
    const auto put = co_await session_.Put(kKey, session_.UniqueValue());
    if (put.ok()) co_return;
    co_await session_.Sleep(kPause);
  }
}

Co<void> QuotaDrill::Fill() {
  world_->Note("the store is filled to its quota");
  stage_ = "the refusal of a put over the quota";
  for (uint64_t i = 0;; ++i) {
    const auto put = co_await session_.Put(fmt::format("{}{}", kFillPrefix, i),
                                           std::string(kFillBytes, 'q') + session_.UniqueValue());
    if (put.status == kv::ErrNoSpace()) co_return;
    if (!put.ok()) co_await session_.Sleep(kPause);
    if (!QuotaIsPassed()) continue;
    world_->Report("space: quota passed: by a put that was not refused");
    failed_ = true;
    co_return;
  }
}

// By more than what was under way when its last part was taken.
bool QuotaDrill::QuotaIsPassed() const {
  const std::vector<size_t> members = world_->Members();
  return std::any_of(members.begin(), members.end(), [this](size_t position) {
    Member& member = world_->member(position);
    return member.running() && member.store().KeptBytes() > quota_ + 4 * kFillBytes;
  });
}

Co<void> QuotaDrill::GiveBack() {
  stage_ = "the end of what filled it";
  etcdserverpb::DeleteRangeRequest removal;
  removal.set_key(kFillPrefix);
  removal.set_range_end(PrefixEnd(kFillPrefix));
  for (;;) {
    const auto removed = co_await session_.DeleteRange(removal);
    if (removed.ok()) {
      const auto compacted =
          co_await session_.Compact(removed.response.header().revision(), /*physical=*/false);
      if (compacted.ok() || compacted.status == kv::ErrCompacted()) co_return;
    }
    co_await session_.Sleep(kPause);
  }
}

}  // namespace conclave::sim
