#include "client/load/put_request.h"

#include <grpcpp/support/slice.h>

#include <algorithm>
#include <vector>

#include "kvstore/proto/rpc.pb.h"
#include "raft/base/check.h"

namespace conclave::client {
namespace {

// Writes the last `digits` decimal digits of `number`, with leading zeros.
void WriteDigits(std::uint64_t number, std::size_t digits, char* out) {
  for (std::size_t i = digits; i-- > 0; number /= 10) out[i] = static_cast<char>('0' + number % 10);
}

constexpr std::size_t kValueUnit = 20;  // a 64-bit number in decimal

void WriteValue(std::uint64_t number, std::size_t size, char* out) {
  char unit[kValueUnit];
  WriteDigits(number, kValueUnit, unit);
  for (std::size_t at = 0; at < size; at += kValueUnit) {
    std::copy_n(unit, std::min(kValueUnit, size - at), out + at);
  }
}

}  // namespace

PutRequestTemplate::PutRequestTemplate(std::string_view key_prefix, std::size_t key_size,
                                       std::size_t value_size)
    : key_prefix_(key_prefix), digits_(key_size - key_prefix.size()), value_size_(value_size) {
  CHECK_MSG(key_size > key_prefix.size(), "the key's prefix leaves no room for its number");
  etcdserverpb::PutRequest request;
  request.set_key(KeyOf(0));
  request.set_value(ValueOf(0));
  wire_ = request.SerializeAsString();
  // Fields are serialised in the order of their numbers: the key first, the value last.
  digits_at_ = wire_.find(key_prefix_ + std::string(digits_, '0')) + key_prefix_.size();
  value_at_ = wire_.size() - value_size_;
}

grpc::ByteBuffer PutRequestTemplate::Serialize(std::uint64_t number) {
  WriteDigits(number, digits_, wire_.data() + digits_at_);
  WriteValue(number, value_size_, wire_.data() + value_at_);
  return ToByteBuffer(wire_);
}

std::string PutRequestTemplate::KeyOf(std::uint64_t number) const {
  std::string key = key_prefix_ + std::string(digits_, '0');
  WriteDigits(number, digits_, key.data() + key_prefix_.size());
  return key;
}

std::string PutRequestTemplate::ValueOf(std::uint64_t number) const {
  std::string value(value_size_, '\0');
  WriteValue(number, value_size_, value.data());
  return value;
}

grpc::ByteBuffer ToByteBuffer(std::string_view message) {
  const grpc::Slice slice(message.data(), message.size());
  return {&slice, 1};
}

std::string ToString(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  buffer.Dump(&slices).ok();  // fails only for a buffer that holds nothing
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

}  // namespace conclave::client
