#include "jepsen-style-tests/workload/watch_stream.h"

#include <algorithm>
#include <utility>

#include "raft/base/check.h"

namespace conclave::sim {

using etcdserverpb::WatchRequest;
using etcdserverpb::WatchResponse;

namespace {

constexpr int64_t kWholeStream = -1;  // the watch_id of what concerns every watcher

}  // namespace

WatchStream::WatchStream(World* world, End client, size_t member, bool has_leader)
    : member_(member) {
  state_->world = world;
  state_->client = client;
  const CallRequest request{
      .path = "/etcdserverpb.Watch/Watch", .message = {}, .has_leader = has_leader};
  call_ = world->Call(
      client, member, request,
      {.message = [state = state_](std::string_view message) { OnMessage(*state, message); },
       .end = [state = state_](const CallEnd&) { state->over = true; }});
}

WatchStream::~WatchStream() {
  state_->over = true;
  call_->Cancel();
}

void WatchStream::Send(const WatchRequest& request) {
  if (!over()) call_->Send(request.SerializeAsString());
}

void WatchStream::Create(const etcdserverpb::WatchCreateRequest& request, Receive receive) {
  state_->watchers.push_back({.receive = std::move(receive)});
  WatchRequest create;
  *create.mutable_create_request() = request;
  Send(create);
}

void WatchStream::Cancel(int64_t watch_id) {
  WatchRequest cancel;
  cancel.mutable_cancel_request()->set_watch_id(watch_id);
  Send(cancel);
}

void WatchStream::RequestProgress() {
  WatchRequest progress;
  progress.mutable_progress_request();
  Send(progress);
}

void WatchStream::SetReading(bool reading) {
  if (std::exchange(reading_, reading) == reading) return;
  if (!reading) return call_->PauseReading();
  state_->world->scheduler().After(Duration::zero(), [call = call_] { call->ResumeReading(); });
}

// The first that waits to be created, or null.
WatchStream::Watcher* WatchStream::CreatedBy(State& state) {
  const auto first = std::find_if(state.watchers.begin(), state.watchers.end(),
                                  [](const Watcher& watcher) { return !watcher.id.has_value(); });
  return first == state.watchers.end() ? nullptr : &*first;
}

void WatchStream::OnMessage(State& state, std::string_view message) {
  if (state.over) return;
  state.world->trace().Mix(state.client);
  state.world->trace().Mix(message);
  checker::ReceivedWatchResponse received;
  received.received_ns = state.world->NowNs();
  WatchResponse& response = received.response;
  CHECK(response.ParseFromArray(message.data(), static_cast<int>(message.size())));

  Watcher* const created = response.created() ? CreatedBy(state) : nullptr;
  if (created != nullptr) created->id = response.watch_id();
  for (Watcher& watcher : state.watchers) {
    const bool concerned = created != nullptr
                               ? &watcher == created
                               : watcher.id.has_value() && (response.watch_id() == kWholeStream ||
                                                            *watcher.id == response.watch_id());
    if (!concerned || watcher.over) continue;
    watcher.over = response.canceled();
    watcher.receive(received);
  }
}

}  // namespace conclave::sim
