#include "server/stages/auto_compactor.h"

#include <algorithm>
#include <string>

#include "kvstore/errors.h"
#include "kvstore/proto/rpc.pb.h"

namespace conclave::server {

namespace {

constexpr Duration kLongestBetweenCompactions = Seconds(3600);
constexpr int kTicksPerCompaction = 10;
// A period of nanoseconds must not become a busy loop.
constexpr Duration kShortestBetweenTicks = Milliseconds(10);
constexpr Duration kBetweenCountings = Seconds(300);

bool ByTime(const AutoCompactorOptions& options) { return options.period > Duration::zero(); }

Duration BetweenCompactions(const AutoCompactorOptions& options) {
  return ByTime(options) ? std::min(options.period, kLongestBetweenCompactions) : kBetweenCountings;
}

Duration BetweenTicks(const AutoCompactorOptions& options) {
  if (!ByTime(options)) return kBetweenCountings;
  return std::max(BetweenCompactions(options) / kTicksPerCompaction, kShortestBetweenTicks);
}

}  // namespace

AutoCompactor::AutoCompactor(const AutoCompactorOptions& options, Executor* lane,
                             const kv::History* history, Proposer* proposer)
    : options_(options),
      between_compactions_(BetweenCompactions(options)),
      between_ticks_(BetweenTicks(options)),
      lane_(lane),
      history_(history),
      proposer_(proposer) {}

AutoCompactor::~AutoCompactor() {
  if (timer_ != 0) lane_->CancelTimer(timer_);
}

void AutoCompactor::Start() {
  if (!ByTime(options_) && options_.revisions <= 0) return;
  if (ByTime(options_)) TakeSample();
  timer_ = lane_->RunAt(lane_->Now() + between_ticks_, [this] { Tick(); });
}

void AutoCompactor::OnRoleChange(const raft::RoleChange& change) {
  leading_ = change.role == raft::RoleName::kLeader;
  term_ = change.term;
}

void AutoCompactor::Tick() {
  const Instant now = lane_->Now();
  timer_ = lane_->RunAt(now + between_ticks_, [this] { Tick(); });
  // Followers take samples too: one that is elected knows its past, and as it lags it can only keep
  // more.
  if (ByTime(options_)) TakeSample();
  if (!leading_ || compacting_ || now < next_compaction_) return;
  const int64_t target = Target();
  if (target <= 0 || target <= history_->compact_revision()) return;
  Compact(target);
}

void AutoCompactor::TakeSample() {
  const Instant now = lane_->Now();
  // While nothing is written the first sample of a revision says it all.
  if (samples_.empty() || samples_.back().revision != history_->revision()) {
    samples_.push_back({now, history_->revision()});
  }
  while (samples_.size() > 1 && samples_[1].at + options_.period <= now) samples_.pop_front();
}

int64_t AutoCompactor::Target() const {
  if (!ByTime(options_)) return history_->revision() - options_.revisions;
  const Sample& oldest = samples_.front();
  return oldest.at + options_.period <= lane_->Now() ? oldest.revision : 0;
}

void AutoCompactor::Compact(int64_t revision) {
  etcdserverpb::CompactionRequest request;
  request.set_revision(revision);
  compacting_ = true;
  // Counted from the decision, not from its answer, so that the rhythm holds.
  next_compaction_ = lane_->Now() + between_compactions_;
  proposer_->ProposeAsLeader(kv::CommandKind::kCompact, request.SerializeAsString(), term_,
                             [this](kv::ApplyResult result) {
                               compacting_ = false;
                               const bool compacted =
                                   result.status.ok() || result.status == kv::ErrCompacted();
                               if (!compacted) next_compaction_ = lane_->Now();
                             });
}

}  // namespace conclave::server
