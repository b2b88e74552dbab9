#include "client/load/request_template.h"

#include <algorithm>
#include <utility>

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

etcdserverpb::PutRequest PutOf(const PairShape& shape) {
  etcdserverpb::PutRequest request;
  request.set_key(shape.KeyOf(0));
  request.set_value(shape.ValueOf(0));
  return request;
}

}  // namespace

std::string PairShape::KeyOf(std::uint64_t number) const {
  CHECK_MSG(key_size > key_prefix.size(), "the key's prefix leaves no room for its number");
  std::string key = key_prefix;
  key.resize(key_size);
  WriteDigits(number, key_size - key_prefix.size(), key.data() + key_prefix.size());
  return key;
}

std::string PairShape::ValueOf(std::uint64_t number) const {
  std::string value(value_size, '\0');
  WriteValue(number, value_size, value.data());
  return value;
}

std::uint64_t NumberOfValue(std::string_view value) {
  std::uint64_t number = 0;
  for (const char digit : value.substr(0, kValueUnit)) {
    number = number * 10 + static_cast<std::uint64_t>(digit - '0');
  }
  return number;
}

RequestTemplate RequestTemplate::ForPut(const PairShape& shape) {
  return {PutOf(shape).SerializeAsString(), shape, shape.value_size};
}

RequestTemplate RequestTemplate::ForRange(const PairShape& shape, bool serializable) {
  etcdserverpb::RangeRequest request;
  request.set_key(shape.KeyOf(0));
  request.set_serializable(serializable);
  return {request.SerializeAsString(), shape, 0};
}

RequestTemplate RequestTemplate::ForCompareAndPut(const PairShape& shape) {
  etcdserverpb::TxnRequest request;
  etcdserverpb::Compare& compare = *request.add_compare();
  compare.set_target(etcdserverpb::Compare::VERSION);
  compare.set_result(etcdserverpb::Compare::GREATER);
  compare.set_key(shape.KeyOf(0));
  compare.set_version(0);
  *request.add_success()->mutable_request_put() = PutOf(shape);
  return {request.SerializeAsString(), shape, shape.value_size};
}

// Fields are serialised in the order of their numbers: within a put the value is the last.
RequestTemplate::RequestTemplate(std::string wire, const PairShape& shape, std::size_t value_size)
    : digits_(shape.key_size - shape.key_prefix.size()),
      value_size_(value_size),
      wire_(std::move(wire)) {
  const std::string key = shape.KeyOf(0);
  const std::size_t end = wire_.size() - value_size_;
  for (std::size_t at = wire_.find(key); at < end; at = wire_.find(key, at + key.size())) {
    digits_at_.push_back(at + shape.key_prefix.size());
  }
  CHECK(!digits_at_.empty());
}

const std::string& RequestTemplate::Serialize(std::uint64_t key_number,
                                              std::uint64_t value_number) {
  for (const std::size_t at : digits_at_) WriteDigits(key_number, digits_, wire_.data() + at);
  WriteValue(value_number, value_size_, wire_.data() + wire_.size() - value_size_);
  return wire_;
}

}  // namespace conclave::client
