#include "raft/core/progress.h"

#include <algorithm>
#include <utility>

#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"

namespace conclave::raft {

void InflightWindow::Add(LogIndex last, size_t bytes) {
  CHECK(requests_.empty() || last > requests_.back().last);
  requests_.push_back({last, bytes});
  bytes_ += bytes;
}

void InflightWindow::FreeThrough(LogIndex index) {
  while (!requests_.empty() && requests_.front().last <= index) {
    CHECK(bytes_ >= requests_.front().bytes);
    bytes_ -= requests_.front().bytes;
    requests_.pop_front();
  }
  CHECK(!requests_.empty() || bytes_ == 0);
}

void InflightWindow::Clear() {
  requests_.clear();
  bytes_ = 0;
}

bool InflightWindow::Full(const WindowLimits& limits) const {
  CHECK(limits.appends_max > 0);
  return requests_.size() >= limits.appends_max || bytes_ >= limits.bytes_max;
}

Progress::Progress(LogIndex next) : next_(next) { CHECK(next > LogIndex(0)); }

bool Progress::MaySend(const WindowLimits& limits) const {
  CHECK(next_ > match_);
  if (state_ == State::kSnapshot) return false;
  return state_ == State::kProbe ? !probe_sent_ : !WindowFull(limits);
}

bool Progress::WindowFull(const WindowLimits& limits) const {
  return window_.appends() >= appends_allowed_ || window_.Full(limits);
}

bool Progress::OwesEmpty(const WindowLimits& limits, LogIndex commit) const {
  if (state_ == State::kSnapshot) return false;
  if (state_ == State::kProbe) return !probe_sent_;
  // A closed window stays closed for news of commits too: an unanswering peer must not be sent more
  // without bound.
  const bool commit_is_news = std::min(commit, next_.Prev()) > commit_sent_;
  return stall_probe_ || (commit_is_news && !WindowFull(limits));
}

void Progress::Sent(LogIndex last, size_t bytes, LogIndex commit) {
  CHECK(last >= next_.Prev());
  CHECK(state_ != State::kSnapshot);
  stall_probe_ = false;
  commit_sent_ = std::max(commit_sent_, std::min(commit, last));
  if (state_ == State::kProbe) {
    CHECK(!probe_sent_);
    probe_sent_ = true;
  } else if (last >= next_) {
    window_.Add(last, bytes);
    next_ = last.Next();
    if (SEEDED_BUG(kMatchOnSend)) match_ = last;
  }
}

void Progress::HeartbeatSent(LogIndex leader_last) {
  CHECK(match_ >= match_at_heartbeat_);
  stalled_ = match_ < leader_last && match_ == match_at_heartbeat_;
  match_at_heartbeat_ = match_;
  offer_due_ = state_ == State::kSnapshot;
}

void Progress::HeartbeatAnswered() {
  CHECK(match_at_heartbeat_ <= match_);
  if (state_ == State::kProbe) {
    if (probe_sent_) SIM_REACHED("raft.leader.probe_resent");
    probe_sent_ = false;
  } else if (stalled_ && !SEEDED_BUG(kLostAppendNotResent)) {
    SIM_REACHED("raft.leader.stall_probed");
    stall_probe_ = true;
  }
  stalled_ = false;
}

bool Progress::Accepted(LogIndex index) {
  CHECK(!stall_probe_ || state_ != State::kProbe);
  const bool news = index > match_;
  match_ = std::max(match_, index);
  if (news && appends_allowed_ < std::numeric_limits<size_t>::max()) ++appends_allowed_;
  if (state_ != State::kReplicate && index >= match_) {
    state_ = State::kReplicate;
    next_ = match_.Next();
  }
  next_ = std::max(next_, match_.Next());
  window_.FreeThrough(match_);
  CHECK(next_ > match_);
  CHECK(window_.appends() == 0 || window_.last() < next_);
  return news;
}

bool Progress::Rejected(LogIndex prev, LogIndex retry_after) {
  // What a peer has acknowledged it holds. A refusal of it is older than the acknowledgement, or
  // the peer has lost its disk; that one must not be filled up as if it had never held anything.
  if (prev <= match_ || state_ == State::kSnapshot) return false;
  if (state_ == State::kProbe && prev != next_.Prev()) return false;
  if (state_ == State::kReplicate && !SEEDED_BUG(kRefusedWindowReopened)) {
    SIM_REACHED("raft.leader.window_refused");
    appends_allowed_ = 1;
  }
  Probe(std::max(match_.Next(), std::min(prev, retry_after.Next())));
  CHECK(next_ <= prev);
  return true;
}

void Progress::LogStartsAfter(LogIndex start) {
  if (next_ > start || state_ == State::kSnapshot) return;
  Probe(next_);
  CHECK(window_.appends() == 0);
  state_ = State::kSnapshot;
  offer_due_ = true;
}

bool Progress::TakeOffer() {
  CHECK(state_ == State::kSnapshot);
  return std::exchange(offer_due_, false);
}

void Progress::Forget(LogIndex agree_at_most) {
  CHECK(match_at_heartbeat_ <= match_);
  match_ = LogIndex(0);
  match_at_heartbeat_ = match_;
  Probe(agree_at_most.Next());
}

void Progress::Lost() {
  if (state_ == State::kSnapshot) return;
  // While probing nothing may be known to match yet: the place to ask at stays.
  Probe(state_ == State::kProbe ? next_ : match_.Next());
  probe_sent_ = true;
  CHECK(window_.appends() == 0 && !stall_probe_);
}

void Progress::Probe(LogIndex next) {
  CHECK(next > match_);
  state_ = State::kProbe;
  probe_sent_ = false;
  stall_probe_ = false;
  next_ = next;
  commit_sent_ = std::min(commit_sent_, match_);
  window_.Clear();
}

}  // namespace conclave::raft
