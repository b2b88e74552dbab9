#include "server/logging/log_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <latch>
#include <memory>
#include <mutex>
#include <thread>

#include "raft/base/check.h"

namespace conclave::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What came out; shared with the output, which belongs to the session.
class Lines {
 public:
  void Add(std::string_view line) {
    std::lock_guard lock(mutex_);
    lines_.emplace_back(line);
    added_.notify_all();
  }
  std::vector<std::string> all() {
    std::lock_guard lock(mutex_);
    return lines_;
  }
  void WaitForSize(size_t size) {
    std::unique_lock lock(mutex_);
    added_.wait(lock, [this, size] { return lines_.size() >= size; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable added_;
  std::vector<std::string> lines_;
};

class CollectingOutput : public LogOutput {
 public:
  explicit CollectingOutput(std::shared_ptr<Lines> lines) : lines_(std::move(lines)) {}
  void Write(std::string_view line) override { lines_->Add(line); }

 private:
  std::shared_ptr<Lines> lines_;
};

// As the disk that stops answering: writes begin and do not end until released.
class HangingOutput : public LogOutput {
 public:
  struct Gate {
    std::latch reached{1};
    std::latch released{1};
  };
  HangingOutput(std::shared_ptr<Gate> gate, std::shared_ptr<Lines> lines)
      : gate_(std::move(gate)), lines_(std::move(lines)) {}
  void Write(std::string_view line) override {
    if (!gate_->reached.try_wait()) gate_->reached.count_down();
    gate_->released.wait();
    lines_->Add(line);
  }

 private:
  std::shared_ptr<Gate> gate_;
  std::shared_ptr<Lines> lines_;
};

std::vector<std::unique_ptr<LogOutput>> One(std::unique_ptr<LogOutput> output) {
  std::vector<std::unique_ptr<LogOutput>> outputs;
  outputs.push_back(std::move(output));
  return outputs;
}

TEST(LogSessionTest, LinesAreWrittenInOrderUntilTheEnd) {
  const auto lines = std::make_shared<Lines>();
  {
    const auto session = LogSession::StartOn({}, One(std::make_unique<CollectingOutput>(lines)));
    Log(LogLevel::kInfo, "first", {{"n", 1}});
    Log(LogLevel::kError, "second");
  }
  EXPECT_THAT(lines->all(),
              ElementsAre(HasSubstr("INFO  first n=1\n"), HasSubstr("ERROR second\n")));
}

TEST(LogSessionTest, LevelsBelowTheSetOneAreLeftOut) {
  const auto lines = std::make_shared<Lines>();
  const auto session = LogSession::StartOn({.level = LogLevel::kWarn},
                                           One(std::make_unique<CollectingOutput>(lines)));
  EXPECT_FALSE(LogEnabled(LogLevel::kInfo));
  EXPECT_TRUE(LogEnabled(LogLevel::kWarn));
  Log(LogLevel::kDebug, "a");
  Log(LogLevel::kInfo, "b");
  Log(LogLevel::kWarn, "c");
  ASSERT_TRUE(session->Flush(Seconds(20)));
  EXPECT_THAT(lines->all(), ElementsAre(HasSubstr("WARN  c")));
}

TEST(LogSessionTest, EveryOutputGetsEveryLineInTheChosenFormat) {
  const auto first = std::make_shared<Lines>();
  const auto second = std::make_shared<Lines>();
  std::vector<std::unique_ptr<LogOutput>> outputs;
  outputs.push_back(std::make_unique<CollectingOutput>(first));
  outputs.push_back(std::make_unique<CollectingOutput>(second));
  const auto session = LogSession::StartOn({.json = true}, std::move(outputs));
  Log(LogLevel::kInfo, "hello");
  ASSERT_TRUE(session->Flush(Seconds(20)));
  EXPECT_THAT(first->all(), ElementsAre(HasSubstr("\"msg\":\"hello\"")));
  EXPECT_EQ(first->all(), second->all());
}

TEST(LogSessionTest, WithoutASessionLinesGoNowhere) {
  EXPECT_FALSE(LogEnabled(LogLevel::kFatal));
  Log(LogLevel::kFatal, "nobody hears");
}

// The request path never waits for a sink: with the output hanging, ten queues' worth of lines go
// by at once.
TEST(LogSessionTest, AHangingOutputDelaysNobodyAndTheLossIsCounted) {
  const auto lines = std::make_shared<Lines>();
  const auto gate = std::make_shared<HangingOutput::Gate>();
  const auto session = LogSession::StartOn({.queue_lines_max = 100},
                                           One(std::make_unique<HangingOutput>(gate, lines)));
  Log(LogLevel::kInfo, "first");
  gate->reached.wait();
  for (int i = 0; i < 1000; ++i) Log(LogLevel::kInfo, "line", {{"i", i}});
  EXPECT_EQ(session->dropped_total(), 900u);
  gate->released.count_down();
  lines->WaitForSize(102);
  const std::vector<std::string> all = lines->all();
  EXPECT_THAT(all[0], HasSubstr("first"));
  EXPECT_THAT(all[1], HasSubstr("dropped log lines: the outputs are too slow count=900"));
  EXPECT_THAT(all[2], HasSubstr("line i=900"));
  EXPECT_THAT(all[101], HasSubstr("line i=999"));
}

TEST(LogSessionTest, AFlushWaitsNoLongerThanItsLimit) {
  const auto lines = std::make_shared<Lines>();
  const auto gate = std::make_shared<HangingOutput::Gate>();
  const auto session = LogSession::StartOn({}, One(std::make_unique<HangingOutput>(gate, lines)));
  Log(LogLevel::kInfo, "first");
  EXPECT_FALSE(session->Flush(Milliseconds(10)));
  gate->released.count_down();
  EXPECT_TRUE(session->Flush(Seconds(20)));
  EXPECT_THAT(lines->all(), ElementsAre(HasSubstr("first")));
}

TEST(LogSessionTest, ThreadsMayLogAtOnce) {
  const auto lines = std::make_shared<Lines>();
  const auto session = LogSession::StartOn({}, One(std::make_unique<CollectingOutput>(lines)));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 200; ++i) Log(LogLevel::kInfo, "line", {{"t", t}, {"i", i}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(session->Flush(Seconds(20)));
  EXPECT_EQ(lines->all().size(), 800u);
}

TEST(LogSessionTest, AnOutputThatCannotBeOpenedFailsTheStart) {
  EXPECT_EQ(LogSession::Start({.outputs = {"stderr", "/nowhere/at/all"}}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(LogEnabled(LogLevel::kFatal));
}

TEST(LogSessionDeathTest, ACrashIsLoggedBeforeTheProcessEnds) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        const auto session = *LogSession::Start({.json = true, .outputs = {"stderr"}});
        Log(LogLevel::kInfo, "before");
        Fatal("the disk lied");
      },
      ::testing::ExitedWithCode(1),
      "\"msg\":\"before\"(.|\n)*\"level\":\"fatal\",\"msg\":\"fatal: the disk lied\"");
}

TEST(LogLevelTest, NamesAreThoseOfEtcd) {
  for (const char* name : {"debug", "info", "warn", "error", "panic", "fatal"}) {
    ASSERT_TRUE(ParseLogLevel(name).has_value());
    EXPECT_EQ(LogLevelName(*ParseLogLevel(name)), name);
  }
  EXPECT_FALSE(ParseLogLevel("loud").has_value());
}

}  // namespace
}  // namespace conclave::server
