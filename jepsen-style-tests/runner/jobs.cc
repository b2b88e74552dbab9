#include "jepsen-style-tests/runner/jobs.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <vector>

#include "raft/base/check.h"

namespace conclave::sim {

namespace {

using RealClock = std::chrono::steady_clock;

// Whole messages over a pipe; false at its end.
bool ReadAll(int fd, void* into, size_t size) {
  for (size_t done = 0; done < size;) {
    const ssize_t got = read(fd, static_cast<char*>(into) + done, size - done);
    if (got <= 0) return false;
    done += static_cast<size_t>(got);
  }
  return true;
}

bool WriteAll(int fd, const void* from, size_t size) {
  for (size_t done = 0; done < size;) {
    const ssize_t put = write(fd, static_cast<const char*>(from) + done, size - done);
    if (put <= 0) return false;
    done += static_cast<size_t>(put);
  }
  return true;
}

// noexcept: an exception must end the child, not go on in its copy of the parent's callers.
[[noreturn]] void ServeTasks(int tasks, int results,
                             const std::function<std::string(uint64_t)>& work) noexcept {
  uint64_t task = 0;
  while (ReadAll(tasks, &task, sizeof(task))) {
    const std::string result = work(task);
    const uint64_t size = result.size();
    if (!WriteAll(results, &size, sizeof(size)) ||
        !WriteAll(results, result.data(), result.size())) {
      break;
    }
  }
  std::_Exit(0);
}

class Child {
 public:
  explicit Child(const std::function<std::string(uint64_t)>& work) {
    int tasks[2], results[2];
    CHECK(pipe(tasks) == 0 && pipe(results) == 0);
    pid_ = fork();
    CHECK(pid_ >= 0);
    if (pid_ == 0) {
      close(tasks[1]);
      close(results[0]);
      ServeTasks(tasks[0], results[1], work);
    }
    close(tasks[0]);
    close(results[1]);
    tasks_ = tasks[1];
    results_ = results[0];
  }
  ~Child() {
    close(tasks_);
    close(results_);
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void Begin(uint64_t task, Duration timeout) {
    task_ = task;
    deadline_ = RealClock::now() + timeout;
    WriteAll(tasks_, &task, sizeof(task));  // a dead child shows when its result is read
  }
  // The result of the present task; absent if the child died.
  std::optional<std::string> Finish() {
    uint64_t size = 0;
    if (!ReadAll(results_, &size, sizeof(size))) return std::nullopt;
    std::string result(size, '\0');
    if (!ReadAll(results_, result.data(), size)) return std::nullopt;
    return result;
  }
  void Kill() { kill(pid_, SIGKILL); }

  uint64_t task() const { return *task_; }
  bool busy() const { return task_.has_value(); }
  void Rest() { task_.reset(); }
  bool late() const { return busy() && RealClock::now() > deadline_; }
  int results() const { return results_; }

 private:
  pid_t pid_ = 0;
  int tasks_ = -1;
  int results_ = -1;
  std::optional<uint64_t> task_;
  RealClock::time_point deadline_;
};

// Waits until a busy child has something to say, or for a second.
void AwaitResults(const std::vector<std::unique_ptr<Child>>& children, std::vector<pollfd>& fds) {
  fds.clear();
  for (const auto& child : children) {
    fds.push_back({child->busy() ? child->results() : -1, POLLIN, 0});
  }
  poll(fds.data(), fds.size(), 1000);
}

}  // namespace

void RunJobs(const JobsOptions& options, uint64_t first,
             const std::function<bool(uint64_t next)>& more,
             const std::function<std::string(uint64_t task)>& work,
             const std::function<void(uint64_t task, std::optional<std::string> result)>& done) {
  signal(SIGPIPE, SIG_IGN);
  std::vector<std::unique_ptr<Child>> children;
  for (size_t i = 0; i < options.jobs; ++i) children.push_back(std::make_unique<Child>(work));
  std::vector<pollfd> fds;
  uint64_t next = first;
  while (true) {
    bool any_busy = false;
    for (auto& child : children) {
      if (!child->busy() && more(next)) child->Begin(next++, options.timeout);
      any_busy |= child->busy();
    }
    if (!any_busy) return;
    AwaitResults(children, fds);
    for (size_t i = 0; i < children.size(); ++i) {
      if (children[i]->late()) children[i]->Kill();
      if (!children[i]->busy() || fds[i].revents == 0) continue;
      std::optional<std::string> result = children[i]->Finish();
      const uint64_t task = children[i]->task();
      children[i]->Rest();
      if (!result) children[i] = std::make_unique<Child>(work);
      done(task, std::move(result));
    }
  }
}

}  // namespace conclave::sim
