// A relayed call between a FakeCall, which is its client's, and a service that notes what it is
// told. Test code only.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/lanes/relayed_call.h"
#include "server/net/test_loop.h"
#include "server/rpc/fake_call.h"

namespace conclave::server {

class RelayedCallTest : public ::testing::Test {
 protected:
  static constexpr size_t kHighMark = 1000;
  static constexpr int64_t kHeldMax = 10;

  struct Owner : RelayedCallOwner {
    explicit Owner(Executor* executor) : lane(executor) {}
    void MarkDirty(RelayedCall*) override { ++dirty; }
    bool CountHeld(int64_t change) override {
      held += change;
      return held <= kHeldMax;
    }
    Executor* home() const override { return lane; }
    Executor* lane;
    int dirty = 0;
    int64_t held = 0;
  };
  // What the service has heard.
  struct Said {
    std::vector<std::string> messages;
    std::string pause_at = "never";
    bool half_closed = false;
    int writable = 0, closed = 0;
  };
  struct Service : StreamHandler {
    Service(RelayedCall* its_call, Said* notes) : call(its_call), said(notes) {}
    void OnMessage(std::string_view message) override {
      said->messages.emplace_back(message);
      if (message == said->pause_at) call->PauseReading();
    }
    void OnHalfClose() override { said->half_closed = true; }
    void OnWritable() override { ++said->writable; }
    void OnClosed() override { ++said->closed; }
    RelayedCall* call;
    Said* said;
  };

  void Listen() { call_->SetHandler(std::make_unique<Service>(call_.get(), said_.get())); }

  // One message comes while reading is paused, and another before what is held has been delivered.
  std::vector<std::string> MessagesAroundAResume() {
    Listen();
    call_->PauseReading();
    call_->OnMessage("1");
    call_->ResumeReading();
    call_->OnMessage("2");
    loop_.RunUntilQuiet();
    return said_->messages;
  }

  TestLoop loop_;
  const std::shared_ptr<Owner> owner_ = std::make_shared<Owner>(loop_.get());
  const std::shared_ptr<FakeCall> client_ = std::make_shared<FakeCall>();
  const std::unique_ptr<Said> said_ = std::make_unique<Said>();
  const std::shared_ptr<RelayedCall> call_ =
      std::make_shared<RelayedCall>(owner_, client_, kHighMark);
};

}  // namespace conclave::server
