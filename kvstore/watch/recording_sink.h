// A stream's client, for the tests of this folder: keeps what was sent, its events decoded by the
// generated Protobuf code, and takes as much as the test lets it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/proto/rpc.pb.h"
#include "kvstore/watch/watch_hub.h"
#include "raft/base/check.h"

namespace conclave::kv {

struct ReceivedMessage {
  WatchMessage message;      // without its encoded events
  size_t encoded_bytes = 0;  // of these
  std::vector<mvccpb::Event> events;

  // Neither about the watcher's life nor events (reference: behaviour section 6.4).
  bool IsProgress() const {
    return !message.created && !message.canceled && message.compact_revision == 0 &&
           events.empty() && message.header_revision != 0;
  }
};

class RecordingSink : public WatchSink {
 public:
  void Send(WatchMessage message) override {
    etcdserverpb::WatchResponse decoded;
    CHECK(decoded.ParseFromString(std::string(message.encoded_events)));
    const size_t encoded_bytes = std::exchange(message.encoded_events, {}).size();
    ReceivedMessage received{.message = std::move(message),
                             .encoded_bytes = encoded_bytes,
                             .events = {decoded.events().begin(), decoded.events().end()}};
    CHECK(received.events.size() == received.message.event_count);
    messages_.push_back(std::move(received));
  }
  bool Writable() const override { return writable_; }

  void set_writable(bool writable) { writable_ = writable; }
  const std::vector<ReceivedMessage>& messages() const { return messages_; }
  const ReceivedMessage& last() const {
    CHECK(!messages_.empty());
    return messages_.back();
  }
  // What came since the last call.
  std::vector<ReceivedMessage> Take() { return std::exchange(messages_, {}); }

 private:
  bool writable_ = true;
  std::vector<ReceivedMessage> messages_;
};

}  // namespace conclave::kv
