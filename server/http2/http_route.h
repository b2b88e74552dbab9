// The plain HTTP side of the client port: what a route is, what it gets and what it answers.
// server/http's handlers fill a table of these (metrics, health, version, the JSON gateway);
// http1.h serves it. On the I/O lane.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace conclave::server {

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // percent-decoded, without the query: "/health"
  std::string query;   // as sent, without '?': "serializable=true"
  std::vector<std::pair<std::string, std::string>>
      headers;  // names in lower case, in the order sent
  std::string body;

  // The first header of that lower-case name, or empty.
  std::string_view Header(std::string_view name) const;
};

struct HttpResponse {
  int code = 200;
  std::string content_type = "text/plain; charset=utf-8";  // empty: none is sent
  std::string body = {};
  // Further ones, with names as they shall appear.
  std::vector<std::pair<std::string, std::string>> headers = {};
};

// Answers a request, from its I/O lane, now or later; only the first call counts. If the client has
// left it does nothing.
using HttpRespond = std::function<void(HttpResponse response)>;

struct HttpRoute {
  std::string method;  // "GET"
  // A whole path, or with a '/' at its end every path below it. The longest that matches is taken.
  std::string path;
  std::function<void(const HttpRequest& request, HttpRespond respond)> handler;
};

}  // namespace conclave::server
