// The response messages of one call in their gRPC frames, waiting for room in the client's flow
// control window. One flat buffer: messages are serialized straight into it and leave from its
// front. On the call's lane.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "google/protobuf/message_lite.h"

namespace conclave::server {

class OutputQueue {
 public:
  // `buffer` is only there for its capacity.
  explicit OutputQueue(std::string buffer);

  // Each returns the size of the message without its prefix, in bytes.
  size_t Append(const google::protobuf::MessageLite& message);
  size_t Append(std::string_view message);
  // A message of `size` bytes, whose bytes follow as parts.
  void AppendPrefix(size_t size);
  void AppendPart(std::string_view part);

  size_t size() const { return buffer_.size() - taken_; }
  // The first `size` bytes; requires that many to be there.
  std::string_view Front(size_t size) const;
  // Drops the first `size` bytes.
  void Take(size_t size);

  // Gives the emptied buffer away for reuse.
  std::string Release();

 private:
  void MakeRoom();
  // Writes the prefix of the message that starts at `offset` and ends where the buffer does;
  // returns its size.
  size_t FillPrefix(size_t offset);
  void WritePrefix(size_t offset, size_t size);

  std::string buffer_;
  size_t taken_ = 0;
};

}  // namespace conclave::server
