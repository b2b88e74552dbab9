#include "server/storage.h"

#include <fmt/format.h>

#include <utility>

#include "kvstore/engine/leveldb_home.h"
#include "raft/base/text.h"

namespace conclave::server {

namespace {

raft::Configuration InitialConfiguration(const Identity& identity) {
  raft::Configuration configuration;
  for (const InitialMember& member : identity.members) configuration.voters.push_back(member.id);
  return configuration;
}

absl::Status OpenLog(FileSystem& fs, Executor* lane, Storage& storage, raft::WalContents& found) {
  const Identity& identity = storage.data_dir->identity();
  const raft::WalOptions options{.directory = storage.data_dir->wal(),
                                 .cluster_id = identity.cluster_id,
                                 .member = identity.member_id};
  if (storage.data_dir->is_new()) {
    absl::Status status = raft::Wal::Create(fs, options, InitialConfiguration(identity));
    if (!status.ok()) return status;
    if (status = storage.data_dir->Commit(); !status.ok()) return status;
  }
  absl::StatusOr<raft::Wal::Opened> opened = raft::Wal::Open(fs, options, lane);
  if (!opened.ok()) return opened.status();
  if (opened->contents.torn_tail) {
    storage.notes.push_back("the log ended in an unfinished write, which was cut off");
  }
  storage.wal = std::move(opened->wal);
  found = std::move(opened->contents);
  return absl::OkStatus();
}

absl::Status OpenStateEngine(FileSystem& fs, const raft::WalContents& found, Storage& storage) {
  storage.engine_home = kv::NewLevelDbHome(&fs, storage.data_dir->db(), kv::StoreEngineOptions());
  std::string note;
  auto engine =
      OpenEngine(*storage.engine_home, found, storage.data_dir->identity().member_id, &note);
  if (!engine.ok()) return engine.status();
  if (!note.empty()) storage.notes.push_back(std::move(note));
  storage.engine = *std::move(engine);
  return absl::OkStatus();
}

// One that knows it must not come back; its peers would only tell it so again.
absl::Status CheckNotRemoved(const ServerConfig& config, const Storage& storage) {
  const raft::NodeId member = storage.data_dir->identity().member_id;
  if (!storage.store->IsRemoved(member.value())) return absl::OkStatus();
  return absl::FailedPreconditionError(
      fmt::format("--data-dir: {} belongs to member {}, which was removed from the cluster for "
                  "good: expected an empty directory, and the member to be added anew",
                  config.data_dir, HexId(member)));
}

}  // namespace

std::vector<etcdserverpb::Member> InitialMembers(const Identity& identity) {
  std::vector<etcdserverpb::Member> members;
  for (const InitialMember& initial : identity.members) {
    etcdserverpb::Member& member = members.emplace_back();
    member.set_id(initial.id.value());
    for (const std::string& url : initial.peer_urls) member.add_peerurls(url);
  }
  return members;
}

absl::StatusOr<Storage> OpenStorage(FileSystem& fs, const ServerConfig& config,
                                    DataDir::NewIdentity new_identity, Executor* lane,
                                    uint64_t seed) {
  Storage storage;
  storage.file_system = &fs;
  auto data_dir = DataDir::Open(fs, config, new_identity);
  if (!data_dir.ok()) return data_dir.status();
  storage.data_dir = *std::move(data_dir);
  storage.notes = storage.data_dir->warnings();
  raft::WalContents found;
  if (absl::Status status = OpenLog(fs, lane, storage, found); !status.ok()) return status;
  if (absl::Status status = OpenStateEngine(fs, found, storage); !status.ok()) return status;

  kv::StoreOptions options;
  options.seed = seed;
  options.watch.response_bytes_max = static_cast<size_t>(config.max_request_bytes) + (512 << 10);
  if (config.watch_progress_notify_interval > Duration::zero()) {
    options.watch.progress_interval = config.watch_progress_notify_interval;
  }
  if (config.compaction_batch_limit > 0) {
    options.compaction_batch = static_cast<size_t>(config.compaction_batch_limit);
  }
  auto store =
      kv::Store::Open(storage.engine.get(), options, InitialMembers(storage.data_dir->identity()));
  if (!store.ok()) return store.status();
  storage.store = *std::move(store);
  if (absl::Status status = CheckNotRemoved(config, storage); !status.ok()) return status;
  auto recovered =
      Recover(std::move(found), *storage.store, storage.data_dir->identity().member_id);
  if (!recovered.ok()) return recovered.status();
  storage.recovered = *std::move(recovered);
  if (storage.recovered.state_lost && !storage.engine_home->damaged()) {
    storage.notes.push_back(
        fmt::format("the storage engine in {} stands before the log's first entry: the state is "
                    "fetched from another member",
                    storage.data_dir->db()));
  }
  return storage;
}

}  // namespace conclave::server
