#include "client/load/put_request.h"

#include <gtest/gtest.h>

#include "kvstore/proto/rpc.pb.h"

namespace conclave::client {
namespace {

etcdserverpb::PutRequest Parse(const grpc::ByteBuffer& buffer) {
  etcdserverpb::PutRequest request;
  EXPECT_TRUE(request.ParseFromString(ToString(buffer)));
  return request;
}

TEST(PutRequestTest, CarriesKeyAndValueOfItsNumber) {
  PutRequestTemplate puts("key/", 16, 45);
  for (const std::uint64_t number : {7ULL, 0ULL, 123'456'789'012ULL}) {
    const etcdserverpb::PutRequest request = Parse(puts.Serialize(number));
    EXPECT_EQ(request.key(), puts.KeyOf(number));
    EXPECT_EQ(request.value(), puts.ValueOf(number));
  }
}

TEST(PutRequestTest, KeyIsPrefixAndDigits) {
  const PutRequestTemplate puts("key/", 10, 0);
  EXPECT_EQ(puts.KeyOf(42), "key/000042");
  EXPECT_EQ(puts.KeyOf(9'000'001), "key/000001");
}

TEST(PutRequestTest, ValueRepeatsTheNumber) {
  const PutRequestTemplate puts("k", 8, 25);
  EXPECT_EQ(puts.ValueOf(42), "0000000000000000004200000");
}

TEST(PutRequestTest, EverySizeOfValue) {
  for (const std::size_t size : {0, 1, 19, 20, 21, 127, 128, 1000, 70'000}) {
    PutRequestTemplate puts("p", 9, size);
    const etcdserverpb::PutRequest request = Parse(puts.Serialize(31));
    EXPECT_EQ(request.key(), "p00000031");
    EXPECT_EQ(request.value(), puts.ValueOf(31));
    EXPECT_EQ(request.value().size(), size);
  }
}

TEST(PutRequestTest, APrefixOfZerosIsNoTrap) {
  PutRequestTemplate puts("0000", 12, 20);
  const etcdserverpb::PutRequest request = Parse(puts.Serialize(5));
  EXPECT_EQ(request.key(), "000000000005");
}

TEST(PutRequestTest, OfSeveralSlicesOneText) {
  const grpc::Slice slices[] = {grpc::Slice(std::string("ab")), grpc::Slice(std::string("c"))};
  EXPECT_EQ(ToString(grpc::ByteBuffer(slices, 2)), "abc");
}

}  // namespace
}  // namespace conclave::client
