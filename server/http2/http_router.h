// Finds the route of a plain HTTP request, and answers what needs no route: unknown paths, wrong
// methods, refused hosts, and browsers' questions about other origins (reference: wire sections 7.5
// and 8). Immutable while serving, any lane.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/http2/http_route.h"
#include "server/http2/options.h"

namespace conclave::server {

class HttpRouter {
 public:
  // Both must outlive the router.
  HttpRouter(const std::vector<HttpRoute>* routes, const HttpOptions* options)
      : routes_(*routes), options_(*options) {}

  // Hands the request to its route's handler or responds at once.
  void Dispatch(const HttpRequest& request, HttpRespond respond) const;

  // The headers that every response to `request` gets.
  std::vector<std::pair<std::string, std::string>> CommonHeaders(const HttpRequest& request) const;

 private:
  bool HostAllowed(std::string_view host) const;

  const std::vector<HttpRoute>& routes_;
  const HttpOptions& options_;
};

// "Not Found" for 404; "Unknown" for what has no name here.
std::string_view HttpReason(int code);

}  // namespace conclave::server
