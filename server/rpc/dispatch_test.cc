#include "server/rpc/dispatch.h"

#include <gtest/gtest.h>

#include "raft/base/text.h"

namespace conclave::server {
namespace {

Method Unary(std::string path) {
  return {.path = std::move(path),
          .kind = MethodKind::kUnary,
          .on_request = [](const CallRef&, std::string_view) {},
          .on_start = nullptr};
}

TEST(DispatchTable, FindsByWholePathOnly) {
  DispatchTable table;
  table.Add(Unary("/etcdserverpb.KV/Put"));
  ASSERT_NE(table.Find("/etcdserverpb.KV/Put"), nullptr);
  EXPECT_EQ(table.Find("/etcdserverpb.KV/Put")->path, "/etcdserverpb.KV/Put");
  EXPECT_EQ(table.Find("/etcdserverpb.KV/Pu"), nullptr);
  EXPECT_EQ(table.Find("/etcdserverpb.KV/Put/"), nullptr);
  EXPECT_EQ(table.Find(""), nullptr);
}

TEST(DispatchTable, ListsMethodsSortedByPath) {
  DispatchTable table;
  table.Add(Unary("/b.S/M"));
  table.Add(Unary("/a.S/N"));
  table.Add(Unary("/a.S/M"));
  std::vector<std::string> paths;
  for (const Method* method : table.All()) paths.push_back(method->path);
  EXPECT_EQ(paths, (std::vector<std::string>{"/a.S/M", "/a.S/N", "/b.S/M"}));
}

TEST(DispatchTable, UnknownPathsAreUnimplementedInTheWordsOfGrpcGo) {
  DispatchTable table;
  table.Add(Unary("/etcdserverpb.KV/Put"));
  const struct {
    std::string_view path, words;
  } cases[] = {
      {"/etcdserverpb.KV/Get", "unknown method Get for service etcdserverpb.KV"},
      {"/v3.Nothing/Get", "unknown service v3.Nothing"},
      {"/Get", "malformed method name: \"/Get\""},
      {"", "malformed method name: \"\""},
  };
  for (const auto& c : cases) {
    const absl::Status status = table.Unknown(c.path);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
    EXPECT_EQ(MessageOf(status), c.words);
  }
}

TEST(DispatchTableDeathTest, RefusesWhatCannotBeServed) {
  DispatchTable table;
  table.Add(Unary("/a.S/M"));
  EXPECT_DEATH(table.Add(Unary("/a.S/M")), "/a.S/M");
  EXPECT_DEATH(table.Add(Unary("a.S/M")), "a.S/M");
  EXPECT_DEATH(table.Add(Unary("/M")), "/M");
  Method streaming = Unary("/a.S/Stream");
  streaming.kind = MethodKind::kBidirectional;
  EXPECT_DEATH(table.Add(streaming), "/a.S/Stream");
}

}  // namespace
}  // namespace conclave::server
