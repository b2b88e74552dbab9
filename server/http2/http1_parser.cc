#include "server/http2/http1_parser.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "raft/base/text.h"

namespace conclave::server {

namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kHeadEnd = "\r\n\r\n";
// A chunk's size line may carry extensions, which are ignored; this much of them.
constexpr size_t kChunkLineBytesMax = 256;

// The characters of a method or a header's name (RFC 9110 section 5.6.2).
bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// All of `text` as a number of that base; digits only.
bool ParseSize(std::string_view text, int base, size_t* size) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *size, base);
  return error == std::errc() && end == text.data() + text.size();
}

bool PercentDecode(std::string_view text, std::string* decoded) {
  decoded->clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded->push_back(text[i]);
      continue;
    }
    size_t byte = 0;
    if (text.size() - i < 3 || !ParseSize(text.substr(i + 1, 2), 16, &byte)) return false;
    decoded->push_back(static_cast<char>(byte));
    i += 2;
  }
  return true;
}

// Whether a comma-separated list of words holds `word`, in any case.
bool HasWord(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (absl::EqualsIgnoreCase(ToAbsl(Trim(list.substr(0, comma))), ToAbsl(word))) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

}  // namespace

void Http1Parser::Add(std::string_view bytes) {
  // What is used goes once for each read, not for each request: a read may hold thousands of them.
  input_.erase(0, used_);
  used_ = 0;
  input_.append(bytes);
}

Http1Parser::Result Http1Parser::Next(HttpRequest* request) {
  if (error_code_ != 0) return Result::kError;
  if (!in_body_) {
    const Result head = ParseHead();
    if (head != Result::kRequest) return head;
    in_body_ = true;
  }
  const Result body = framing_ == Framing::kChunked ? ParseChunks() : ParseBody();
  if (body != Result::kRequest) return body;
  in_body_ = false;
  expect_continue_ = false;
  *request = std::exchange(request_, {});
  return Result::kRequest;
}

Http1Parser::Stage Http1Parser::stage() const {
  if (in_body_) return Stage::kBody;
  return rest().empty() ? Stage::kIdle : Stage::kHead;
}

bool Http1Parser::TakeExpectContinue() {
  return in_body_ && std::exchange(expect_continue_, false);
}

Http1Parser::Result Http1Parser::Fail(int code, std::string_view text) {
  error_code_ = code;
  error_text_ = text;
  std::string().swap(input_);
  used_ = 0;
  return Result::kError;
}

Http1Parser::Result Http1Parser::ParseHead() {
  // Empty lines before a request are somebody's sloppy end of the one before (RFC 9112 section
  // 2.2).
  while (rest().starts_with(kLineEnd)) used_ += kLineEnd.size();
  const size_t end = rest().find(kHeadEnd, searched_);
  if (std::min(end, rest().size()) > options_.header_bytes_max) {
    return Fail(431, "the request's headers are too large");
  }
  if (end == std::string_view::npos) {
    searched_ = rest().size() - std::min(rest().size(), kHeadEnd.size() - 1);
    return Result::kNeedMore;
  }
  searched_ = 0;
  std::string_view head = rest().substr(0, end + kLineEnd.size());
  for (bool first = true; !head.empty(); first = false) {
    const size_t line_end = head.find(kLineEnd);
    const std::string_view line = head.substr(0, line_end);
    if (!(first ? ParseRequestLine(line) : ParseHeader(line))) return Result::kError;
    head.remove_prefix(line_end + kLineEnd.size());
  }
  if (!InterpretHeaders()) return Result::kError;
  used_ += end + kHeadEnd.size();
  return Result::kRequest;
}

bool Http1Parser::ParseRequestLine(std::string_view line) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  const std::string_view version =
      last == std::string_view::npos ? std::string_view() : line.substr(last + 1);
  if (first == last || !IsToken(line.substr(0, first)) || !version.starts_with("HTTP/")) {
    Fail(400, "malformed request line");
    return false;
  }
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    Fail(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    return false;
  }
  http10_ = version == "HTTP/1.0";
  request_.method = line.substr(0, first);
  return ParseTarget(line.substr(first + 1, last - first - 1));
}

bool Http1Parser::ParseTarget(std::string_view target) {
  // The absolute form is for proxies, but servers must take it (RFC 9112 section 3.2.2).
  if (target.starts_with("http://") || target.starts_with("https://")) {
    const size_t path = target.find('/', target.find("://") + 3);
    target = path == std::string_view::npos ? "/" : target.substr(path);
  }
  const size_t question = std::min(target.find('?'), target.size());
  const bool options_star = target == "*" && request_.method == "OPTIONS";
  if ((!target.starts_with('/') && !options_star) ||
      !PercentDecode(target.substr(0, question), &request_.path)) {
    Fail(400, "malformed request target");
    return false;
  }
  request_.query = target.substr(std::min(question + 1, target.size()));
  return true;
}

bool Http1Parser::ParseHeader(std::string_view line) {
  // A space before the colon or at the line's start (folding) is refused with the rest that is no
  // token.
  const size_t colon = line.find(':');
  const std::string_view value =
      colon == std::string_view::npos ? std::string_view() : Trim(line.substr(colon + 1));
  if (colon == std::string_view::npos || !IsToken(line.substr(0, colon)) ||
      value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
    Fail(400, "malformed header");
    return false;
  }
  request_.headers.emplace_back(absl::AsciiStrToLower(ToAbsl(line.substr(0, colon))), value);
  return true;
}

bool Http1Parser::InterpretHeaders() {
  framing_ = Framing::kNone;
  length_ = 0;
  keep_alive_ = !http10_;
  for (const auto& [name, value] : request_.headers) {
    if (name == "content-length") {
      size_t length = 0;
      if (!ParseSize(value, 10, &length) || (framing_ == Framing::kLength && length != length_) ||
          framing_ == Framing::kChunked) {
        Fail(400, "malformed Content-Length");
        return false;
      }
      framing_ = Framing::kLength;
      length_ = length;
    } else if (name == "transfer-encoding") {
      // Together with Content-Length it is how requests are smuggled (RFC 9112 section 6.1).
      if (framing_ != Framing::kNone || http10_ || !HasWord(value, "chunked")) {
        Fail(400, "unsupported Transfer-Encoding");
        return false;
      }
      framing_ = Framing::kChunked;
    } else if (name == "connection") {
      if (HasWord(value, "close")) keep_alive_ = false;
      if (HasWord(value, "keep-alive") && http10_) keep_alive_ = true;
    } else if (name == "expect") {
      expect_continue_ = absl::EqualsIgnoreCase(ToAbsl(value), "100-continue");
    }
  }
  if (length_ > options_.body_bytes_max) {
    Fail(413, "the request's body is too large");
    return false;
  }
  return true;
}

Http1Parser::Result Http1Parser::ParseBody() {
  if (rest().size() < length_) return Result::kNeedMore;
  request_.body = rest().substr(0, length_);
  used_ += length_;
  return Result::kRequest;
}

Http1Parser::Result Http1Parser::ParseChunks() {
  while (true) {
    const size_t line_end = rest().find(kLineEnd);
    if (std::min(line_end, rest().size()) > kChunkLineBytesMax) {
      return Fail(400, "malformed chunk");
    }
    if (line_end == std::string_view::npos) return Result::kNeedMore;
    const std::string_view line = rest().substr(0, line_end);
    size_t size = 0;
    if (!ParseSize(Trim(line.substr(0, line.find(';'))), 16, &size)) {
      return Fail(400, "malformed chunk");
    }
    if (size > options_.body_bytes_max || request_.body.size() + size > options_.body_bytes_max) {
      return Fail(413, "the request's body is too large");
    }
    const size_t content = line_end + kLineEnd.size();
    // The last chunk is empty, and trailers, which nobody sends, are refused with anything else
    // that follows it.
    if (rest().size() < content + size + kLineEnd.size()) return Result::kNeedMore;
    if (rest().substr(content + size, kLineEnd.size()) != kLineEnd) {
      return Fail(400, "malformed chunk");
    }
    request_.body.append(rest().substr(content, size));
    used_ += content + size + kLineEnd.size();
    if (size == 0) return Result::kRequest;
  }
}

}  // namespace conclave::server
