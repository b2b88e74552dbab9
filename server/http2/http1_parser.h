// Cuts the input of an HTTP/1.x connection into requests (RFC 9112): strict about what separates
// them, for a doubtful length lets one client put words into another's mouth. Bytes may come in any
// pieces. Bounded by HttpOptions. On the connection's lane.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "server/http2/http_route.h"
#include "server/http2/options.h"

namespace conclave::server {

class Http1Parser {
 public:
  explicit Http1Parser(const HttpOptions& options) : options_(options) {}

  void Add(std::string_view bytes);

  enum class Result { kNeedMore, kRequest, kError };
  // The next whole request. After kError nothing more comes: answer with error_code() and close.
  Result Next(HttpRequest* request);

  // Of the request returned last.
  bool keep_alive() const { return keep_alive_; }

  // Why Next failed: an HTTP status and words for the body.
  int error_code() const { return error_code_; }
  std::string_view error_text() const { return error_text_; }

  // Input held, in bytes.
  size_t buffered_bytes() const { return input_.size() - used_; }
  // What the next request still lacks.
  enum class Stage { kIdle, kHead, kBody };
  Stage stage() const;
  // True once per request whose client waits for "100 Continue" before it sends the body.
  bool TakeExpectContinue();

 private:
  enum class Framing { kNone, kLength, kChunked };

  // Input not used yet.
  std::string_view rest() const { return std::string_view(input_).substr(used_); }

  Result Fail(int code, std::string_view text);
  // Each returns kRequest when its part is complete.
  Result ParseHead();
  Result ParseBody();
  Result ParseChunks();

  bool ParseRequestLine(std::string_view line);
  bool ParseTarget(std::string_view target);
  bool ParseHeader(std::string_view line);
  bool InterpretHeaders();

  const HttpOptions& options_;
  std::string input_;
  size_t used_ = 0;      // of input_, taken into requests already
  size_t searched_ = 0;  // of rest(), known to hold no end of the head

  HttpRequest request_;
  bool in_body_ = false;
  Framing framing_ = Framing::kNone;
  size_t length_ = 0;
  bool http10_ = false;
  bool keep_alive_ = true;
  bool expect_continue_ = false;

  int error_code_ = 0;
  std::string error_text_;
};

}  // namespace conclave::server
