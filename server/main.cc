// The program: reads its settings, opens what is on disk, runs the loop until SIGTERM or SIGINT.
// Start-up errors are one line on standard error and exit status 1.
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "raft/base/posix_clock.h"
#include "raft/base/posix_executor.h"
#include "raft/base/posix_file_system.h"
#include "raft/base/posix_scheduling.h"
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

// Disks, above all remote ones, serve many reads in the time of one.
constexpr int kDiskReadLanes = 16;

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

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

// In every thread that is started from now on as well, so that only StopOnSignal gets them.
void BlockStopSignals() {
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

// Tables and connections need more descriptors than the 1,024 that many systems give a process at
// first; most let it take as many as it wants.
void RaiseDescriptorLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

// Runs `stop` on the lane on SIGTERM or SIGINT, to end cleanly. A second one ends the process at
// once, as does the first when this is gone already.
class StopOnSignal {
 public:
  StopOnSignal(Executor* lane, Task stop) : shared_(std::make_shared<Shared>()) {
    shared_->lane = lane;
    shared_->stop = std::move(stop);
    std::thread([shared = shared_] { Wait(*shared); }).detach();
  }
  ~StopOnSignal() {
    const std::lock_guard<std::mutex> lock(shared_->mutex);
    shared_->lane = nullptr;
  }
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;

 private:
  struct Shared {
    std::mutex mutex;
    Executor* lane = nullptr;  // guarded by mutex
    Task stop;                 // likewise
  };

  static void Wait(Shared& shared) {
    const sigset_t signals = StopSignals();
    int signal = 0;
    sigwait(&signals, &signal);
    {
      const std::lock_guard<std::mutex> lock(shared.mutex);
      if (shared.lane == nullptr) std::_Exit(128 + signal);
      shared.lane->Post(std::move(shared.stop));
    }
    sigwait(&signals, &signal);
    std::_Exit(128 + signal);
  }

  const std::shared_ptr<Shared> shared_;
};

LogOptions LogOptionsOf(const ServerConfig& config) {
  LogOptions options;
  options.level = ParseLogLevel(config.log_level).value_or(LogLevel::kInfo);
  options.json = config.log_format == "json";
  options.outputs = config.log_outputs;
  return options;
}

int Serve(const ServerConfig& config) {
  PosixClock clock;
  EventLoop loop(&clock);
  PosixFileSystem file_system({.sync = !config.unsafe_no_fsync});
  Server* running = nullptr;
  bool stopping = false;
  const auto stop = [&] {
    if (std::exchange(stopping, true)) return;
    Log(LogLevel::kInfo, "stopping");
    if (running != nullptr) running->Stop([&] { loop.Stop(); });
  };
  const StopOnSignal stop_on_signal(&loop, stop);

  JoinOptions join;
  join.seed = SeedFromSystem();
  join.stop_wanted = [&] { return stopping; };
  absl::StatusOr<Storage> storage = OpenStorage(
      file_system, config, [&] { return IdentityOfNewMember(config, &loop, join); }, &loop,
      join.seed);
  loop.RunTurn(Duration::zero());  // opening may have taken long: time starts now
  if (stopping) {
    Log(LogLevel::kInfo, "stopped before it served");
    return 0;
  }
  if (!storage.ok()) return Fail(storage.status());
  for (const std::string& note : storage->notes) Log(LogLevel::kWarn, note);

  // Before the server, so that it ends after it, and after the storage that it flushes in the
  // background.
  PosixExecutor background("background");
  PosixExecutor reads("reads");
  std::vector<std::unique_ptr<PosixExecutor>> disk_reads;
  ServerLanes lanes{.loop = &loop, .background = &background, .reads = &reads};
  for (int i = 0; i < kDiskReadLanes; ++i) {
    disk_reads.push_back(std::make_unique<PosixExecutor>("disk-read"));
    lanes.disk_reads.push_back(disk_reads.back().get());
  }
  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Start(config, lanes, &clock, &*storage, join.seed, stop);
  if (!server.ok()) return Fail(server.status());
  running = server->get();
  ScheduleThisThread(Scheduling::kPrompt);
  loop.Run();
  running = nullptr;
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
  BlockStopSignals();
  RaiseDescriptorLimit();
  absl::StatusOr<std::unique_ptr<LogSession>> log = LogSession::Start(LogOptionsOf(parsed->config));
  if (!log.ok()) return Fail(log.status());
  for (const std::string& warning : parsed->warnings) Log(LogLevel::kWarn, warning);
  return Serve(parsed->config);
}

}  // namespace
}  // namespace conclave::server

int main(int argc, char** argv) {
  return conclave::server::Main(std::vector<std::string>(argv + 1, argv + argc));
}
