#include "kvstore/mvcc/record.h"

#include <gtest/gtest.h>

#include <limits>

namespace conclave::kv {
namespace {

const RecordView kRecord{1, {300, 2}, 70'000, -5, std::string_view("v\0v", 3)};

void ExpectEqual(const RecordView& a, const RecordView& b) {
  EXPECT_EQ(a.create_revision, b.create_revision);
  EXPECT_EQ(a.mod, b.mod);
  EXPECT_EQ(a.version, b.version);
  EXPECT_EQ(a.lease, b.lease);
  EXPECT_EQ(a.value, b.value);
}

TEST(Records, ReadBackAsWritten) {
  std::string bytes;
  SetRecord(kRecord, bytes);
  ExpectEqual(ReadRecord(bytes), kRecord);
  const RecordView largest{std::numeric_limits<int64_t>::max(),
                           {std::numeric_limits<int64_t>::max(), 1},
                           std::numeric_limits<int64_t>::max(),
                           std::numeric_limits<int64_t>::min(),
                           ""};
  SetRecord(largest, bytes);
  ExpectEqual(ReadRecord(bytes), largest);
}

TEST(Events, ReadBackAsWritten) {
  std::string bytes;
  SetEvent({false, "key", kRecord, {299, 1}}, bytes);
  const EventView put = ReadEvent(bytes, {300, 2});
  EXPECT_FALSE(put.is_delete);
  EXPECT_EQ(put.key, "key");
  EXPECT_EQ(put.previous, (Revision{299, 1}));
  ExpectEqual(put.record, kRecord);

  SetEvent({true, "", {}, {7, 0}}, bytes);
  const EventView deleted = ReadEvent(bytes, {8, 0});
  EXPECT_TRUE(deleted.is_delete);
  EXPECT_EQ(deleted.previous, (Revision{7, 0}));
  EXPECT_EQ(deleted.record.mod, (Revision{8, 0}));
}

TEST(RecordsDeathTest, WhatIsNoRecordEndsTheProcess) {
  EXPECT_EXIT(ReadRecord("\x01"), ::testing::ExitedWithCode(1), "record");
  EXPECT_EXIT(ReadEvent("\x02", {1, 0}), ::testing::ExitedWithCode(1), "event");
}

}  // namespace
}  // namespace conclave::kv
