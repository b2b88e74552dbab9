#include "jepsen-style-tests/sim/network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

namespace conclave::sim {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::UnorderedElementsAre;

constexpr End kA = 1;
constexpr End kB = 2;
constexpr Duration kDelayMin = std::chrono::microseconds(50);
constexpr Duration kDelayMax = Milliseconds(1);

std::vector<int> UpTo(int count) {
  std::vector<int> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

class NetworkTest : public ::testing::Test {
 protected:
  // Sends a numbered message from A to B.
  void Send(Carriage carriage, int number) {
    network_.Send(kA, kB, carriage, [this, number] { arrived_.push_back(number); });
  }
  void SendMany(Carriage carriage, int count) {
    for (int i = 0; i < count; ++i) Send(carriage, i);
  }
  void RunFor(Duration duration) { scheduler_.RunUntil(scheduler_.Now() + duration); }

  Scheduler scheduler_;
  Network network_{&scheduler_, {.delay_min = kDelayMin, .delay_max = kDelayMax}, Random(1)};
  std::vector<int> arrived_;
};

// ---- Delays and order. ----

TEST_F(NetworkTest, EverythingArrivesWithinItsDelay) {
  for (const Carriage carriage : {Carriage::kDatagram, Carriage::kOnce, Carriage::kStream}) {
    for (int i = 0; i < 100; ++i) {
      const Instant sent = scheduler_.Now();
      Duration took{};
      network_.Send(kA, kB, carriage, [&] { took = scheduler_.Now() - sent; });
      RunFor(Seconds(1));
      EXPECT_THAT(took, AllOf(Ge(kDelayMin), Le(kDelayMax)));
    }
  }
  EXPECT_EQ(network_.counts().sent, 300u);
}

TEST_F(NetworkTest, AnEqualSeedGivesEqualArrivals) {
  const auto arrivals = [](uint64_t seed) {
    Scheduler scheduler;
    Network network(&scheduler, {.loss_permille = 100, .repeat_permille = 100, .ordered = false},
                    Random(seed));
    std::vector<std::pair<int, Instant>> arrived;
    for (int i = 0; i < 100; ++i) {
      network.Send(kA, kB, Carriage::kDatagram,
                   [&, i] { arrived.emplace_back(i, scheduler.Now()); });
    }
    scheduler.RunUntil(scheduler.Now() + Seconds(1));
    return arrived;
  };
  EXPECT_EQ(arrivals(5), arrivals(5));
  EXPECT_NE(arrivals(5), arrivals(6));
}

TEST_F(NetworkTest, StreamsStayInOrderThoughSomeMessagesAreSlow) {
  network_.set_options({.slow_permille = 300, .slow_max = Seconds(1), .ordered = false});
  SendMany(Carriage::kStream, 200);
  RunFor(Seconds(2));
  EXPECT_EQ(arrived_, UpTo(200));
  EXPECT_EQ(network_.counts().overtaken, 0u);
}

TEST_F(NetworkTest, DatagramsStayInOrderOrAreOvertakenByOption) {
  SendMany(Carriage::kDatagram, 100);
  RunFor(Seconds(1));
  EXPECT_EQ(arrived_, UpTo(100));
  EXPECT_EQ(network_.counts().overtaken, 0u);

  arrived_.clear();
  network_.set_options({.ordered = false});
  SendMany(Carriage::kDatagram, 100);
  RunFor(Seconds(1));
  EXPECT_FALSE(std::is_sorted(arrived_.begin(), arrived_.end()));
  std::sort(arrived_.begin(), arrived_.end());
  EXPECT_EQ(arrived_, UpTo(100));
  EXPECT_GT(network_.counts().overtaken, 0u);
}

TEST_F(NetworkTest, SlowMessagesTakeLonger) {
  network_.set_options({.slow_permille = 1000, .slow_max = Seconds(10), .ordered = false});
  SendMany(Carriage::kDatagram, 50);
  RunFor(Seconds(1));
  EXPECT_LT(arrived_.size(), 20u);
  RunFor(Seconds(9));
  EXPECT_EQ(arrived_.size(), 50u);
}

// ---- Loss and repetition. ----

TEST_F(NetworkTest, DatagramsAreLostByOptionAndStreamsAreNot) {
  network_.set_options({.loss_permille = 300});
  for (const Carriage carriage : {Carriage::kDatagram, Carriage::kOnce}) {
    arrived_.clear();
    const uint64_t lost_before = network_.counts().lost;
    SendMany(carriage, 1000);
    RunFor(Seconds(1));
    const uint64_t lost = network_.counts().lost - lost_before;
    EXPECT_EQ(arrived_.size() + lost, 1000u);
    EXPECT_THAT(lost, AllOf(Ge(200u), Le(400u)));
  }
  arrived_.clear();
  SendMany(Carriage::kStream, 1000);
  RunFor(Seconds(1));
  EXPECT_EQ(arrived_, UpTo(1000));
}

TEST_F(NetworkTest, OnlyDatagramsAreRepeated) {
  network_.set_options({.repeat_permille = 1000});
  Send(Carriage::kDatagram, 1);
  Send(Carriage::kOnce, 2);
  Send(Carriage::kStream, 3);
  RunFor(Seconds(1));
  EXPECT_THAT(arrived_, UnorderedElementsAre(1, 1, 2, 3));
  EXPECT_EQ(network_.counts().repeated, 1u);
}

// ---- Cuts. ----

TEST_F(NetworkTest, ACutHasOneDirection) {
  EXPECT_FALSE(network_.IsCut(kA, kB));
  network_.Cut(kA, kB);
  EXPECT_TRUE(network_.IsCut(kA, kB));
  EXPECT_FALSE(network_.IsCut(kB, kA));
  network_.Send(kB, kA, Carriage::kDatagram, [this] { arrived_.push_back(7); });
  Send(Carriage::kDatagram, 8);
  RunFor(Seconds(1));
  EXPECT_THAT(arrived_, ElementsAre(7));
  network_.Cut(kA, kB);
  network_.Cut(kB, kA);
  EXPECT_TRUE(network_.IsCut(kB, kA));
  network_.Heal(kA, kB);
  EXPECT_FALSE(network_.IsCut(kA, kB));
  EXPECT_TRUE(network_.IsCut(kB, kA));
  network_.HealAll();
  EXPECT_FALSE(network_.IsCut(kB, kA));
}

TEST_F(NetworkTest, DatagramsThatMeetACutVanish) {
  Send(Carriage::kDatagram, 0);  // under way when the link is cut
  network_.Cut(kA, kB);
  Send(Carriage::kOnce, 1);
  RunFor(Seconds(1));
  network_.Heal(kA, kB);
  RunFor(Seconds(1));
  EXPECT_THAT(arrived_, IsEmpty());
  EXPECT_EQ(network_.counts().cut, 2u);
  Send(Carriage::kDatagram, 2);
  RunFor(Seconds(1));
  EXPECT_THAT(arrived_, ElementsAre(2));
}

TEST_F(NetworkTest, AStreamWaitsForTheHealingAndStaysInOrder) {
  Send(Carriage::kStream, 0);
  RunFor(Seconds(1));
  Send(Carriage::kStream, 1);  // under way when the link is cut
  network_.Cut(kA, kB);
  Send(Carriage::kStream, 2);
  RunFor(Seconds(1));
  EXPECT_THAT(arrived_, ElementsAre(0));
  Send(Carriage::kStream, 3);  // under way when it is whole again
  network_.Heal(kA, kB);
  Send(Carriage::kStream, 4);
  EXPECT_THAT(arrived_, ElementsAre(0)) << "also what was held up takes its time";
  RunFor(Seconds(1));
  EXPECT_EQ(arrived_, UpTo(5));
  EXPECT_EQ(network_.counts().cut, 0u);
}

TEST_F(NetworkTest, StreamsStayInOrderThroughEverything) {
  Random random(3);
  int sent = 0;
  for (int round = 0; round < 300; ++round) {
    network_.set_options({.slow_permille = random.Below(500),
                          .slow_max = Milliseconds(200),
                          .loss_permille = 100,
                          .repeat_permille = 100,
                          .ordered = false});
    if (random.OneIn(4)) network_.Cut(kA, kB);
    if (random.OneIn(4)) network_.Heal(kA, kB);
    if (random.OneIn(4)) network_.Clog(kA, kB, scheduler_.Now() + Milliseconds(50));
    for (uint64_t more = random.Below(4); more > 0; --more) Send(Carriage::kStream, sent++);
    RunFor(Milliseconds(static_cast<int64_t>(random.Below(30))));
  }
  network_.HealAll();
  RunFor(Seconds(1));
  EXPECT_EQ(arrived_, UpTo(sent));
}

// ---- Clogs and breaks. ----

TEST_F(NetworkTest, AClogHoldsBackWhatIsSentOneWay) {
  const Instant until = scheduler_.Now() + Seconds(2);
  network_.Clog(kA, kB, until);
  Send(Carriage::kDatagram, 0);
  Send(Carriage::kStream, 1);
  network_.Send(kB, kA, Carriage::kStream, [this] { arrived_.push_back(7); });
  scheduler_.RunUntil(until);
  EXPECT_THAT(arrived_, ElementsAre(7));
  RunFor(kDelayMax);
  EXPECT_THAT(arrived_, UnorderedElementsAre(0, 1, 7));
}

TEST_F(NetworkTest, HealingLiftsAClogForWhatIsSentAfter) {
  network_.set_options({.ordered = false});
  network_.Clog(kA, kB, scheduler_.Now() + Seconds(2));
  network_.Heal(kA, kB);
  SendMany(Carriage::kDatagram, 10);
  RunFor(kDelayMax);
  EXPECT_EQ(arrived_.size(), 10u);
}

}  // namespace
}  // namespace conclave::sim
