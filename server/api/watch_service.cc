// The Watch service: one bidirectional stream carries many watchers (reference: behaviour section
// 6).
#include <memory>
#include <string>
#include <utility>

#include "kvstore/errors.h"
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
    WatchResponse response;
    context_.node->FillHeader(response.mutable_header());
    response.mutable_header()->set_revision(message.header_revision);
    response.set_watch_id(message.watch_id);
    response.set_created(message.created);
    response.set_canceled(message.canceled);
    response.set_compact_revision(message.compact_revision);
    response.set_cancel_reason(std::move(message.cancel_reason));
    response.set_fragment(message.fragment);
    // The events are encoded once for all watchers; they are the message's last field.
    std::string bytes = response.SerializeAsString();
    bytes += message.encoded_events;
    call_->SendBytes(bytes);
  }

  bool Writable() const override { return call_ != nullptr && call_->Writable(); }

  const ApiContext context_;
  CallRef call_;
  std::unique_ptr<kv::WatchStream> stream_;
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
