#include "server/http2/output_queue.h"

#include <cstdint>
#include <utility>

#include "raft/base/check.h"
#include "server/http2/message_decoder.h"

namespace conclave::server {

namespace {

// The taken front is cut off when it is at least this much and at least half: each byte moves once
// at most.
constexpr size_t kCompactBytes = 64 << 10;

}  // namespace

OutputQueue::OutputQueue(std::string buffer) : buffer_(std::move(buffer)) { buffer_.clear(); }

size_t OutputQueue::Append(const google::protobuf::MessageLite& message) {
  MakeRoom();
  const size_t offset = buffer_.size();
  buffer_.append(kMessagePrefixBytes, '\0');
  CHECK(message.AppendToString(&buffer_));  // fails above 2 GiB only, which no response may reach
  return FillPrefix(offset);
}

size_t OutputQueue::Append(std::string_view message) {
  MakeRoom();
  const size_t offset = buffer_.size();
  buffer_.append(kMessagePrefixBytes, '\0');
  buffer_.append(message);
  return FillPrefix(offset);
}

void OutputQueue::AppendPrefix(size_t size) {
  MakeRoom();
  const size_t offset = buffer_.size();
  buffer_.append(kMessagePrefixBytes, '\0');
  WritePrefix(offset, size);
}

void OutputQueue::AppendPart(std::string_view part) {
  MakeRoom();
  buffer_.append(part);
}

std::string_view OutputQueue::Front(size_t size) const {
  return std::string_view(buffer_).substr(taken_, size);
}

void OutputQueue::Take(size_t size) {
  CHECK(size <= this->size());
  taken_ += size;
  if (taken_ == buffer_.size()) {
    buffer_.clear();
    taken_ = 0;
  }
}

std::string OutputQueue::Release() {
  taken_ = 0;
  buffer_.clear();
  return std::move(buffer_);
}

void OutputQueue::MakeRoom() {
  if (taken_ < kCompactBytes || taken_ < buffer_.size() / 2) return;
  buffer_.erase(0, taken_);
  taken_ = 0;
}

size_t OutputQueue::FillPrefix(size_t offset) {
  const size_t size = buffer_.size() - offset - kMessagePrefixBytes;
  WritePrefix(offset, size);
  return size;
}

void OutputQueue::WritePrefix(size_t offset, size_t size) {
  CHECK(size <= UINT32_MAX);
  for (size_t i = 0; i < 4; ++i) {
    buffer_[offset + 1 + i] = static_cast<char>(size >> (24 - 8 * i) & 0xff);
  }
}

}  // namespace conclave::server
