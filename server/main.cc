// The program: reads its settings, opens what is on disk, runs the loop until SIGTERM or SIGINT.
// Start-up errors are one line on standard error and exit status 1.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "raft/base/posix_clock.h"
#include "raft/base/posix_executor.h"
#include "raft/base/posix_file_system.h"
#include "raft/base/text.h"
#include "server/config/command_line.h"
#include "server/join.h"
#include "server/logging/log.h"
#include "server/logging/log_session.h"
#include "server/net/event_loop.h"
#include "server/server.h"
#include "server/storage.h"

extern char** environ;

namespace conclave::server {
namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "conclave: %s\n", std::string(MessageOf(status)).c_str());
  return 1;
}

Environment ReadEnvironment() {
  Environment environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) environment[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return environment;
}

uint64_t SeedFromSystem() {
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) | device();
}

// Ends the loop cleanly on SIGTERM or SIGINT; a second one ends the process at once. The signals
// are blocked in every thread before any is started, so that only the thread that waits here gets
// them.
class StopOnSignal {
 public:
  StopOnSignal() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
  }

  void Start(Executor* lane, Task stop) {
    std::thread([this, lane, stop = std::move(stop)]() mutable {
      int signal = 0;
      sigwait(&signals_, &signal);
      lane->Post(std::move(stop));
      sigwait(&signals_, &signal);
      std::_Exit(128 + signal);
    }).detach();
  }

 private:
  sigset_t signals_;
};

LogOptions LogOptionsOf(const ServerConfig& config) {
  LogOptions options;
  options.level = ParseLogLevel(config.log_level).value_or(LogLevel::kInfo);
  options.json = config.log_format == "json";
  options.outputs = config.log_outputs;
  return options;
}

int Serve(const ServerConfig& config, StopOnSignal& signals) {
  PosixClock clock;
  EventLoop loop(&clock);
  PosixFileSystem file_system({.sync = !config.unsafe_no_fsync});
  const uint64_t seed = SeedFromSystem();

  absl::StatusOr<Storage> storage = OpenStorage(
      file_system, config, [&] { return IdentityOfNewMember(config, &loop, seed); }, &loop, seed);
  if (!storage.ok()) return Fail(storage.status());
  for (const std::string& note : storage->notes) Log(LogLevel::kWarn, note);

  // Before the server, so that it ends after it, and after the storage that it flushes in the
  // background.
  PosixExecutor background("background");
  loop.RunTurn(Duration::zero());  // opening may have taken long: time starts now
  absl::StatusOr<std::unique_ptr<Server>> server;
  bool stopping = false;
  const auto stop = [&] {
    if (std::exchange(stopping, true)) return;
    Log(LogLevel::kInfo, "stopping");
    (*server)->Stop([&] { loop.Stop(); });
  };
  server = Server::Start(config, &loop, &background, &clock, &*storage, seed, stop);
  if (!server.ok()) return Fail(server.status());
  signals.Start(&loop, stop);
  loop.Run();
  server->reset();
  storage->engine->StopWaitingForSpace();
  storage->engine->Flush();  // the next start replays nothing
  Log(LogLevel::kInfo, "stopped");
  return 0;
}

int Main(const std::vector<std::string>& arguments) {
  PosixFileSystem file_system;
  absl::StatusOr<ParseOutcome> parsed =
      ParseCommandLine(arguments, ReadEnvironment(),
                       [&](const std::string& path) { return ReadFile(file_system, path); });
  if (!parsed.ok()) return Fail(parsed.status());
  if (!parsed->print.empty()) {
    std::fputs(parsed->print.c_str(), stdout);
    return 0;
  }
  StopOnSignal signals;
  absl::StatusOr<std::unique_ptr<LogSession>> log = LogSession::Start(LogOptionsOf(parsed->config));
  if (!log.ok()) return Fail(log.status());
  for (const std::string& warning : parsed->warnings) Log(LogLevel::kWarn, warning);
  return Serve(parsed->config, signals);
}

}  // namespace
}  // namespace conclave::server

int main(int argc, char** argv) {
  return conclave::server::Main(std::vector<std::string>(argv + 1, argv + argc));
}
