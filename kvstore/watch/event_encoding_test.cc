// The hand-made encoding against the generated Protobuf code, byte for byte.
#include "kvstore/watch/event_encoding.h"

#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kvstore/proto/rpc.pb.h"
#include "kvstore/watch/fake_history.h"
#include "raft/base/random.h"

namespace conclave::kv {
namespace {

void Fill(const std::string& key, const Record& record, mvccpb::KeyValue* kv) {
  kv->set_key(key);
  kv->set_create_revision(record.create_revision);
  kv->set_mod_revision(record.mod.main);
  kv->set_version(record.version);
  kv->set_lease(record.lease);
  kv->set_value(record.value);
}

std::string ByProtobuf(const Event& event, const Record* previous) {
  etcdserverpb::WatchResponse response;
  mvccpb::Event* const encoded = response.add_events();
  encoded->set_type(event.is_delete ? mvccpb::Event::DELETE : mvccpb::Event::PUT);
  Fill(event.key, event.record, encoded->mutable_kv());
  if (previous != nullptr) Fill(event.key, *previous, encoded->mutable_prev_kv());
  return response.SerializeAsString();
}

std::string Encoded(const Event& event, const Record* previous) {
  std::string out;
  AppendEncodedEvent(event, previous, out);
  return out;
}

// Every varint length, and negative numbers (ten bytes).
int64_t RandomNumber(Random& random) {
  return static_cast<int64_t>(random.Next() >> random.Below(64));
}

Record RandomRecord(Random& random) {
  return {.create_revision = RandomNumber(random),
          .mod = {RandomNumber(random), 0},
          .version = RandomNumber(random),
          .lease = random.OneIn(2) ? 0 : RandomNumber(random),
          .value = std::string(random.OneIn(4) ? random.Below(20000) : random.Below(3), 'v')};
}

TEST(EventEncoding, IsWhatProtobufWrites) {
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    Event event{.is_delete = random.OneIn(3),
                .key = std::string(random.Between(1, random.OneIn(4) ? 300 : 3), 'k'),
                .record = RandomRecord(random),
                .previous = {}};
    if (event.is_delete) event.record = {.mod = event.record.mod, .value = {}};
    const Record previous = RandomRecord(random);
    ASSERT_EQ(Encoded(event, nullptr), ByProtobuf(event, nullptr));
    ASSERT_EQ(Encoded(event, &previous), ByProtobuf(event, &previous));
  }
}

TEST(EventEncoding, AppendsBehindWhatIsThere) {
  const Event event{.key = "k", .record = {.mod = {2, 0}, .value = {}}, .previous = {}};
  std::string out = "before";
  AppendEncodedEvent(event, nullptr, out);
  EXPECT_EQ(out, "before" + ByProtobuf(event, nullptr));
}

TEST(RevisionEncoding, EncodesOncePerForm) {
  FakeHistory history;
  history.Put("a", "x");
  const SharedRevisionEvents revision = history.Apply({{"a", "y"}, {"new", "z"}});
  RevisionEncoding encoding(*revision, history);
  const std::string_view plain = encoding.Encoded(0, false);
  const std::string_view with_previous = encoding.Encoded(0, true);
  const std::optional<Record> previous = history.RecordAt("a", {2, 0});
  EXPECT_EQ(plain, ByProtobuf(revision->events[0], nullptr));
  EXPECT_EQ(with_previous, ByProtobuf(revision->events[0], &*previous));
  EXPECT_EQ(encoding.Encoded(0, false).data(), plain.data());
  EXPECT_EQ(encoding.Encoded(0, true).data(), with_previous.data());
  EXPECT_EQ(encoding.Encoded(1, true).data(), encoding.Encoded(1, false).data())
      << "a creation has one form";
}

TEST(RevisionEncoding, APreviousRecordThatHistoryLostIsLeftOut) {
  FakeHistory history;
  history.Put("a", "x");
  const SharedRevisionEvents revision = history.Put("a", "y");
  history.Compact(3);
  RevisionEncoding encoding(*revision, history);
  EXPECT_EQ(encoding.Encoded(0, true), ByProtobuf(revision->events[0], nullptr));
}

// A put and a delete of all keys from one on pass validation together, in either order.
TEST(RevisionEncoding, PreviousIsTheStateBeforeTheWholeRevision) {
  FakeHistory history;
  history.Put("a", "x");
  const SharedRevisionEvents revision =
      history.Apply({{"a", "y"}, {"a", std::nullopt}, {"new", "z"}, {"new", std::nullopt}});
  const std::optional<Record> previous = history.RecordAt("a", {2, 0});
  RevisionEncoding encoding(*revision, history);
  EXPECT_EQ(encoding.Encoded(0, true), ByProtobuf(revision->events[0], &*previous));
  EXPECT_EQ(encoding.Encoded(1, true), ByProtobuf(revision->events[1], &*previous));
  EXPECT_EQ(encoding.Encoded(3, true), ByProtobuf(revision->events[3], nullptr));
}

TEST(SplitEncodedEvents, CutsBetweenEventsWithinTheLimit) {
  std::string encoded;
  std::vector<size_t> sizes;
  for (const size_t value_size : {10, 10, 200, 10, 130, 10}) {
    const Event event{.key = "k",
                      .record = {.mod = {2, 0}, .value = std::string(value_size, 'v')},
                      .previous = {}};
    const std::string one = Encoded(event, nullptr);
    sizes.push_back(one.size());
    encoded += one;
  }
  std::vector<size_t> counts;
  std::string joined;
  for (const EncodedPart& part : SplitEncodedEvents(encoded, sizes[0] + sizes[1])) {
    counts.push_back(part.event_count);
    joined += part.bytes;
    if (part.event_count > 1) {
      EXPECT_LE(part.bytes.size(), sizes[0] + sizes[1]);
    }
  }
  EXPECT_EQ(counts, (std::vector<size_t>{2, 1, 1, 1, 1}));
  EXPECT_EQ(joined, encoded);
  EXPECT_EQ(SplitEncodedEvents(encoded, encoded.size()).size(), 1u);
  EXPECT_EQ(SplitEncodedEvents(encoded, 0).size(), 6u);
  EXPECT_TRUE(SplitEncodedEvents("", 100).empty());
}

}  // namespace
}  // namespace conclave::kv
