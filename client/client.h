// The thin client: one synchronous call per method of KV, Lease and Watch, over grpc++ and a list
// of endpoints. Any thread may call any method at any time; every call blocks until its answer or
// its time limit.
//
// An endpoint that does not answer (UNAVAILABLE) is left for the next one in the list. Calls are
// then tried again, once per endpoint. Writes, of which nobody knows whether they were applied when
// their answer is lost, go under a request id, so that a repetition gets the first one's result and
// is never done twice (docs/request-identity.md); they are tried again after DEADLINE_EXCEEDED,
// too. Errors are the server's own: the same canonical code, and etcd's text as the message.
// UNAVAILABLE and DEADLINE_EXCEEDED leave open whether a write was or will be applied.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/watch_stream.h"
#include "kvstore/proto/rpc.grpc.pb.h"

namespace conclave::client {

struct ClientOptions {
  std::vector<std::string> endpoints;            // "host:port", plaintext; at least one
  std::chrono::milliseconds call_timeout{5000};  // per attempt
  // Writes carry a request id and are tried again. To be switched off for servers that do not know
  // such ids, as etcd does not: there a repetition could be done twice. Then a write is tried once.
  bool retry_writes = true;
};

struct GetOptions {
  std::string range_end;      // empty: the one key; PrefixEnd(key): all that begin with it
  std::int64_t revision = 0;  // 0: the latest
  std::int64_t limit = 0;     // 0: no limit
  bool serializable = false;  // answered by the endpoint alone, and perhaps stale
  bool keys_only = false;
};

class Client {
 public:
  // Makes the channels; connecting happens with the first call. InvalidArgument: no endpoint.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(ClientOptions options);

  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Stores the pair, attached to the lease if that is not 0.
  absl::StatusOr<etcdserverpb::PutResponse> Put(std::string_view key, std::string_view value,
                                                std::int64_t lease = 0);
  absl::StatusOr<etcdserverpb::RangeResponse> Get(std::string_view key,
                                                  const GetOptions& options = {});
  // Deletes the key, or with `range_end` the range [key, range_end).
  absl::StatusOr<etcdserverpb::DeleteRangeResponse> Delete(std::string_view key,
                                                           std::string_view range_end = {});
  absl::StatusOr<etcdserverpb::TxnResponse> Txn(const etcdserverpb::TxnRequest& request);

  // `ttl_s` in seconds; the server raises what is too short.
  absl::StatusOr<etcdserverpb::LeaseGrantResponse> LeaseGrant(std::int64_t ttl_s);
  absl::StatusOr<etcdserverpb::LeaseRevokeResponse> LeaseRevoke(std::int64_t lease);
  // Renews the lease once. NotFound: it has expired or never was.
  absl::StatusOr<etcdserverpb::LeaseKeepAliveResponse> LeaseKeepAlive(std::int64_t lease);

  // Opens a stream with one watcher; returns once the server has created it.
  absl::StatusOr<std::unique_ptr<WatchStream>> Watch(
      const etcdserverpb::WatchCreateRequest& request);

  // Of the endpoint that calls go to at present.
  absl::StatusOr<etcdserverpb::StatusResponse> Status();

 private:
  struct Endpoint {
    std::unique_ptr<etcdserverpb::KV::Stub> kv;
    std::unique_ptr<etcdserverpb::Lease::Stub> lease;
    std::unique_ptr<etcdserverpb::Watch::Stub> watch;
    std::unique_ptr<etcdserverpb::Maintenance::Stub> maintenance;
  };

  explicit Client(const ClientOptions& options);

  // Runs grpc::Status `attempt(endpoint, context)` on the current endpoint, and on the others in
  // turn while it is UNAVAILABLE.
  template <typename Attempt>
  absl::Status Read(Attempt attempt);
  // Likewise, under a request id, until there is an answer; once if writes are not to be retried.
  template <typename Attempt>
  absl::Status Write(Attempt attempt);
  // One attempt, on the current endpoint; the next one is current if it is UNAVAILABLE.
  template <typename Attempt>
  absl::Status TryOnce(std::string_view request_id, Attempt attempt);

  // Makes the endpoint after `chosen` the current one, if `chosen` still is.
  void MoveOnFrom(std::size_t chosen);

  const std::chrono::milliseconds call_timeout_;
  const bool retry_writes_;
  const std::string request_ids_;  // what all begin with: random
  std::atomic<std::uint64_t> writes_{0};
  std::vector<Endpoint> endpoints_;
  std::atomic<std::size_t> current_{0};
};

// The end of the range of all keys that begin with `prefix`; see behaviour reference, section 3.1.
std::string PrefixEnd(std::string_view prefix);

// The same canonical code and message.
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace conclave::client
