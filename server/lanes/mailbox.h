// What one lane has for another, handed over in batches: one lock and at most one wake-up for all
// that a turn of the sender has gathered (a hop between threads costs some 10 us, whatever it
// carries). The receiver empties it in each of its turns. A sender that is far ahead of a receiver
// that does not get to that waits for it.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "raft/base/executor.h"
#include "server/net/event_loop.h"

namespace conclave::server {

template <typename Item>
class Mailbox {
 public:
  // `receive` takes each item in order, on the receiver's lane. `receiver` must outlive the last
  // Hand, which waits while there are `bytes_max` and more.
  Mailbox(Executor* receiver, size_t bytes_max, std::function<void(Item&)> receive)
      : receiver_(receiver),
        bytes_max_(bytes_max),
        shared_(std::make_shared<Shared>(std::move(receive))) {}
  // Receiver's lane, or none: nothing is received any more.
  ~Mailbox() { shared_->receive = nullptr; }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // Sender's lane. The items take up so many bytes. Leaves `items` empty.
  void Hand(std::vector<Item>& items, size_t bytes) {
    if (items.empty()) return;
    bool wake = false;
    {
      std::unique_lock lock(shared_->mutex);
      shared_->taken_or_unbounded.wait(
          lock, [this] { return shared_->bytes < bytes_max_ || shared_->unbounded; });
      shared_->bytes += bytes;
      wake = shared_->handed.empty();
      if (wake) {
        shared_->handed.swap(items);
      } else {
        std::move(items.begin(), items.end(), std::back_inserter(shared_->handed));
      }
    }
    items.clear();
    if (wake) receiver_->Post([shared = shared_] { shared->Receive(); });
  }

  // Receiver's lane: at once, rather than when its turn comes.
  void Receive() { shared_->Receive(); }
  // Receiver's lane: no sender waits any more, for the receiver is about to wait for it.
  void Unbound() {
    const std::lock_guard lock(shared_->mutex);
    shared_->unbounded = true;
    shared_->taken_or_unbounded.notify_all();
  }

 private:
  // Outlives the mailbox in a task that is still posted.
  struct Shared {
    explicit Shared(std::function<void(Item&)> receive_items) : receive(std::move(receive_items)) {}

    void Receive() {
      {
        const std::lock_guard lock(mutex);
        taken.swap(handed);
        bytes = 0;
      }
      taken_or_unbounded.notify_all();
      for (Item& item : taken) {
        if (receive) receive(item);
      }
      taken.clear();
    }

    std::mutex mutex;
    std::condition_variable taken_or_unbounded;
    std::vector<Item> handed;  // guarded by mutex, like the next two
    size_t bytes = 0;          // of handed
    bool unbounded = false;
    std::vector<Item> taken;             // the receiver's, kept for its capacity
    std::function<void(Item&)> receive;  // the receiver's
  };

  Executor* const receiver_;
  const size_t bytes_max_;
  const std::shared_ptr<Shared> shared_;
};

// Gathers on the sender's lane what goes into a mailbox at the end of the turn.
template <typename Item>
class Outbox : private TurnEndListener {
 public:
  Outbox(EventLoop* sender, Mailbox<Item>* mailbox) : TurnEndListener(sender), mailbox_(mailbox) {}

  // `bytes`: what the item holds besides itself.
  void Push(Item item, size_t bytes = 0) {
    items_.push_back(std::move(item));
    bytes_ += sizeof(Item) + bytes;
    ArmTurnEnd();
  }
  // At once. Also from another thread, once the sender's has ended.
  void Flush() { mailbox_->Hand(items_, std::exchange(bytes_, 0)); }

 private:
  void OnTurnEnd() override { Flush(); }

  Mailbox<Item>* const mailbox_;
  std::vector<Item> items_;
  size_t bytes_ = 0;  // of items_
};

}  // namespace conclave::server
