#include "client/load/request_template.h"

#include <gtest/gtest.h>

#include "kvstore/proto/rpc.pb.h"

namespace conclave::client {
namespace {

template <typename Request>
Request Parse(const std::string& wire) {
  Request request;
  EXPECT_TRUE(request.ParseFromString(wire));
  return request;
}

TEST(PairShapeTest, KeyIsPrefixAndDigits) {
  const PairShape shape{"key/", 10, 0};
  EXPECT_EQ(shape.KeyOf(42), "key/000042");
  EXPECT_EQ(shape.KeyOf(9'000'001), "key/000001");
}

TEST(PairShapeTest, ValueRepeatsTheNumber) {
  const PairShape shape{"k", 8, 25};
  EXPECT_EQ(shape.ValueOf(42), "0000000000000000004200000");
  EXPECT_EQ(NumberOfValue(shape.ValueOf(42)), 42u);
  EXPECT_EQ(NumberOfValue(shape.ValueOf(~std::uint64_t{0})), ~std::uint64_t{0});
}

TEST(RequestTemplateTest, APutCarriesKeyAndValueOfItsNumber) {
  const PairShape shape{"key/", 16, 45};
  RequestTemplate puts = RequestTemplate::ForPut(shape);
  for (const std::uint64_t number : {7ULL, 0ULL, 123'456'789'012ULL}) {
    const auto request = Parse<etcdserverpb::PutRequest>(puts.Serialize(number));
    EXPECT_EQ(request.key(), shape.KeyOf(number));
    EXPECT_EQ(request.value(), shape.ValueOf(number));
  }
}

TEST(RequestTemplateTest, EverySizeOfValue) {
  for (const std::size_t size : {0, 1, 19, 20, 21, 127, 128, 1000, 70'000}) {
    const PairShape shape{"p", 9, size};
    RequestTemplate puts = RequestTemplate::ForPut(shape);
    const auto request = Parse<etcdserverpb::PutRequest>(puts.Serialize(31));
    EXPECT_EQ(request.key(), "p00000031");
    EXPECT_EQ(request.value(), shape.ValueOf(31));
    EXPECT_EQ(request.value().size(), size);
  }
}

TEST(RequestTemplateTest, AValueThatLooksLikeTheKeyIsNoTrap) {
  RequestTemplate puts = RequestTemplate::ForPut({"0000", 12, 20});
  const auto request = Parse<etcdserverpb::PutRequest>(puts.Serialize(5, 6));
  EXPECT_EQ(request.key(), "000000000005");
  EXPECT_EQ(request.value(), "00000000000000000006");
}

TEST(RequestTemplateTest, ARangeAsksForTheOneKey) {
  const PairShape shape{"k", 8, 40};
  for (const bool serializable : {false, true}) {
    RequestTemplate ranges = RequestTemplate::ForRange(shape, serializable);
    const auto request = Parse<etcdserverpb::RangeRequest>(ranges.Serialize(3));
    EXPECT_EQ(request.key(), shape.KeyOf(3));
    EXPECT_EQ(request.range_end(), "");
    EXPECT_EQ(request.serializable(), serializable);
  }
}

TEST(RequestTemplateTest, ACompareAndPutComparesTheKeyThatItPuts) {
  const PairShape shape{"k", 8, 40};
  RequestTemplate txns = RequestTemplate::ForCompareAndPut(shape);
  const auto request = Parse<etcdserverpb::TxnRequest>(txns.Serialize(3, 17));
  ASSERT_EQ(request.compare_size(), 1);
  EXPECT_EQ(request.compare(0).key(), shape.KeyOf(3));
  ASSERT_EQ(request.success_size(), 1);
  EXPECT_EQ(request.success(0).request_put().key(), shape.KeyOf(3));
  EXPECT_EQ(request.success(0).request_put().value(), shape.ValueOf(17));
}

}  // namespace
}  // namespace conclave::client
