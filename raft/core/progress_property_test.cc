// A leader's view of one peer against the peer itself, over a network that loses, repeats and
// reorders: what is called a match must be held, the window must be what is really unanswered, and
// in the end everything must arrive.
#include "raft/core/progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <vector>

#include "fmt/format.h"
#include "raft/base/random.h"

namespace conclave::raft {
namespace {

constexpr size_t kEntryBytes = 10;

struct Request {
  LogIndex prev;
  LogIndex last;
};

struct Answer {
  bool heartbeat = false;
  bool accepted = false;
  LogIndex index;  // accepted: held up to here; else the request's prev
  LogIndex hint;
};

class PeerModel {
 public:
  explicit PeerModel(uint64_t seed)
      : random_(seed),
        limits_{.appends_max = random_.Between(1, 5), .bytes_max = random_.Between(1, 12) * 10},
        last_(random_.Between(0, 20)),
        held_(random_.Below(last_.value() + 1)),
        progress_(last_.Next()) {}

  void OneEvent() {
    switch (random_.Below(9)) {
      case 0:
        last_ = last_ + random_.Below(4);
        break;
      case 1:
      case 2:
        SendAll();
        break;
      case 3:
      case 4:
        DeliverRequest(AnyPlace(requests_));
        break;
      case 5:
      case 6:
        DeliverAnswer(AnyPlace(answers_));
        break;
      case 7:
        Disturb();
        break;
      default:
        Heartbeat();
    }
    Check();
  }

  // Nothing is lost any more.
  void Recover() {
    for (int beat = 0; beat < 100 && progress_.match() < last_; ++beat) {
      Heartbeat();
      for (int step = 0; step < 50; ++step) {
        SendAll();
        DeliverRequest(0);
        DeliverAnswer(0);
        Check();
      }
    }
    EXPECT_EQ(progress_.match(), last_);
    EXPECT_EQ(held_, last_);
    EXPECT_EQ(progress_.window().appends(), 0u);
  }

 private:
  template <typename Queue>
  size_t AnyPlace(const Queue& queue) {
    return queue.empty() || !random_.OneIn(4) ? 0 : random_.Below(queue.size());
  }

  void SendAll() {
    while (progress_.next() <= last_ && progress_.MaySend(limits_)) Send(random_.Between(1, 3));
    if (progress_.OwesEmpty(limits_, LogIndex(0))) Send(0);
  }

  void Send(uint64_t entries_max) {
    const LogIndex prev = progress_.next().Prev();
    const LogIndex last = std::min(last_, prev + entries_max);
    const bool windowed = progress_.state() == Progress::State::kReplicate && last > prev;
    requests_.push_back({prev, last});
    progress_.Sent(last, (last - prev) * kEntryBytes, LogIndex(0));
    if (windowed) unanswered_.push_back({prev, last});
  }

  // The peer: takes what follows what it holds.
  void DeliverRequest(size_t place) {
    if (place >= requests_.size()) return;
    const Request request = requests_[place];
    if (!random_.OneIn(10)) {  // else it will come again
      requests_.erase(requests_.begin() + static_cast<ptrdiff_t>(place));
    }
    if (request.prev > held_) {
      answers_.push_back({.accepted = false, .index = request.prev, .hint = held_});
      return;
    }
    held_ = std::max(held_, request.last);
    answers_.push_back({.accepted = true, .index = request.last, .hint = {}});
  }

  void DeliverAnswer(size_t place) {
    if (place >= answers_.size()) return;
    const Answer answer = answers_[place];
    answers_.erase(answers_.begin() + static_cast<ptrdiff_t>(place));
    if (answer.heartbeat) return progress_.HeartbeatAnswered();
    const LogIndex before = progress_.match();
    if (answer.accepted) {
      EXPECT_EQ(progress_.Accepted(answer.index), answer.index > before);
    } else if (progress_.Rejected(answer.index, answer.hint)) {
      unanswered_.clear();
    }
    EXPECT_GE(progress_.match(), before) << "what was acknowledged is never taken back";
  }

  void Heartbeat() {
    progress_.HeartbeatSent(last_);
    answers_.push_back({.heartbeat = true, .accepted = false, .index = {}, .hint = {}});
  }

  void Disturb() {
    if (random_.OneIn(3)) {
      progress_.Lost();
      unanswered_.clear();
      requests_.clear();
    } else if (!requests_.empty()) {
      requests_.erase(requests_.begin() + static_cast<ptrdiff_t>(AnyPlace(requests_)));
    } else if (!answers_.empty()) {
      answers_.erase(answers_.begin() + static_cast<ptrdiff_t>(AnyPlace(answers_)));
    }
  }

  void Check() {
    ASSERT_LE(progress_.match(), held_) << "a match that the peer does not hold";
    ASSERT_GT(progress_.next(), progress_.match());
    ASSERT_LE(progress_.next(), last_.Next());
    const LogIndex match = progress_.match();
    std::erase_if(unanswered_, [&](const Request& request) { return request.last <= match; });
    size_t bytes = 0;
    for (const Request& request : unanswered_) bytes += (request.last - request.prev) * kEntryBytes;
    ASSERT_EQ(progress_.window().appends(), unanswered_.size());
    ASSERT_EQ(progress_.window().bytes(), bytes);
    ASSERT_LE(unanswered_.size(), limits_.appends_max);
    if (progress_.state() == Progress::State::kProbe) {
      ASSERT_TRUE(unanswered_.empty()) << "a probe is one request at a time";
    }
    if (!unanswered_.empty()) {
      const Request& newest = unanswered_.back();
      ASSERT_LT(bytes - (newest.last - newest.prev) * kEntryBytes, limits_.bytes_max)
          << "only the newest may pass the bound";
    }
  }

  Random random_;
  const WindowLimits limits_;
  LogIndex last_;  // of the leader's log
  LogIndex held_;  // by the peer, and matching
  Progress progress_;
  std::deque<Request> requests_;  // on their way
  std::deque<Answer> answers_;    // on their way back
  std::vector<Request> unanswered_;
};

TEST(ProgressPropertyTest, TheLeaderNeverKnowsMoreThanIsTrueAndEverythingArrives) {
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    PeerModel model(seed);
    for (int event = 0; event < 150 && !testing::Test::HasFailure(); ++event) model.OneEvent();
    ASSERT_FALSE(testing::Test::HasFailure());
    model.Recover();
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

}  // namespace
}  // namespace conclave::raft
