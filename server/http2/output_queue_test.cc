#include "server/http2/output_queue.h"

#include <gtest/gtest.h>

#include <string>

#include "google/protobuf/wrappers.pb.h"

namespace conclave::server {
namespace {

TEST(OutputQueue, FramesMessages) {
  OutputQueue queue("old content");
  EXPECT_EQ(queue.size(), 0u);
  EXPECT_EQ(queue.Append("abc"), 3u);
  EXPECT_EQ(queue.Append(""), 0u);
  const std::string expected("\0\0\0\0\3abc\0\0\0\0\0", 13);
  ASSERT_EQ(queue.size(), expected.size());
  EXPECT_EQ(queue.Front(queue.size()), expected);
}

TEST(OutputQueue, WritesBigLengthsBigEndian) {
  OutputQueue queue("");
  queue.Append(std::string(0x012345, 'x'));
  EXPECT_EQ(queue.Front(5), std::string("\0\0\1\x23\x45", 5));
}

TEST(OutputQueue, TakesAMessageInParts) {
  OutputQueue whole(""), parts("");
  whole.Append("abcdef");
  whole.Append("g");
  parts.AppendPrefix(6);
  parts.AppendPart("abc");
  parts.AppendPart("");
  parts.AppendPart("def");
  parts.Append("g");
  ASSERT_EQ(parts.size(), whole.size());
  EXPECT_EQ(parts.Front(parts.size()), whole.Front(whole.size()));
}

TEST(OutputQueue, SerializesMessagesAsTheirBytes) {
  google::protobuf::StringValue message;
  message.set_value("hello");
  OutputQueue serialized(""), bytes("");
  EXPECT_EQ(serialized.Append(message), message.ByteSizeLong());
  bytes.Append(message.SerializeAsString());
  EXPECT_EQ(serialized.Front(serialized.size()), bytes.Front(bytes.size()));
}

TEST(OutputQueue, GivesItsBytesOnceAndInOrderWhateverIsAddedMeanwhile) {
  OutputQueue queue("");
  std::string added, taken;
  for (int i = 0; i < 2000; ++i) {
    const std::string message = std::to_string(i) + std::string(100, 'x');
    queue.Append(message);
    added += std::string("\0\0\0\0", 4) + static_cast<char>(message.size()) + message;
    const size_t step = std::min<size_t>(queue.size(), i < 1000 ? 50 : 177);
    taken += queue.Front(step);
    queue.Take(step);
  }
  taken += queue.Front(queue.size());
  queue.Take(queue.size());
  EXPECT_EQ(taken, added);
  EXPECT_EQ(queue.size(), 0u);
}

TEST(OutputQueue, ReleasesItsBufferEmptyWithItsCapacity) {
  OutputQueue queue("");
  queue.Append(std::string(1000, 'x'));
  const std::string buffer = queue.Release();
  EXPECT_TRUE(buffer.empty());
  EXPECT_GE(buffer.capacity(), 1000u);
}

}  // namespace
}  // namespace conclave::server
