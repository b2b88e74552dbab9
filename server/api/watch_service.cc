// The Watch service: one bidirectional stream carries many watchers (reference: behaviour section
// 6).
#include <memory>
#include <string>
#include <utility>

#include "kvstore/errors.h"
#include "kvstore/kv_encoding.h"
#include "kvstore/watch/watch_hub.h"
#include "raft/base/probe.h"
#include "server/api/leader_guard.h"
#include "server/api/service.h"

namespace conclave::server {

namespace {

using etcdserverpb::WatchCreateRequest;
using etcdserverpb::WatchRequest;
using etcdserverpb::WatchResponse;

kv::WatchCreate FromRequest(WatchCreateRequest& request) {
  kv::WatchCreate create;
  create.key = std::move(*request.mutable_key());
  create.range_end = std::move(*request.mutable_range_end());
  create.start_revision = request.start_revision();
  create.progress_notify = request.progress_notify();
  create.prev_kv = request.prev_kv();
  create.fragment = request.fragment();
  create.watch_id = request.watch_id();
  for (int filter : request.filters()) {
    create.no_put |= filter == WatchCreateRequest::NOPUT;
    create.no_delete |= filter == WatchCreateRequest::NODELETE;
  }
  return create;
}

// WatchResponse's fields.
constexpr char kHeaderTag = kv::WireTag(1, kv::kLengthDelimitedWire);
constexpr char kWatchIdTag = kv::WireTag(2, kv::kVarintWire);
constexpr char kCreatedTag = kv::WireTag(3, kv::kVarintWire);
constexpr char kCanceledTag = kv::WireTag(4, kv::kVarintWire);
constexpr char kCompactRevisionTag = kv::WireTag(5, kv::kVarintWire);
constexpr char kCancelReasonTag = kv::WireTag(6, kv::kLengthDelimitedWire);
constexpr char kFragmentTag = kv::WireTag(7, kv::kVarintWire);

class WatchCall : public StreamHandler, private kv::WatchSink {
 public:
  WatchCall(const ApiContext& context, CallRef call)
      : context_(context),
        call_(std::move(call)),
        stream_(context.node->store().watches().NewStream(this)) {}

  void OnMessage(std::string_view bytes) override {
    WatchRequest request;
    if (!ParseRequest(call_, bytes, request)) return;
    switch (request.request_union_case()) {
      case WatchRequest::kCreateRequest:
        stream_->Create(FromRequest(*request.mutable_create_request()));
        break;
      case WatchRequest::kCancelRequest:
        stream_->Cancel(request.cancel_request().watch_id());
        break;
      case WatchRequest::kProgressRequest:
        stream_->RequestProgress();
        break;
      case WatchRequest::REQUEST_UNION_NOT_SET:
        break;  // ignored silently
    }
    // Answers to requests are always queued, so a client that does not read them may not send more.
    if (call_ != nullptr && !call_->Writable()) {
      SIM_REACHED("api.watch.reading_paused");
      call_->PauseReading();
    }
    context_.node->apply().WakeWatches();
  }

  void OnWritable() override {
    call_->ResumeReading();
    stream_->Resume();
    context_.node->apply().WakeWatches();
  }

  void OnClosed() override {
    stream_.reset();
    call_.reset();
  }

 private:
  void Send(kv::WatchMessage message) override {
    if (call_ == nullptr) return;
    // Field by field into one buffer, for there may be a thousand of these for each put. The events
    // are encoded once for all watchers, and are the last field.
    bytes_.clear();
    kv::AppendBytesField(kHeaderTag, Header(message.header_revision), bytes_);
    kv::AppendNumberField(kWatchIdTag, message.watch_id, bytes_);
    kv::AppendNumberField(kCreatedTag, message.created, bytes_);
    kv::AppendNumberField(kCanceledTag, message.canceled, bytes_);
    kv::AppendNumberField(kCompactRevisionTag, message.compact_revision, bytes_);
    kv::AppendBytesField(kCancelReasonTag, message.cancel_reason, bytes_);
    kv::AppendNumberField(kFragmentTag, message.fragment, bytes_);
    bytes_ += message.encoded_events;
    call_->SendBytes(bytes_);
  }

  // Encoded. Most messages have the same as the one before.
  const std::string& Header(int64_t revision) {
    const uint64_t term = context_.node->term().value();
    if (revision == header_revision_ && term == header_term_) return header_;
    etcdserverpb::ResponseHeader header;
    context_.node->FillHeader(&header);
    header.set_revision(revision);
    header_ = header.SerializeAsString();
    header_revision_ = revision;
    header_term_ = term;
    return header_;
  }

  bool Writable() const override { return call_ != nullptr && call_->Writable(); }

  const ApiContext context_;
  CallRef call_;
  std::unique_ptr<kv::WatchStream> stream_;
  std::string bytes_;  // scratch
  std::string header_;
  int64_t header_revision_ = -1;  // of header_
  uint64_t header_term_ = 0;
};

}  // namespace

void AddWatchService(DispatchTable& table, const ApiContext& context) {
  table.Add({.path = "/etcdserverpb.Watch/Watch",
             .kind = MethodKind::kBidirectional,
             .on_request = nullptr,
             .on_start = [context](const CallRef& call) {
               if (!CheckNoLearner(context, call) || !CheckLeader(context, call)) return;
               if (!CheckNotFenced(context, call)) return;
               if (WantsLeader(*call)) context.leader_guard->Watch(call);
               call->SetHandler(std::make_unique<WatchCall>(context, call));
               context.node->WhenFenced(call, [watch = std::weak_ptr(call)] {
                 if (const CallRef open = watch.lock()) open->Finish(kv::ErrCorrupt());
               });
             }});
}

}  // namespace conclave::server
