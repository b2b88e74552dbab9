#include "jepsen-style-tests/sim/sim_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace conclave::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr End kMember = 1;
constexpr size_t kWindowBytes = 10;

// One member with a service of three methods, and one client.
class SimCallTest : public ::testing::Test {
 protected:
  SimCallTest() {
    methods_.Add({.path = "/test.Echo/Once",
                  .on_request =
                      [](const server::CallRef& call, std::string_view request) {
                        call->SendBytes("re: " + std::string(request));
                        call->Finish(absl::OkStatus());
                      },
                  .on_start = {}});
    methods_.Add({.path = "/test.Echo/Later",
                  .kind = server::MethodKind::kServerStream,
                  .on_request =
                      [this](const server::CallRef& call, std::string_view request) {
                        served_log_.push_back("request " + std::string(request));
                        served_ = call;
                      },
                  .on_start = {}});
    methods_.Add({.path = "/test.Echo/Stream",
                  .kind = server::MethodKind::kBidirectional,
                  .on_request = {},
                  .on_start = [this](const server::CallRef& call) {
                    served_log_.emplace_back("start");
                    served_ = call;
                    call->SetHandler(std::make_unique<Handler>(this));
                  }});
  }
  ~SimCallTest() override { scheduler_.Clear(); }

  // What the service's end of a stream sees.
  class Handler : public server::StreamHandler {
   public:
    explicit Handler(SimCallTest* test) : test_(test) {}
    void OnMessage(std::string_view message) override {
      test_->served_log_.emplace_back(message);
      if (message == "pause") test_->served_->PauseReading();
    }
    void OnWritable() override {
      test_->served_log_.push_back("writable at " + std::to_string(test_->served_->queued_bytes()));
    }
    void OnClosed() override { test_->served_log_.emplace_back("closed"); }

   private:
    SimCallTest* const test_;
  };

  // As World::Call and Member::Accept do it, for a process that is always there.
  std::shared_ptr<ClientCall> Call(const CallRequest& request) {
    auto call = std::make_shared<ClientCall>(
        &network_, kFirstClient, kMember,
        [this](std::function<void()> task) { lane_.Deliver(std::move(task)); },
        ClientCall::Events{
            .message = [this](std::string_view message) { client_log_.emplace_back(message); },
            .end =
                [this](const CallEnd& end) {
                  client_log_.push_back(absl::StatusCodeToString(end.status.code()) +
                                        (end.answered ? ", answered" : ""));
                }});
    network_.Send(kFirstClient, kMember, Carriage::kStream, [this, call, request] {
      lane_.Deliver([this, call, request] {
        ServedCall::Start(methods_, &lane_, &network_, call, request, kWindowBytes);
      });
    });
    return call;
  }
  std::shared_ptr<ClientCall> StartStream() {
    std::shared_ptr<ClientCall> call = Call({.path = "/test.Echo/Stream", .message = {}});
    Run();
    served_log_.clear();
    return call;
  }
  void Run() { scheduler_.RunUntil(scheduler_.Now() + Seconds(1)); }

  Scheduler scheduler_;
  Network network_{&scheduler_,
                   {.slow_permille = 300, .slow_max = Milliseconds(50), .ordered = false},
                   Random(1)};
  MemberLane lane_{
      &scheduler_, {}, {.after_task = [] {}, .ended = [](const ProcessEnded&) { FAIL(); }}};
  server::DispatchTable methods_;
  server::CallRef served_;  // of the methods that do not answer at once
  std::vector<std::string> served_log_;
  std::vector<std::string> client_log_;
};

// ---- One request. ----

TEST_F(SimCallTest, ARequestIsAnswered) {
  const auto call = Call({.path = "/test.Echo/Once", .message = "hello"});
  EXPECT_FALSE(call->over());
  Run();
  EXPECT_THAT(client_log_, ElementsAre("re: hello", "OK, answered"));
  EXPECT_TRUE(call->over());
}

TEST_F(SimCallTest, AnAnswerMayComeLaterAndBeAnError) {
  Call({.path = "/test.Echo/Later", .message = "hello", .has_leader = true});
  Run();
  EXPECT_THAT(served_log_, ElementsAre("request hello"));
  EXPECT_THAT(client_log_, IsEmpty());
  EXPECT_EQ(served_->Metadata("hasleader"), "true");
  EXPECT_EQ(served_->Metadata("token"), std::nullopt);
  EXPECT_EQ(served_->deadline(), kNever);
  EXPECT_TRUE(served_->open());

  served_->SendBytes("one");
  served_->SendBytes("two");
  served_->Finish(absl::NotFoundError("no such thing"));
  EXPECT_FALSE(served_->open());
  served_->SendBytes("too late");
  served_->Finish(absl::OkStatus());
  Run();
  EXPECT_THAT(client_log_, ElementsAre("one", "two", "NOT_FOUND, answered"));
}

TEST_F(SimCallTest, NoMetadataThatWasNotSent) {
  Call({.path = "/test.Echo/Later", .message = {}});
  Run();
  EXPECT_EQ(served_->Metadata("hasleader"), std::nullopt);
}

// ---- Streams. ----

TEST_F(SimCallTest, MessagesTravelInOrderBothWays) {
  const auto call = StartStream();
  std::vector<std::string> sent;
  for (int i = 0; i < 50; ++i) {
    sent.push_back(std::to_string(i));
    call->Send(sent.back());
    served_->SendBytes(sent.back());
  }
  Run();
  std::erase_if(served_log_, [](const std::string& line) { return line.starts_with("writable"); });
  EXPECT_EQ(served_log_, sent);
  EXPECT_EQ(client_log_, sent);
}

TEST_F(SimCallTest, AFinishedStreamIsClosedAfterTheFinish) {
  const auto call = StartStream();
  served_->SendBytes("last");
  served_->Finish(absl::OkStatus());
  EXPECT_THAT(served_log_, IsEmpty()) << "never closed from within Finish";
  call->Send("ignored");
  Run();
  call->Send("ignored");
  Run();
  EXPECT_THAT(client_log_, ElementsAre("last", "OK, answered"));
  EXPECT_THAT(served_log_, ElementsAre("closed"));
}

TEST_F(SimCallTest, ACancelledStreamIsClosedAtTheServer) {
  const auto call = StartStream();
  call->Send("before");
  served_->SendBytes("under way");
  call->Cancel();
  call->Cancel();
  call->Send("after");
  EXPECT_TRUE(call->over());
  EXPECT_TRUE(served_->open()) << "it takes a while to get there";
  Run();
  EXPECT_FALSE(served_->open());
  served_->SendBytes("ignored");
  served_->Finish(absl::OkStatus());
  Run();
  EXPECT_THAT(served_log_, ElementsAre("before", "closed"));
  EXPECT_THAT(client_log_, IsEmpty());
}

// ---- The window. ----

TEST_F(SimCallTest, AFullWindowBlocksUntilHalfOfItIsFree) {
  const auto call = StartStream();
  call->PauseReading();
  served_->SendBytes("four");
  served_->SendBytes("4444");
  EXPECT_TRUE(served_->Writable());
  served_->SendBytes("IIII");
  EXPECT_FALSE(served_->Writable());
  EXPECT_EQ(served_->queued_bytes(), 12u);
  Run();
  EXPECT_FALSE(served_->Writable()) << "arrived, but not taken";
  EXPECT_THAT(served_log_, IsEmpty());

  call->ResumeReading();
  EXPECT_THAT(client_log_, ElementsAre("four", "4444", "IIII"));
  Run();
  // Taken one by one: 12, 8, 4.
  EXPECT_THAT(served_log_, ElementsAre("writable at 4"));
  EXPECT_TRUE(served_->Writable());
  EXPECT_EQ(served_->queued_bytes(), 0u);
}

TEST_F(SimCallTest, NobodyIsToldOfAWindowThatNeverWasFull) {
  StartStream();
  served_->SendBytes("123456789");
  Run();
  EXPECT_EQ(served_->queued_bytes(), 0u);
  EXPECT_THAT(served_log_, IsEmpty());
}

TEST_F(SimCallTest, AFinishedStreamIsNotTold) {
  StartStream();
  served_->SendBytes("more than the window");
  served_->Finish(absl::OkStatus());
  Run();
  EXPECT_THAT(served_log_, ElementsAre("closed"));
}

// ---- Slow readers. ----

TEST_F(SimCallTest, ASlowClientGetsTheEndAfterTheRest) {
  const auto call = StartStream();
  call->PauseReading();
  served_->SendBytes("a");
  served_->SendBytes("b");
  served_->Finish(absl::OkStatus());
  Run();
  EXPECT_THAT(client_log_, IsEmpty());
  EXPECT_FALSE(call->over());
  call->ResumeReading();
  EXPECT_THAT(client_log_, ElementsAre("a", "b", "OK, answered"));
  EXPECT_TRUE(call->over());
}

TEST_F(SimCallTest, ALostConnectionOvertakesWhatIsUnread) {
  const auto call = StartStream();
  call->PauseReading();
  served_->SendBytes("unread");
  Run();
  call->Finish({.status = absl::UnavailableError("connection lost")});
  call->ResumeReading();
  call->Finish({.status = absl::OkStatus(), .answered = true});
  EXPECT_THAT(client_log_, ElementsAre("UNAVAILABLE"));
}

TEST_F(SimCallTest, ASlowServerReadsInOrderAndMayPauseAgain) {
  const auto call = StartStream();
  for (const char* message : {"a", "pause", "b", "pause", "c"}) call->Send(message);
  Run();
  EXPECT_THAT(served_log_, ElementsAre("a", "pause"));
  served_->ResumeReading();
  EXPECT_THAT(served_log_, ElementsAre("a", "pause", "b", "pause"));
  call->Send("d");
  Run();
  EXPECT_EQ(served_log_.size(), 4u);
  served_->ResumeReading();
  EXPECT_THAT(served_log_, ElementsAre("a", "pause", "b", "pause", "c", "d"));
}

TEST_F(SimCallTest, ASlowServerLearnsOfACancelAtOnce) {
  const auto call = StartStream();
  for (const char* message : {"pause", "unread"}) call->Send(message);
  call->Cancel();
  Run();
  EXPECT_THAT(served_log_, ElementsAre("pause", "closed"));
  served_->ResumeReading();
  EXPECT_THAT(served_log_, ElementsAre("pause", "closed"));
}

// ---- The process. ----

TEST_F(SimCallTest, NothingLeavesASilentProcess) {
  const auto call = StartStream();
  served_->SendBytes("before");
  lane_.Silence();
  served_->SendBytes("after");
  served_->Finish(absl::OkStatus());
  call->Send("not read");
  Run();
  EXPECT_THAT(client_log_, ElementsAre("before"));
  EXPECT_THAT(served_log_, IsEmpty());
  EXPECT_FALSE(call->over());
}

TEST_F(SimCallTest, AProcessThatGoesClosesItsCalls) {
  const auto call = StartStream();
  const auto served = std::static_pointer_cast<ServedCall>(std::exchange(served_, nullptr));
  served->Close();
  served->Close();
  EXPECT_FALSE(served->open());
  call->Send("not read");
  Run();
  EXPECT_THAT(served_log_, ElementsAre("closed"));
}

TEST_F(SimCallTest, ACallOfAnEarlierProcessReachesNothingInTheNextOne) {
  const auto call = StartStream();
  std::static_pointer_cast<ServedCall>(served_)->Close();
  served_.reset();
  served_log_.clear();
  call->Send("lost");
  call->Cancel();
  Run();
  EXPECT_THAT(served_log_, IsEmpty());
}

TEST_F(SimCallTest, ARequestThatMeetsAPauseIsServedAfterItWithAllThatFollowed) {
  lane_.Pause();
  const auto call = Call({.path = "/test.Echo/Stream", .message = {}});
  for (const char* message : {"a", "b"}) call->Send(message);
  Run();
  call->Send("c");
  Run();
  EXPECT_THAT(served_log_, IsEmpty());
  lane_.Resume();
  Run();
  EXPECT_THAT(served_log_, ElementsAre("start", "a", "b", "c"));
}

TEST_F(SimCallTest, ACancelThatMeetsAPauseClosesAfterIt) {
  lane_.Pause();
  const auto call = Call({.path = "/test.Echo/Stream", .message = {}});
  call->Send("a");
  call->Cancel();
  Run();
  lane_.Resume();
  Run();
  EXPECT_THAT(served_log_, ElementsAre("start", "a", "closed"));
}

}  // namespace
}  // namespace conclave::sim
