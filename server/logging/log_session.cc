#include "server/logging/log_session.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <utility>

#include "raft/base/check.h"
#include "server/logging/log_record.h"
#include "spdlog/async_logger.h"
#include "spdlog/details/thread_pool.h"
#include "spdlog/sinks/sink.h"

namespace conclave::server {
namespace {

constexpr std::array<std::string_view, 6> kLevelNames = {"debug", "info",  "warn",
                                                         "error", "panic", "fatal"};
constexpr Duration kLastFlushLimit = Seconds(2);

// A record that is no line but asks for an answer once everything before it is written: this byte,
// where lines have their level, and a number in the machine's order.
constexpr char kTicketMark = '\x7f';

std::atomic<LogSession*> current_session{nullptr};

// The writing end, on the log's own thread: formats records and hands the lines to all outputs.
class RecordSink : public spdlog::sinks::sink {
 public:
  using Overruns = std::function<uint64_t()>;

  RecordSink(LineFormat format, std::vector<std::unique_ptr<LogOutput>> outputs)
      : format_(format), outputs_(std::move(outputs)) {}

  void CountOverrunsBy(Overruns overruns) { overruns_ = std::move(overruns); }

  void log(const spdlog::details::log_msg& message) override {
    const std::string_view record(message.payload.data(), message.payload.size());
    // The oldest records are the ones dropped, so there is always a later one to tell of them with.
    if (const uint64_t overruns = overruns_(); overruns > reported_) {
      RecordBuffer report;
      EncodeRecord(LogLevel::kWarn, "dropped log lines: the outputs are too slow",
                   {{"count", overruns - reported_}}, report);
      reported_ = overruns;
      Write({report.data(), report.size()}, message.time);
    }
    if (record.front() == kTicketMark) return Answer(record.substr(1));
    Write(record, message.time);
  }

  // The next ticket, as a record; and whether it is answered in time.
  std::pair<uint64_t, std::string> TakeTicket() {
    std::lock_guard lock(mutex_);
    const uint64_t ticket = ++tickets_taken_;
    std::string record(1 + sizeof(ticket), kTicketMark);
    std::memcpy(record.data() + 1, &ticket, sizeof(ticket));
    return {ticket, std::move(record)};
  }
  bool WaitForAnswer(uint64_t ticket, Duration limit) {
    std::unique_lock lock(mutex_);
    return answer_.wait_for(lock, limit, [this, ticket] { return answered_ >= ticket; });
  }

  void flush() override {}  // each line is handed over when it is written
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

 private:
  void Write(std::string_view record, spdlog::log_clock::time_point when) {
    const std::string line = FormatRecord(record, when, format_);
    for (const std::unique_ptr<LogOutput>& output : outputs_) output->Write(line);
  }

  void Answer(std::string_view bytes) {
    uint64_t ticket = 0;
    std::memcpy(&ticket, bytes.data(), sizeof(ticket));
    std::lock_guard lock(mutex_);
    answered_ = std::max(answered_, ticket);
    answer_.notify_all();
  }

  const LineFormat format_;
  const std::vector<std::unique_ptr<LogOutput>> outputs_;
  Overruns overruns_;
  uint64_t reported_ = 0;
  std::mutex mutex_;  // for the two below
  uint64_t tickets_taken_ = 0;
  uint64_t answered_ = 0;  // the latest ticket
  std::condition_variable answer_;
};

void LogCrash(std::string_view what) {
  LogSession* session = current_session.load();
  if (session == nullptr) return;
  Log(LogLevel::kFatal, what);
  session->Flush(kLastFlushLimit);
}

}  // namespace

std::optional<LogLevel> ParseLogLevel(std::string_view name) {
  for (size_t i = 0; i < kLevelNames.size(); ++i) {
    if (kLevelNames[i] == name) return static_cast<LogLevel>(i);
  }
  return std::nullopt;
}

std::string_view LogLevelName(LogLevel level) { return kLevelNames[static_cast<size_t>(level)]; }

// spdlog brings the bounded queue and its thread; what a line looks like and where it goes is ours.
struct LogSession::Backend {
  std::shared_ptr<RecordSink> sink;
  std::shared_ptr<spdlog::async_logger> logger;
  std::shared_ptr<spdlog::details::thread_pool> pool;  // ends first: its thread uses the others

  // The level is in the record; for spdlog all are alike.
  void Post(std::string_view record) {
    logger->log(spdlog::level::info, spdlog::string_view_t(record.data(), record.size()));
  }
};

bool LogEnabled(LogLevel level) {
  const LogSession* session = current_session.load(std::memory_order_acquire);
  return session != nullptr && level >= session->level_;
}

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  const LogSession* session = current_session.load(std::memory_order_acquire);
  if (session == nullptr || level < session->level_) return;
  RecordBuffer record;
  EncodeRecord(level, message, fields, record);
  session->backend_->Post({record.data(), record.size()});
}

absl::StatusOr<std::unique_ptr<LogSession>> LogSession::Start(const LogOptions& options) {
  std::vector<std::unique_ptr<LogOutput>> outputs;
  for (const std::string& name : options.outputs) {
    absl::StatusOr<std::unique_ptr<LogOutput>> output = OpenLogOutput(name);
    if (!output.ok()) return output.status();
    outputs.push_back(*std::move(output));
  }
  return StartOn(options, std::move(outputs));
}

std::unique_ptr<LogSession> LogSession::StartOn(const LogOptions& options,
                                                std::vector<std::unique_ptr<LogOutput>> outputs) {
  std::unique_ptr<LogSession> session(new LogSession(options, std::move(outputs)));
  LogSession* none = nullptr;
  CHECK(current_session.compare_exchange_strong(none, session.get()));
  SetCrashHook(&LogCrash);
  return session;
}

LogSession::LogSession(const LogOptions& options, std::vector<std::unique_ptr<LogOutput>> outputs)
    : level_(options.level), backend_(std::make_unique<Backend>()) {
  backend_->sink = std::make_shared<RecordSink>(
      options.json ? LineFormat::kJson : LineFormat::kHuman, std::move(outputs));
  backend_->pool = std::make_shared<spdlog::details::thread_pool>(options.queue_lines_max, 1);
  // The sink is only called on the pool's thread, which ends before the pool is gone.
  backend_->sink->CountOverrunsBy(
      [pool = backend_->pool.get()] { return uint64_t{pool->overrun_counter()}; });
  backend_->logger = std::make_shared<spdlog::async_logger>(
      "conclave", backend_->sink, backend_->pool, spdlog::async_overflow_policy::overrun_oldest);
}

LogSession::~LogSession() {
  const bool flushed = Flush(kLastFlushLimit);
  SetCrashHook(nullptr);
  current_session.store(nullptr);
  // The pool's thread hangs in an output and cannot be joined: better to leave it behind than to
  // hang as well.
  if (!flushed) static_cast<void>(backend_.release());
}

bool LogSession::Flush(Duration limit) {
  const auto [ticket, record] = backend_->sink->TakeTicket();
  backend_->Post(record);
  return backend_->sink->WaitForAnswer(ticket, limit);
}

uint64_t LogSession::dropped_total() const { return backend_->pool->overrun_counter(); }

}  // namespace conclave::server
