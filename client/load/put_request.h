// Requests on the wire without Protobuf's cost per call: a Put is serialised once, and only its
// key's digits change. Used by one thread, like all of a load generator.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace conclave::client {

// Puts of pairs of one size. The key is a prefix and a number in as many decimal digits as the
// key's size leaves.
class PutRequestTemplate {
 public:
  // `key_size` and `value_size` in bytes; the prefix must leave at least one digit.
  PutRequestTemplate(std::string_view key_prefix, std::size_t key_size, std::size_t value_size);

  // The request for this key number, whose value is the number again, repeated as often as the size
  // allows: so that a reader can tell from a pair alone whether it is what was written. The
  // number's digits beyond the key's are dropped.
  grpc::ByteBuffer Serialize(std::uint64_t number);

  std::string KeyOf(std::uint64_t number) const;
  std::string ValueOf(std::uint64_t number) const;

 private:
  const std::string key_prefix_;
  const std::size_t digits_;
  const std::size_t value_size_;
  std::string wire_;
  std::size_t digits_at_ = 0;  // where the key's digits begin in wire_
  std::size_t value_at_ = 0;   // where the value begins in wire_
};

// A message that was serialised elsewhere.
grpc::ByteBuffer ToByteBuffer(std::string_view message);

// The bytes of a response, to be parsed.
std::string ToString(const grpc::ByteBuffer& buffer);

}  // namespace conclave::client
