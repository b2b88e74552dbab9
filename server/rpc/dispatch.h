// The table of methods: path to what handles it. Filled once at start-up by the services of
// server/api, read by the transport on every request; unknown paths get Unimplemented. Immutable
// while serving, so any lane may read.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "server/rpc/call.h"

namespace conclave::server {

enum class MethodKind { kUnary, kServerStream, kBidirectional };

struct Method {
  std::string path;  // "/etcdserverpb.KV/Put"
  MethodKind kind = MethodKind::kUnary;
  // Unary and server stream: called once with the whole request, valid during the call only. May
  // answer later: it keeps the CallRef.
  std::function<void(const CallRef& call, std::string_view request)> on_request;
  // Bidirectional: called when the headers are in; sets a StreamHandler.
  std::function<void(const CallRef& call)> on_start;
};

class DispatchTable {
 public:
  // Adds a method; a repeated path, a path that is not "/service/method" or a missing handler is a
  // bug (CHECK).
  void Add(Method method);
  // nullptr if there is none. The pointer holds until the next Add.
  const Method* Find(std::string_view path) const;
  std::vector<const Method*> All() const;  // sorted by path, for metrics

  // What a client gets for a path that Find does not know: Unimplemented, in grpc-go's words.
  absl::Status Unknown(std::string_view path) const;

 private:
  absl::flat_hash_map<std::string, Method> methods_;
  absl::flat_hash_set<std::string> services_;  // "etcdserverpb.KV"
};

}  // namespace conclave::server
