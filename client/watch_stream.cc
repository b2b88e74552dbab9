#include "client/watch_stream.h"

#include <fmt/format.h>

#include <utility>

#include "client/client.h"

namespace conclave::client {

absl::StatusOr<std::unique_ptr<WatchStream>> WatchStream::Open(
    etcdserverpb::Watch::Stub& stub, const etcdserverpb::WatchCreateRequest& request) {
  std::unique_ptr<WatchStream> watch(new WatchStream);
  watch->stream_ = stub.Watch(&watch->context_);
  etcdserverpb::WatchRequest create;
  *create.mutable_create_request() = request;
  watch->stream_->Write(create);  // a failure shows in the read

  // The first answer on a stream is the watcher's creation.
  etcdserverpb::WatchResponse created;
  if (!watch->stream_->Read(&created)) return watch->Finish();
  if (created.canceled()) {
    watch->Cancel();
    return watch->Finish(absl::FailedPreconditionError(created.cancel_reason()));
  }
  watch->created_revision_ = created.header().revision();
  return watch;
}

WatchStream::~WatchStream() {
  Cancel();
  if (ended_.ok()) Finish().IgnoreError();
}

absl::StatusOr<etcdserverpb::WatchResponse> WatchStream::Next() {
  if (!ended_.ok()) return ended_;
  etcdserverpb::WatchResponse response;
  if (!stream_->Read(&response)) return Finish();
  if (!response.canceled()) return response;
  Cancel();
  return Finish(response.compact_revision() != 0
                    ? absl::OutOfRangeError(fmt::format("compacted: revision {} is the oldest left",
                                                        response.compact_revision()))
                    : absl::CancelledError(response.cancel_reason()));
}

void WatchStream::Cancel() { context_.TryCancel(); }

absl::Status WatchStream::Finish(absl::Status why) {
  absl::Status ended = FromGrpc(stream_->Finish());
  if (!why.ok()) {
    ended_ = std::move(why);
  } else if (!ended.ok()) {
    ended_ = std::move(ended);
  } else {
    ended_ = absl::UnavailableError("the server ended the watch");
  }
  return ended_;
}

}  // namespace conclave::client
