#include "server/lanes/relayed_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/lanes/relayed_call_test_service.h"

namespace conclave::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(RelayedCallTest, WhatIsSentInATurnIsOneAnswer) {
  call_->SendBytes("one");
  call_->SendBytes("");
  call_->BeginMessage(4);
  call_->SendPart("tw");
  call_->SendPart("o!");
  call_->Finish(absl::NotFoundError("why"));
  EXPECT_EQ(owner_->dirty, 1);
  const RelayedAnswer answer = call_->TakeAnswer();
  RelayedCall::SendTo(*client_, answer.messages);
  EXPECT_THAT(client_->sent(), ElementsAre("one", "", "two!"));
  EXPECT_EQ(answer.status, absl::NotFoundError("why"));
  EXPECT_FALSE(answer.abandoned);
}

TEST_F(RelayedCallTest, NothingGoesOutAfterTheEnd) {
  call_->Finish(absl::OkStatus());
  call_->SendBytes("late");
  call_->BeginMessage(1);
  call_->SendPart("x");
  call_->Finish(absl::AbortedError("late"));
  const RelayedAnswer answer = call_->TakeAnswer();
  EXPECT_THAT(answer.messages, IsEmpty());
  EXPECT_EQ(answer.status, absl::OkStatus());
  EXPECT_FALSE(call_->open());
}

TEST_F(RelayedCallTest, ACallIsAbandonedAlsoAfterItsEnd) {
  call_->Finish(absl::OkStatus());
  (void)call_->TakeAnswer();
  call_->Abandon();
  EXPECT_TRUE(call_->TakeAnswer().abandoned);
  call_->OnClosed();
  call_->Abandon();
  EXPECT_EQ(owner_->dirty, 2) << "nobody is there any more";
}

TEST_F(RelayedCallTest, QueuedIsWhatWasSentAndNotTaken) {
  call_->SendBytes("12345");
  call_->BeginMessage(3);
  call_->SendPart("123");
  EXPECT_EQ(call_->queued_bytes(), 5u + 5 + 5 + 3);
  EXPECT_FALSE(call_->OnTaken(8)) << "nobody waits for room";
  EXPECT_EQ(call_->queued_bytes(), 10u);
}

TEST_F(RelayedCallTest, RoomIsToldOnceTheQueueIsHalfEmpty) {
  Listen();
  call_->SendBytes(std::string(kHighMark, 'x'));
  EXPECT_FALSE(call_->Writable());
  EXPECT_FALSE(call_->OnTaken(kHighMark / 2));
  EXPECT_TRUE(call_->OnTaken(6));
  EXPECT_FALSE(call_->OnTaken(1)) << "once";
  EXPECT_EQ(said_->writable, 0);
  call_->OnRoom();
  EXPECT_EQ(said_->writable, 1);
}

TEST_F(RelayedCallTest, RoomThatWasTakenAgainIsToldLater) {
  Listen();
  call_->SendBytes(std::string(kHighMark, 'x'));
  EXPECT_TRUE(call_->OnTaken(kHighMark + 5));
  call_->SendBytes(std::string(kHighMark, 'y'));  // before it has heard
  call_->OnRoom();
  EXPECT_EQ(said_->writable, 0);
  EXPECT_TRUE(call_->OnTaken(kHighMark));
  call_->OnRoom();
  EXPECT_EQ(said_->writable, 1);
}

TEST_F(RelayedCallTest, WhatWasOnItsWayIsHeldWhileReadingIsPaused) {
  Listen();
  call_->PauseReading();
  EXPECT_EQ(call_->TakeAnswer().reading, RelayedAnswer::Reading::kPaused);
  call_->OnMessage("1");
  call_->OnMessage("2");
  call_->OnHalfClose();
  EXPECT_THAT(said_->messages, IsEmpty());
  call_->ResumeReading();
  EXPECT_THAT(said_->messages, IsEmpty()) << "never from within ResumeReading";
  loop_.RunUntilQuiet();
  EXPECT_THAT(said_->messages, ElementsAre("1", "2"));
  EXPECT_TRUE(said_->half_closed);
  EXPECT_EQ(call_->TakeAnswer().reading, RelayedAnswer::Reading::kResumed);
}

TEST_F(RelayedCallTest, ReadingGoesOnOnlyOnceNothingIsHeld) {
  Listen();
  said_->pause_at = "1";
  call_->PauseReading();
  call_->OnMessage("1");
  call_->OnMessage("2");
  call_->ResumeReading();
  (void)call_->TakeAnswer();
  loop_.RunUntilQuiet();
  EXPECT_THAT(said_->messages, ElementsAre("1"));
  EXPECT_NE(call_->TakeAnswer().reading, RelayedAnswer::Reading::kResumed);
  call_->ResumeReading();
  loop_.RunUntilQuiet();
  EXPECT_THAT(said_->messages, ElementsAre("1", "2"));
  EXPECT_EQ(call_->TakeAnswer().reading, RelayedAnswer::Reading::kResumed);
}

TEST_F(RelayedCallTest, HeldMessagesAreNotOvertaken) {
  EXPECT_THAT(MessagesAroundAResume(), ElementsAre("1", "2"));
}

TEST_F(RelayedCallTest, WhatIsHeldIsCountedUntilItIsDelivered) {
  Listen();
  call_->PauseReading();
  call_->OnMessage("12345");
  call_->OnMessage("12345");
  EXPECT_EQ(owner_->held, 10);
  call_->ResumeReading();
  loop_.RunUntilQuiet();
  EXPECT_EQ(owner_->held, 0);
  EXPECT_THAT(said_->messages, ElementsAre("12345", "12345"));
}

TEST_F(RelayedCallTest, ACallThatWouldHoldTooMuchFails) {
  Listen();
  call_->PauseReading();
  call_->OnMessage("12345");
  call_->OnMessage("123456");
  EXPECT_EQ(owner_->held, 0) << "nobody wants it any more";
  const RelayedAnswer answer = call_->TakeAnswer();
  ASSERT_TRUE(answer.status.has_value());
  EXPECT_TRUE(absl::IsResourceExhausted(*answer.status));
  EXPECT_TRUE(answer.has_handler) << "so that it is told of the end";
  call_->OnMessage("late");
  call_->ResumeReading();
  loop_.RunUntilQuiet();
  EXPECT_THAT(said_->messages, IsEmpty());
}

TEST_F(RelayedCallTest, AClosedCallHoldsNothing) {
  Listen();
  call_->PauseReading();
  call_->OnMessage("12345");
  call_->OnClosed();
  EXPECT_EQ(owner_->held, 0);
}

TEST_F(RelayedCallTest, AClosedCallDeliversNothing) {
  Listen();
  call_->PauseReading();
  call_->OnMessage("held");
  call_->ResumeReading();
  call_->OnClosed();
  loop_.RunUntilQuiet();
  EXPECT_THAT(said_->messages, IsEmpty());
  EXPECT_EQ(said_->closed, 1);
  EXPECT_FALSE(call_->open());
}

}  // namespace
}  // namespace conclave::server
