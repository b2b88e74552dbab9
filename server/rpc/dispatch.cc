#include "server/rpc/dispatch.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "raft/base/check.h"
#include "raft/base/text.h"

namespace conclave::server {

void DispatchTable::Add(Method method) {
  const size_t slash = method.path.rfind('/');
  CHECK_MSG(method.path.starts_with('/') && slash > 0 && slash != std::string::npos, method.path);
  const bool has_handler = method.kind == MethodKind::kBidirectional ? method.on_start != nullptr
                                                                     : method.on_request != nullptr;
  CHECK_MSG(has_handler, method.path);
  services_.insert(method.path.substr(1, slash - 1));
  std::string path = method.path;
  const bool added = methods_.emplace(path, std::move(method)).second;
  CHECK_MSG(added, path);
}

const Method* DispatchTable::Find(std::string_view path) const {
  const auto it = methods_.find(ToAbsl(path));
  return it == methods_.end() ? nullptr : &it->second;
}

std::vector<const Method*> DispatchTable::All() const {
  std::vector<const Method*> all;
  all.reserve(methods_.size());
  for (const auto& [path, method] : methods_) all.push_back(&method);
  std::sort(all.begin(), all.end(),
            [](const Method* a, const Method* b) { return a->path < b->path; });
  return all;
}

absl::Status DispatchTable::Unknown(std::string_view path) const {
  std::string_view name = path;
  if (name.starts_with('/')) name.remove_prefix(1);
  const size_t slash = name.rfind('/');
  if (slash == std::string_view::npos) {
    return absl::UnimplementedError(fmt::format("malformed method name: \"{}\"", path));
  }
  const std::string_view service = name.substr(0, slash);
  if (!services_.contains(ToAbsl(service))) {
    return absl::UnimplementedError(fmt::format("unknown service {}", service));
  }
  return absl::UnimplementedError(
      fmt::format("unknown method {} for service {}", name.substr(slash + 1), service));
}

}  // namespace conclave::server
