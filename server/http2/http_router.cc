#include "server/http2/http_router.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

namespace conclave::server {

namespace {

bool Matches(const HttpRoute& route, std::string_view path) {
  return route.path.ends_with('/') ? path.starts_with(route.path) : path == route.path;
}

// Without its port: "[::1]:2379" is "[::1]".
std::string_view HostName(std::string_view host) {
  const size_t colon = host.rfind(':');
  const size_t bracket = host.rfind(']');
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || bracket < colon);
  return has_port ? host.substr(0, colon) : host;
}

bool Holds(const std::vector<std::string>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

}  // namespace

std::string_view HttpRequest::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

void HttpRouter::Dispatch(const HttpRequest& request, HttpRespond respond) const {
  if (!HostAllowed(request.Header("host"))) {
    return respond({.code = 421, .body = "the host of this request is not served here\n"});
  }
  if (request.method == "OPTIONS") return respond({.code = 200, .content_type = ""});
  size_t longest = 0;
  for (const HttpRoute& route : routes_) {
    if (Matches(route, request.path)) longest = std::max(longest, route.path.size());
  }
  if (longest == 0) {
    return respond({.code = 404,
                    .body = "404 page not found\n",
                    .headers = {{"X-Content-Type-Options", "nosniff"}}});
  }
  std::string allow;
  for (const HttpRoute& route : routes_) {
    if (route.path.size() != longest || !Matches(route, request.path)) continue;
    if (route.method == request.method) return route.handler(request, std::move(respond));
    allow += (allow.empty() ? "" : ", ") + route.method;
  }
  respond({.code = 405,
           .body = "Method Not Allowed\n",
           .headers = {{"Allow", allow}, {"X-Content-Type-Options", "nosniff"}}});
}

std::vector<std::pair<std::string, std::string>> HttpRouter::CommonHeaders(
    const HttpRequest& request) const {
  const std::string_view origin = request.Header("origin");
  const bool any = Holds(options_.cors_origins, "*");
  if (!any && !Holds(options_.cors_origins, origin)) return {};
  return {{"Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE"},
          {"Access-Control-Allow-Origin", any ? "*" : std::string(origin)},
          {"Access-Control-Allow-Headers", "accept, content-type, authorization"}};
}

bool HttpRouter::HostAllowed(std::string_view host) const {
  return Holds(options_.host_whitelist, "*") || Holds(options_.host_whitelist, HostName(host));
}

std::string_view HttpReason(int code) {
  switch (code) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 421:
      return "Misdirected Request";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

}  // namespace conclave::server
