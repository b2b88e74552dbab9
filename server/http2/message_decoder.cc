#include "server/http2/message_decoder.h"

#include <algorithm>
#include <cstdint>

#include "fmt/format.h"
#include "raft/base/check.h"

namespace conclave::server {

namespace {

// A buffer emptied by a message larger than this gives its memory back.
constexpr size_t kKeepCapacity = 64 << 10;

size_t MessageSize(std::string_view prefix) {
  size_t size = 0;
  for (size_t i = 1; i < kMessagePrefixBytes; ++i) {
    size = size << 8 | static_cast<uint8_t>(prefix[i]);
  }
  return size;
}

// The texts and codes are grpc-go's.
absl::Status CheckPrefix(std::string_view prefix, size_t message_bytes_max) {
  const uint8_t flag = static_cast<uint8_t>(prefix[0]);
  if (flag == 1) {
    return absl::InternalError("grpc: compressed flag set with identity or empty encoding");
  }
  if (flag != 0) {
    return absl::InternalError(fmt::format("grpc: received unexpected payload format {}", flag));
  }
  const size_t size = MessageSize(prefix);
  if (size > message_bytes_max) {
    return absl::ResourceExhaustedError(
        fmt::format("grpc: received message larger than max ({} vs. {})", size, message_bytes_max));
  }
  return absl::OkStatus();
}

}  // namespace

void MessageDecoder::Add(std::string_view chunk) {
  CHECK(borrowed_.empty());
  borrowed_ = chunk;
}

MessageDecoder::Result MessageDecoder::Next(std::string_view* message) {
  if (!status_.ok()) return Result::kError;
  // What an earlier message left in the kept bytes comes first; with nothing kept we read where the
  // chunk lies.
  if (kept_bytes() == 0 && taken_ > 0) {
    taken_ = 0;
    if (kept_.capacity() > kKeepCapacity) std::string().swap(kept_);
    kept_.clear();
  }
  const bool in_place = kept_.empty();
  if (!in_place) Borrow(kMessagePrefixBytes);
  const std::string_view there = in_place ? borrowed_ : std::string_view(kept_).substr(taken_);
  if (there.size() < kMessagePrefixBytes) return Result::kNeedMore;
  status_ = CheckPrefix(there.substr(0, kMessagePrefixBytes), message_bytes_max_);
  if (!status_.ok()) {
    Drop();
    return Result::kError;
  }
  const size_t whole = kMessagePrefixBytes + MessageSize(there);
  if (in_place) {
    if (borrowed_.size() < whole) return Result::kNeedMore;
    *message = borrowed_.substr(kMessagePrefixBytes, whole - kMessagePrefixBytes);
    borrowed_.remove_prefix(whole);
    return Result::kMessage;
  }
  Borrow(whole);
  if (kept_bytes() < whole) return Result::kNeedMore;
  *message =
      std::string_view(kept_).substr(taken_ + kMessagePrefixBytes, whole - kMessagePrefixBytes);
  taken_ += whole;
  return Result::kMessage;
}

void MessageDecoder::Keep() {
  if (taken_ > 0) {
    kept_.erase(0, taken_);
    taken_ = 0;
  }
  kept_.append(borrowed_);
  borrowed_ = {};
}

void MessageDecoder::Drop() {
  std::string().swap(kept_);
  taken_ = 0;
  borrowed_ = {};
}

void MessageDecoder::Borrow(size_t size) {
  if (kept_bytes() >= size) return;
  const size_t step = std::min(size - kept_bytes(), borrowed_.size());
  kept_.append(borrowed_.substr(0, step));
  borrowed_.remove_prefix(step);
}

}  // namespace conclave::server
