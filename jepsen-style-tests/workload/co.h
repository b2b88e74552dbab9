// Coroutines for workloads: a client's life reads from top to bottom, and waits where it says
// co_await. A Co is one function's life: it starts when first awaited or resumed, is owned by
// whoever holds it, and may be dropped at any time it waits (all its locals then go). One thread:
// everything is resumed by events of the simulation.
//
//   Co<void> Register::Client(Session& session) {
//     while (loading()) {
//       const auto put = co_await session.Put("key", session.UniqueValue());
//       if (put.ok()) ++puts_;
//       co_await session.Sleep(Milliseconds(10));
//     }
//   }
//
// GCC 12 miscompiles some uses of co_await, so keep it simple: co_await stands alone or initialises
// a variable, never inside a condition, an argument or another expression; and a lambda with
// captures is never a coroutine (it dies before its body does).
#pragma once

#include <coroutine>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace conclave::sim {

template <typename T>
class [[nodiscard]] Co;

namespace internal {

// Goes on with whoever awaited this coroutine.
struct FinalAwaiter {
  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) const noexcept {
    return self.promise().continuation ? self.promise().continuation : std::noop_coroutine();
  }
  void await_resume() const noexcept {}
};

struct PromiseBase {
  std::coroutine_handle<> continuation;
  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }
  // Let through to whoever resumed it: a broken check of a workload is a bug like any other.
  void unhandled_exception() { throw; }
};

template <typename T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Co<T> get_return_object();
  void return_value(T result) { value = std::move(result); }
  T Take() { return *std::move(value); }
};

template <>
struct Promise<void> : PromiseBase {
  Co<void> get_return_object();
  void return_void() const {}
  void Take() const {}
};

}  // namespace internal

template <typename T>
class [[nodiscard]] Co {
 public:
  using promise_type = internal::Promise<T>;

  explicit Co(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Co(Co&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Co& operator=(Co&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Co() {
    if (handle_) handle_.destroy();
  }

  // Starts a coroutine that nobody awaits; it runs until it waits for the first time.
  void Start() { handle_.resume(); }
  bool done() const { return handle_.done(); }

  bool await_ready() const { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) {
    handle_.promise().continuation = awaiting;
    return handle_;
  }
  T await_resume() { return handle_.promise().Take(); }

 private:
  std::coroutine_handle<promise_type> handle_;
};

namespace internal {

template <typename T>
Co<T> Promise<T>::get_return_object() {
  return Co<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Co<void> Promise<void>::get_return_object() {
  return Co<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

}  // namespace internal

// Waits for something that happens elsewhere: co_await calls `start(done)` and goes on when
// done(value) is called, within `start` or later; only the first call counts. Once the coroutine is
// dropped `done` does nothing, so whoever holds it may call it at any time.
//
//   Callback<int> answered([&](Callback<int>::Done done) { AskSomebody(std::move(done)); });
//   const int answer = co_await answered;
template <typename T>
class Callback {
 public:
  using Done = std::function<void(T)>;

  explicit Callback(std::function<void(Done)> start) : start_(std::move(start)) {}
  ~Callback() { state_->waiting = nullptr; }
  Callback(const Callback&) = delete;
  Callback& operator=(const Callback&) = delete;

  bool await_ready() const { return false; }
  bool await_suspend(std::coroutine_handle<> waiting) {
    start_([state = state_](T value) {
      if (state->value) return;
      state->value = std::move(value);
      if (state->waiting) state->waiting.resume();
    });
    if (state_->value) return false;
    state_->waiting = waiting;
    return true;
  }
  T await_resume() { return *std::move(state_->value); }

 private:
  struct State {
    std::coroutine_handle<> waiting;  // null before it waits, and once nobody does
    std::optional<T> value;
  };

  std::function<void(Done)> start_;
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace conclave::sim
