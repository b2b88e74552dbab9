// Requests on the wire without Protobuf's cost per call: a request is serialised once, and only its
// key's digits and its value change. Used by one thread, like all of a load generator.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace conclave::client {

// Which keys and values. A key is the prefix and a number in as many decimal digits as the key's
// size leaves; a value is a number in 20 decimal digits, repeated as often as the size allows: so
// that a reader can tell from a pair alone whether it is what was written.
struct PairShape {
  std::string key_prefix;
  std::size_t key_size = 16;    // bytes; leaves at least one digit
  std::size_t value_size = 20;  // bytes

  // A number's digits beyond the key's are dropped.
  std::string KeyOf(std::uint64_t number) const;
  std::string ValueOf(std::uint64_t number) const;
};

// The number at the beginning of a value of at least 20 bytes.
std::uint64_t NumberOfValue(std::string_view value);

class RequestTemplate {
 public:
  static RequestTemplate ForPut(const PairShape& shape);
  static RequestTemplate ForRange(const PairShape& shape, bool serializable);
  // A transaction: if the key exists, put it.
  static RequestTemplate ForCompareAndPut(const PairShape& shape);

  // The request for this key number, with a value of the same number. Valid until the next one.
  const std::string& Serialize(std::uint64_t number) { return Serialize(number, number); }
  const std::string& Serialize(std::uint64_t key_number, std::uint64_t value_number);

 private:
  // `wire` holds the key of number 0 once or more and ends with `value_size` bytes of value.
  RequestTemplate(std::string wire, const PairShape& shape, std::size_t value_size);

  std::size_t digits_;
  std::size_t value_size_;
  std::string wire_;
  std::vector<std::size_t> digits_at_;  // where a key's digits begin in wire_
};

}  // namespace conclave::client
