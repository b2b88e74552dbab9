// One open Watch call with one watcher on it. Made by Client::Watch, read by one thread; Cancel may
// come from any other. Responses come in the server's order: ascending revisions, none left out and
// none twice.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kvstore/proto/rpc.grpc.pb.h"

namespace conclave::client {

class WatchStream {
 public:
  // Opens the call and waits for the server to create the watcher. FailedPrecondition with the
  // server's reason when it refuses; OutOfRange when the first revision asked for is compacted;
  // else the call's own error.
  static absl::StatusOr<std::unique_ptr<WatchStream>> Open(
      etcdserverpb::Watch::Stub& stub, const etcdserverpb::WatchCreateRequest& request);

  // Ends the call.
  ~WatchStream();
  WatchStream(const WatchStream&) = delete;
  WatchStream& operator=(const WatchStream&) = delete;

  // Blocks for the next response with events, or a progress notification (no events). OutOfRange:
  // history that the watcher still needed has been compacted. Cancelled: after Cancel. Any error is
  // the last result.
  absl::StatusOr<etcdserverpb::WatchResponse> Next();

  // Makes a blocked or later Next return Cancelled.
  void Cancel();

  // The revision that the store had when the watcher was created.
  std::int64_t created_revision() const { return created_revision_; }

 private:
  WatchStream() = default;

  // Collects the status of the call, which has ended or is cancelled, and keeps it; or `why`
  // instead, when given.
  absl::Status Finish(absl::Status why = absl::OkStatus());

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<etcdserverpb::WatchRequest, etcdserverpb::WatchResponse>>
      stream_;
  absl::Status ended_;  // not OK once Finish has run
  std::int64_t created_revision_ = 0;
};

}  // namespace conclave::client
