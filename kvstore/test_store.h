// A Store on an engine of its own, driven by commands as the apply stage drives it: what the tests
// of the store and of its parts stand on. Test code.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "kvstore/command.h"
#include "kvstore/engine/leveldb_engine.h"
#include "kvstore/engine/memory_engine.h"
#include "kvstore/store.h"
#include "raft/base/locked_file_system.h"
#include "raft/base/memory_file_system.h"

namespace conclave::kv {

enum class EngineKind { kMemory, kLevelDb };

inline std::string EngineName(const ::testing::TestParamInfo<EngineKind>& kind) {
  return kind.param == EngineKind::kMemory ? "Memory" : "LevelDb";
}

// Status and response, to be compared.
inline std::string TextOf(const ApplyResult& result) {
  std::string text = result.status.ToString();
  std::visit(
      [&](const auto& response) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(response)>, std::monostate>) {
          text += "\n" + response.DebugString();
        }
      },
      result.response);
  return text;
}

class TestStore {
 public:
  explicit TestStore(EngineKind kind = EngineKind::kMemory, StoreOptions options = {})
      : kind_(kind), options_(options) {
    OpenEngine();
    OpenStore();
  }

  Store& operator*() { return *store_; }
  Store* operator->() { return store_.get(); }
  Engine& engine() { return *engine_; }

  static constexpr uint64_t kTerm = 3;  // of all entries

  // Applies without ending the drain.
  template <typename Request>
  ApplyResult Apply(CommandKind kind, const Request& request, bool want_response = true) {
    return ApplyAs({}, kind, request, want_response);
  }
  // Likewise, of a request that came with an identity.
  template <typename Request>
  ApplyResult ApplyAs(const RequestIdentity& identity, CommandKind kind, const Request& request,
                      bool want_response = true) {
    const Bytes command =
        EncodeCommand({kind, 1, ++last_request_}, request.SerializeAsString(), identity);
    return store_->Apply(store_->applied_index() + 1, kTerm, command.view(), want_response);
  }
  // Under a request id, as the front end would have it.
  template <typename Request>
  ApplyResult ApplyOnce(const std::string& id, CommandKind kind, const Request& request,
                        bool want_response = true) {
    const RequestIdentity identity{.id = id,
                                   .fingerprint = FingerprintOf(request.SerializeAsString())};
    return ApplyAs(identity, kind, request, want_response);
  }
  template <typename Request>
  ApplyResult RunOnce(const std::string& id, CommandKind kind, const Request& request) {
    ApplyResult result = ApplyOnce(id, kind, request);
    store_->Commit();
    return result;
  }
  // Applies as a drain of one command.
  template <typename Request>
  ApplyResult Run(CommandKind kind, const Request& request) {
    ApplyResult result = Apply(kind, request);
    store_->Commit();
    return result;
  }

  // As the context of a change of the configuration.
  template <typename Request>
  ApplyResult RunConfiguration(std::string_view configuration, CommandKind kind,
                               const Request& request) {
    const Bytes command = EncodeCommand({kind, 1, ++last_request_}, request.SerializeAsString());
    ApplyResult result = store_->ApplyConfiguration(store_->applied_index() + 1, kTerm,
                                                    configuration, command.view(), true);
    store_->Commit();
    return result;
  }

  absl::Status Put(std::string_view key, std::string_view value, int64_t lease = 0) {
    return Run(CommandKind::kPut, PutRequest(key, value, lease)).status;
  }
  // The number of keys deleted.
  int64_t Delete(std::string_view key, std::string_view range_end = {}) {
    etcdserverpb::DeleteRangeRequest request;
    request.set_key(std::string(key));
    request.set_range_end(std::string(range_end));
    const ApplyResult result = Run(CommandKind::kDeleteRange, request);
    EXPECT_TRUE(result.status.ok());
    return std::get<etcdserverpb::DeleteRangeResponse>(result.response).deleted();
  }
  absl::Status Compact(int64_t revision) {
    etcdserverpb::CompactionRequest request;
    request.set_revision(revision);
    return Run(CommandKind::kCompact, request).status;
  }
  absl::Status Grant(int64_t lease) {
    etcdserverpb::LeaseGrantRequest request;
    request.set_id(lease);
    request.set_ttl(60);
    return Run(CommandKind::kLeaseGrant, request).status;
  }
  absl::Status Revoke(int64_t lease) {
    etcdserverpb::LeaseRevokeRequest request;
    request.set_id(lease);
    return Run(CommandKind::kLeaseRevoke, request).status;
  }
  absl::StatusOr<etcdserverpb::RangeResponse> Range(const etcdserverpb::RangeRequest& request) {
    etcdserverpb::RangeResponse response;
    if (absl::Status status = store_->Range(request, &response); !status.ok()) return status;
    return response;
  }
  // key=value pairs of the range, as "a=1 b=2", or the error's words.
  std::string Read(std::string_view key, std::string_view range_end = {}, int64_t revision = 0) {
    etcdserverpb::RangeRequest request;
    request.set_key(std::string(key));
    request.set_range_end(std::string(range_end));
    request.set_revision(revision);
    const auto response = Range(request);
    return response.ok() ? Text(*response) : response.status().ToString();
  }
  static std::string Text(const etcdserverpb::RangeResponse& response) {
    std::string text;
    for (const mvccpb::KeyValue& kv : response.kvs()) {
      if (!text.empty()) text += ' ';
      text += kv.key() + "=" + kv.value();
    }
    return text;
  }
  void CompactFully() {
    while (store_->CompactStep()) {
    }
  }

  // Ends the process between two drains and starts it again on what the engine kept.
  void Restart() {
    store_.reset();
    if (kind_ == EngineKind::kLevelDb) {
      engine_->Flush();
      OpenEngine();
    }
    OpenStore();
  }

  // The power goes in the middle of a drain, and the engine keeps what it had flushed. Only of a
  // store on LevelDB.
  void Crash() {
    store_.reset();
    engine_.reset();
    disk_.CrashAndLose();
    OpenEngine();
    OpenStore();
  }

  static etcdserverpb::PutRequest PutRequest(std::string_view key, std::string_view value,
                                             int64_t lease = 0) {
    etcdserverpb::PutRequest request;
    request.set_key(std::string(key));
    request.set_value(std::string(value));
    request.set_lease(lease);
    return request;
  }

 private:
  void OpenEngine() {
    engine_.reset();
    if (kind_ == EngineKind::kMemory) {
      engine_ = std::make_unique<MemoryEngine>();
      return;
    }
    LevelDbOptions options = StoreEngineOptions();
    options.write_buffer_bytes = 64 << 10;
    engine_ = *OpenLevelDbEngine(&fs_, "db", options);
  }
  void OpenStore() {
    etcdserverpb::Member member;
    member.set_id(7);
    member.add_peerurls("http://one:2380");
    auto store = Store::Open(engine_.get(), options_, {member});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  const EngineKind kind_;
  const StoreOptions options_;
  MemoryFileSystem disk_;
  LockedFileSystem fs_{&disk_};
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Store> store_;
  uint64_t last_request_ = 0;
};

}  // namespace conclave::kv
