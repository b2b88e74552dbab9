// Takes the bytes of a request stream apart into gRPC messages: each is one flag byte, a 32-bit
// big-endian length and that many bytes, and DATA frames cut them anywhere. A message that lies
// whole in one chunk is not copied. On the call's lane.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace conclave::server {

// Flag and length in front of every gRPC message.
inline constexpr size_t kMessagePrefixBytes = 5;

class MessageDecoder {
 public:
  // Messages above `message_bytes_max` are an error.
  explicit MessageDecoder(size_t message_bytes_max) : message_bytes_max_(message_bytes_max) {}

  // Adds the next chunk. It is only borrowed: Keep must be called before it goes away.
  void Add(std::string_view chunk);

  enum class Result { kMessage, kNeedMore, kError };
  // The next whole message, valid until the next call of any function here. After kError, see
  // status(); nothing more comes.
  Result Next(std::string_view* message);

  // Copies what Next has not returned yet, so that the borrowed chunk may go away.
  void Keep();

  // Forgets everything added and not returned.
  void Drop();

  // Bytes held in memory of our own.
  size_t kept_bytes() const { return kept_.size() - taken_; }
  // Bytes neither returned nor dropped: not zero at the end of a stream means the last message was
  // cut.
  size_t pending_bytes() const { return kept_bytes() + borrowed_.size(); }
  // Why Next failed; OK if it did not.
  const absl::Status& status() const { return status_; }

 private:
  // Moves borrowed bytes behind the kept ones until `size` are kept or none is left to borrow.
  void Borrow(size_t size);

  const size_t message_bytes_max_;
  std::string kept_;
  size_t taken_ = 0;  // of kept_, returned already
  std::string_view borrowed_;
  absl::Status status_;
};

}  // namespace conclave::server
