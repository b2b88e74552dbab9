#include "client/client.h"

#include <fmt/format.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <random>
#include <utility>

namespace conclave::client {
namespace {

constexpr int kConnectMs = 2000;
constexpr int kReconnectFirstMs = 50;
constexpr int kReconnectLastMs = 1000;

// Drawn for each client, so that no two ever use one id.
std::string RandomPrefix() {
  std::random_device random;
  const std::uint64_t drawn = std::uint64_t{random()} << 32 | random();
  return fmt::format("{:016x}-", drawn);
}

// Whether the status says what became of a write, earlier attempts under its id included. Anything
// else a member may say by itself, with an earlier attempt still on its way.
bool IsResult(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return true;
    default:
      return false;
  }
}

bool IsUnanswered(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

// A plaintext channel with its own connection, without grpc++'s own retries and with a quick
// reconnect.
std::shared_ptr<grpc::Channel> OpenChannel(const std::string& endpoint) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
                   1);  // or equal channels would share a connection
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // Its name notwithstanding: how long one attempt may take before it counts as failed.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMs);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectFirstMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectLastMs);
  arguments.SetMaxReceiveMessageSize(-1);  // as etcd's own client: a range may be of any size
  return grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (end.empty()) return std::string(1, '\0');
  end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

absl::Status FromGrpc(const grpc::Status& status) {
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(ClientOptions options) {
  if (options.endpoints.empty())
    return absl::InvalidArgumentError("a client needs at least one endpoint");
  return std::unique_ptr<Client>(new Client(options));
}

Client::Client(const ClientOptions& options)
    : call_timeout_(options.call_timeout),
      retry_writes_(options.retry_writes),
      request_ids_(RandomPrefix()) {
  for (const std::string& address : options.endpoints) {
    const std::shared_ptr<grpc::Channel> channel = OpenChannel(address);
    endpoints_.push_back({etcdserverpb::KV::NewStub(channel), etcdserverpb::Lease::NewStub(channel),
                          etcdserverpb::Watch::NewStub(channel),
                          etcdserverpb::Maintenance::NewStub(channel)});
  }
}

void Client::MoveOnFrom(std::size_t chosen) {
  // Only the first of several callers moves on, or they would skip endpoints.
  current_.compare_exchange_strong(chosen, (chosen + 1) % endpoints_.size(),
                                   std::memory_order_relaxed);
}

template <typename Attempt>
absl::Status Client::TryOnce(std::string_view request_id, Attempt attempt) {
  const std::size_t chosen = current_.load(std::memory_order_relaxed);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + call_timeout_);
  if (!request_id.empty()) context.AddMetadata("conclave-request-id", std::string(request_id));
  absl::Status status = FromGrpc(attempt(endpoints_[chosen], context));
  const bool moves_on = request_id.empty() ? absl::IsUnavailable(status) : IsUnanswered(status);
  if (moves_on) MoveOnFrom(chosen);
  return status;
}

template <typename Attempt>
absl::Status Client::Read(Attempt attempt) {
  absl::Status status;
  for (std::size_t left = endpoints_.size(); left > 0; --left) {
    status = TryOnce({}, attempt);
    if (!absl::IsUnavailable(status)) break;
  }
  return status;
}

template <typename Attempt>
absl::Status Client::Write(Attempt attempt) {
  if (!retry_writes_) return TryOnce({}, attempt);
  const std::string id = request_ids_ + std::to_string(++writes_);
  absl::Status unanswered;
  for (std::size_t left = endpoints_.size(); left > 0; --left) {
    absl::Status status = TryOnce(id, attempt);
    if (IsUnanswered(status)) {
      unanswered = std::move(status);
    } else if (IsResult(status) || unanswered.ok()) {
      return status;
    }
  }
  return unanswered;
}

absl::StatusOr<etcdserverpb::PutResponse> Client::Put(std::string_view key, std::string_view value,
                                                      std::int64_t lease) {
  etcdserverpb::PutRequest request;
  request.set_key(key.data(), key.size());
  request.set_value(value.data(), value.size());
  request.set_lease(lease);
  etcdserverpb::PutResponse response;
  absl::Status status = Write([&](Endpoint& endpoint, grpc::ClientContext& context) {
    return endpoint.kv->Put(&context, request, &response);
  });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<etcdserverpb::RangeResponse> Client::Get(std::string_view key,
                                                        const GetOptions& options) {
  etcdserverpb::RangeRequest request;
  request.set_key(key.data(), key.size());
  request.set_range_end(options.range_end);
  request.set_revision(options.revision);
  request.set_limit(options.limit);
  request.set_serializable(options.serializable);
  request.set_keys_only(options.keys_only);
  etcdserverpb::RangeResponse response;
  absl::Status status = Read([&](Endpoint& endpoint, grpc::ClientContext& context) {
    return endpoint.kv->Range(&context, request, &response);
  });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<etcdserverpb::DeleteRangeResponse> Client::Delete(std::string_view key,
                                                                 std::string_view range_end) {
  etcdserverpb::DeleteRangeRequest request;
  request.set_key(key.data(), key.size());
  request.set_range_end(range_end.data(), range_end.size());
  etcdserverpb::DeleteRangeResponse response;
  absl::Status status = Write([&](Endpoint& endpoint, grpc::ClientContext& context) {
    return endpoint.kv->DeleteRange(&context, request, &response);
  });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<etcdserverpb::TxnResponse> Client::Txn(const etcdserverpb::TxnRequest& request) {
  etcdserverpb::TxnResponse response;
  absl::Status status = Write([&](Endpoint& endpoint, grpc::ClientContext& context) {
    return endpoint.kv->Txn(&context, request, &response);
  });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<etcdserverpb::LeaseGrantResponse> Client::LeaseGrant(std::int64_t ttl_s) {
  etcdserverpb::LeaseGrantRequest request;
  request.set_ttl(ttl_s);
  etcdserverpb::LeaseGrantResponse response;
  absl::Status status = Write([&](Endpoint& endpoint, grpc::ClientContext& context) {
    return endpoint.lease->LeaseGrant(&context, request, &response);
  });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<etcdserverpb::LeaseRevokeResponse> Client::LeaseRevoke(std::int64_t lease) {
  etcdserverpb::LeaseRevokeRequest request;
  request.set_id(lease);
  etcdserverpb::LeaseRevokeResponse response;
  absl::Status status = Write([&](Endpoint& endpoint, grpc::ClientContext& context) {
    return endpoint.lease->LeaseRevoke(&context, request, &response);
  });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<etcdserverpb::LeaseKeepAliveResponse> Client::LeaseKeepAlive(std::int64_t lease) {
  etcdserverpb::LeaseKeepAliveRequest request;
  request.set_id(lease);
  etcdserverpb::LeaseKeepAliveResponse response;
  // Renewing twice does no harm, so this is tried again like a read.
  absl::Status status = Read([&](Endpoint& endpoint, grpc::ClientContext& context) {
    const auto stream = endpoint.lease->LeaseKeepAlive(&context);
    if (stream->Write(request) && stream->Read(&response)) {
      context.TryCancel();
      stream->Finish();
      return grpc::Status::OK;
    }
    return stream->Finish();
  });
  if (!status.ok()) return status;
  if (response.ttl() == 0) return absl::NotFoundError("etcdserver: requested lease not found");
  return response;
}

absl::StatusOr<std::unique_ptr<WatchStream>> Client::Watch(
    const etcdserverpb::WatchCreateRequest& request) {
  for (std::size_t left = endpoints_.size();; --left) {
    const std::size_t chosen = current_.load(std::memory_order_relaxed);
    absl::StatusOr<std::unique_ptr<WatchStream>> watch =
        WatchStream::Open(*endpoints_[chosen].watch, request);
    if (!absl::IsUnavailable(watch.status())) return watch;
    MoveOnFrom(chosen);
    if (left <= 1) return watch;
  }
}

absl::StatusOr<etcdserverpb::StatusResponse> Client::Status() {
  etcdserverpb::StatusResponse response;
  absl::Status status = Read([&](Endpoint& endpoint, grpc::ClientContext& context) {
    return endpoint.maintenance->Status(&context, {}, &response);
  });
  if (!status.ok()) return status;
  return response;
}

}  // namespace conclave::client
