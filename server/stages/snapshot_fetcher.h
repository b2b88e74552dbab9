// Fetches the state of another member when this one lacks the log (docs/snapshots.md): pulls it
// chunk by chunk into the incoming engine of its EngineHome, beside the live one, which goes on to
// serve. Lost questions and broken connections cost a pause: it goes on after the last key written,
// in the same session of the same source. Owned by Node, on the raft lane; engines are written,
// flushed and opened on the background lane.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "kvstore/engine/engine_home.h"
#include "raft/base/executor.h"
#include "raft/core/core.h"
#include "server/peer/peer_calls.h"
#include "server/stages/snapshot_wire.h"

namespace conclave::server {

struct SnapshotFetcherOptions {
  raft::NodeId member;  // this one
  // Those of all runs must differ, so that nobody goes on with the view of an earlier run: a random
  // number.
  uint64_t first_session = 1;
  Duration call_timeout = Seconds(10);       // reading a chunk may take long
  Duration retry_after = Milliseconds(100);  // after a question that failed
  // A source that is no leader any more and does not answer for so long is given up.
  Duration source_lost_after = Seconds(10);
  Duration rest = Seconds(1);  // after what was given up, before it is tried again
  // Likewise, if the disk had no room for it: an attempt may fill it again, for all who write
  // there.
  Duration rest_without_space = Seconds(30);
  // What nobody has asked for any more for so long is dropped.
  Duration unwanted_after = Seconds(60);
};

struct SnapshotFetcherStats {
  bool under_way = false;  // fetching or installing
  uint64_t begun = 0;      // starts from nothing
  uint64_t fetched = 0;    // whole and durable beside the live engine
  uint64_t installed = 0;
  uint64_t failed = 0;       // given up
  uint64_t retries = 0;      // questions that failed
  uint64_t bytes = 0;        // received, of all
  uint64_t bytes_now = 0;    // of the present one,
  uint64_t bytes_total = 0;  // and what is expected of it, roughly
};

class SnapshotFetcher {
 public:
  // What a fetcher tells its owner, on the lane.
  struct Observer {
    // The state is whole and durable: SnapshotFetched of raft/core/core.h.
    absl::AnyInvocable<void(const raft::LogStart&)> fetched;
    absl::AnyInvocable<void(std::string_view line)> log;
  };
  // The engine that has taken the place of the live one on disk.
  using Opened = absl::AnyInvocable<void(std::unique_ptr<kv::Engine>)>;

  // Nothing is owned; `home` must outlive what the background lane still has to do.
  SnapshotFetcher(const SnapshotFetcherOptions& options, Executor* lane, Executor* background,
                  PeerCalls* peers, kv::EngineHome* home, Observer observer);
  ~SnapshotFetcher();
  SnapshotFetcher(const SnapshotFetcher&) = delete;
  SnapshotFetcher& operator=(const SnapshotFetcher&) = delete;

  // Output::fetch_snapshot, as often as the core says it.
  void Fetch(const raft::SnapshotWanted& wanted);

  // Output::install_snapshot: what was fetched takes the place of the live engine, durably; then
  // `opened`. Requires that `fetched` was the last that happened.
  void Install(Opened opened);

  const SnapshotFetcherStats& stats() const { return stats_; }

 private:
  enum class Stage : uint8_t { kIdle, kFetching, kFetched, kInstalling };
  struct Incoming;
  struct Written {
    absl::Status status;
    std::string last_key;
    bool finished = false;
  };

  void Begin(const raft::SnapshotWanted& wanted);
  void Ask();
  void AskLater();
  void OnAnswer(absl::StatusOr<std::string> answer);
  void OnCallFailed(const absl::Status& why);
  void Write(std::string chunk);
  void OnWritten(const Written& written);
  void OnOpened();
  void GiveUp(std::string_view why);
  void GiveUpWithoutSpace(std::string_view why);
  // What was written of the present attempt goes, and nothing is begun for so long.
  void Drop(Duration rest);
  void WatchUnwanted();
  void DropIfUnwanted();
  void SetStage(Stage stage);

  const SnapshotFetcherOptions options_;
  Executor* const lane_;
  Executor* const background_;
  PeerCalls* const peers_;
  kv::EngineHome* const home_;
  Observer observer_;

  Stage stage_ = Stage::kIdle;
  uint64_t attempt_ = 0;  // what belongs to an earlier one is ignored
  std::shared_ptr<Incoming> incoming_;
  Opened opened_;  // while installing
  raft::NodeId source_;
  uint64_t session_;
  raft::LogIndex at_least_;
  std::optional<raft::LogStart> start_;  // once the source has said it
  std::string last_key_;                 // written
  raft::NodeId offered_by_;
  Instant wanted_at_;  // for the last time
  Instant heard_at_;   // the source, or when it was first asked
  Instant rest_until_{};
  bool without_space_ = false;  // so the last attempt ended, and it was told
  TimerId unwanted_timer_ = 0;
  SnapshotFetcherStats stats_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace conclave::server
