#include "server/lanes/mailbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <limits>
#include <string>
#include <thread>

#include "raft/base/posix_clock.h"
#include "raft/base/posix_executor.h"
#include "server/net/test_loop.h"

namespace conclave::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr size_t kNoBound = std::numeric_limits<size_t>::max();

TEST(MailboxTest, WhatIsHandedOverArrivesInOrderWhenItsTurnComes) {
  TestLoop loop;
  std::vector<std::string> received;
  Mailbox<std::string> mailbox(loop.get(), kNoBound,
                               [&](std::string& item) { received.push_back(item); });
  std::vector<std::string> first = {"a", "b"};
  std::vector<std::string> second = {"c"};
  mailbox.Hand(first, 0);
  mailbox.Hand(second, 0);
  EXPECT_THAT(first, IsEmpty());
  EXPECT_THAT(second, IsEmpty());
  EXPECT_THAT(received, IsEmpty());
  loop.RunUntilQuiet();
  EXPECT_THAT(received, ElementsAre("a", "b", "c"));
}

TEST(MailboxTest, ReceiveTakesItAtOnceAndOnce) {
  TestLoop loop;
  std::vector<int> received;
  Mailbox<int> mailbox(loop.get(), kNoBound, [&](int& item) { received.push_back(item); });
  std::vector<int> items = {1, 2};
  mailbox.Hand(items, 0);
  mailbox.Receive();
  EXPECT_THAT(received, ElementsAre(1, 2));
  loop.RunUntilQuiet();
  EXPECT_THAT(received, ElementsAre(1, 2));
}

TEST(MailboxTest, NothingIsReceivedOnceItIsGone) {
  TestLoop loop;
  int received = 0;
  {
    Mailbox<int> mailbox(loop.get(), kNoBound, [&](int&) { ++received; });
    std::vector<int> items = {1};
    mailbox.Hand(items, 0);
  }
  loop.RunUntilQuiet();
  EXPECT_EQ(received, 0);
}

TEST(OutboxTest, ATurnsItemsGoTogether) {
  TestLoop loop;
  std::vector<int> received;
  Mailbox<int> mailbox(loop.get(), kNoBound, [&](int& item) { received.push_back(item); });
  Outbox<int> outbox(loop.get(), &mailbox);
  outbox.Push(1);
  outbox.Push(2);
  mailbox.Receive();
  EXPECT_THAT(received, IsEmpty()) << "the turn is not over";
  loop.RunUntilQuiet();
  EXPECT_THAT(received, ElementsAre(1, 2));
}

TEST(MailboxTest, BetweenThreadsNothingIsLostOrOvertaken) {
  constexpr int kItems = 200'000;
  TestLoop loop;
  int next = 0;
  Mailbox<int> mailbox(loop.get(), kNoBound, [&](int& item) { EXPECT_EQ(item, next++); });
  PosixExecutor sender("sender");
  sender.Post([&] {
    std::vector<int> items;
    for (int i = 0; i < kItems; ++i) {
      items.push_back(i);
      if (i % 7 == 0) mailbox.Hand(items, 0);
    }
    mailbox.Hand(items, 0);
  });
  EXPECT_TRUE(loop.RunUntil([&] { return next == kItems; }));
}

// Hands over one item of ten bytes after the other.
class Sender {
 public:
  Sender(Mailbox<int>* mailbox, int items) {
    thread_.Post([this, mailbox, items] {
      for (int i = 0; i < items; ++i) {
        std::vector<int> one = {i};
        mailbox->Hand(one, 10);
        ++handed_;
      }
    });
  }
  int handed() const { return handed_; }

 private:
  std::atomic<int> handed_ = 0;
  PosixExecutor thread_{"sender"};
};

TEST(MailboxTest, ASenderThatIsAheadWaitsForTheReceiver) {
  TestLoop loop;
  int received = 0;
  Mailbox<int> mailbox(loop.get(), 30, [&](int&) { ++received; });
  Sender sender(&mailbox, 1000);
  // No turn is taken: it stops where the bound is.
  while (sender.handed() < 3) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(sender.handed(), 3);
  EXPECT_TRUE(loop.RunUntil([&] { return received == 1000; }));
}

TEST(MailboxTest, OnceUnboundNobodyWaits) {
  TestLoop loop;
  int received = 0;
  Mailbox<int> mailbox(loop.get(), 30, [&](int&) { ++received; });
  {
    Sender sender(&mailbox, 1000);
    while (sender.handed() < 3) std::this_thread::yield();
    mailbox.Unbound();
  }  // waits for the thread
  EXPECT_EQ(received, 0);
  mailbox.Receive();
  EXPECT_EQ(received, 1000);
}

}  // namespace
}  // namespace conclave::server
