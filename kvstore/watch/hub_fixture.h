// A hub over a FakeHistory with one stream, for the tests of this folder: changes are published as
// the store does it, and what the stream was sent is read as short texts.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "kvstore/watch/fake_history.h"
#include "kvstore/watch/recording_sink.h"
#include "kvstore/watch/watch_hub.h"

namespace conclave::kv {

class HubFixture : public testing::Test {
 protected:
  explicit HubFixture(const WatchOptions& options = {}) : options_(options) {
    hub_ = WatchHub::New(options_, &history_, /*seed=*/1);
    stream_ = hub_->NewStream(&sink_);
  }

  void Put(std::string_view key, std::string_view value) {
    hub_->Publish({history_.Put(key, value)});
  }
  void Delete(std::string_view key) { hub_->Publish({history_.Delete(key)}); }
  void Apply(const std::vector<FakeHistory::Change>& changes) {
    hub_->Publish({history_.Apply(changes)});
  }
  void Compact(int64_t revision) {
    history_.Compact(revision);
    hub_->Compacted(revision);
  }

  // Creates the watcher and forgets the created response.
  void Watch(const WatchCreate& create) {
    stream_->Create(create);
    ASSERT_EQ(sink_.Take().size(), 1u);
  }

  void CatchUp() {
    while (hub_->NextRun() == Instant::min()) hub_->Run(Instant());
  }

  // A hub whose ring is empty, as after a restart: catching up reads history.
  void Restart(const WatchOptions& options) {
    stream_.reset();
    options_ = options;
    hub_ = WatchHub::New(options_, &history_, /*seed=*/1);
    stream_ = hub_->NewStream(&sink_);
  }

  WatchOptions options_;
  FakeHistory history_;
  RecordingSink sink_;
  std::unique_ptr<WatchHub> hub_;
  std::unique_ptr<WatchStream> stream_;
};

// "2:a=1 3:a(deleted)" for the events of a message, "2:a=1<0" where prev_kv is there.
inline std::string EventsText(const ReceivedMessage& received) {
  std::string text;
  for (const mvccpb::Event& event : received.events) {
    if (!text.empty()) text += ' ';
    text += std::to_string(event.kv().mod_revision()) + ':' + event.kv().key();
    text += event.type() == mvccpb::Event::DELETE ? "(deleted)" : '=' + event.kv().value();
    if (event.has_prev_kv()) text += '<' + event.prev_kv().value();
  }
  return text;
}

// The texts of all messages that carry events, one each.
inline std::vector<std::string> EventTexts(const std::vector<ReceivedMessage>& messages) {
  std::vector<std::string> texts;
  for (const ReceivedMessage& received : messages) {
    if (!received.events.empty()) texts.push_back(EventsText(received));
  }
  return texts;
}

}  // namespace conclave::kv
