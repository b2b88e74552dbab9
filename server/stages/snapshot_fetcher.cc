#include "server/stages/snapshot_fetcher.h"

#include <fmt/format.h>

#include <utility>

#include "kvstore/engine/snapshot.h"
#include "kvstore/store.h"
#include "raft/base/check.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/base/text.h"

namespace conclave::server {

namespace {

// A disk that fails here fails the live engine as well. A full one ends the process only where
// it is halfway between two states.
void OrDie(const absl::Status& status, std::string_view what) {
  if (status.ok()) return;
  Fatal(fmt::format("a snapshot could not be {}: {}{}", what, MessageOf(status),
                    absl::IsResourceExhausted(status)
                        ? ": expected room on this disk; make some and start the member again"
                        : ""));
}

}  // namespace

// What the background lane works on; the raft lane looks at it only between two of its tasks.
struct SnapshotFetcher::Incoming {
  // Closes the engine after the last chunk.
  Written Write(std::string_view chunk, const raft::LogStart& promised);
  // All rows are there: makes the engine durable and closes it. DataLoss if it is not the state
  // that the source promised; ResourceExhausted if there is no room for it.
  absl::Status Finish(const raft::LogStart& promised);
  void Close() {
    writer.reset();
    engine.reset();
  }

  absl::Status started;  // not OK: there is no engine
  std::unique_ptr<kv::Engine> engine;
  std::optional<kv::SnapshotWriter> writer;
};

SnapshotFetcher::Written SnapshotFetcher::Incoming::Write(std::string_view chunk,
                                                          const raft::LogStart& promised) {
  Written written{.status = started, .last_key = {}};
  if (!started.ok()) return written;
  written.status = writer->Write(chunk);
  written.last_key = writer->last_key();
  written.finished = writer->finished();
  if (written.finished) written.status = Finish(promised);
  return written;
}

absl::Status SnapshotFetcher::Incoming::Finish(const raft::LogStart& promised) {
  const absl::StatusOr<kv::LogPosition> position =
      kv::Store::MarkInstalled(engine.get(), raft::EncodeConfiguration(promised.configuration));
  if (!position.ok()) return position.status();
  const bool kept =
      position->index == promised.index.value() && position->term == promised.term.value();
  if (!kept && !SEEDED_BUG(kSnapshotPositionLate)) {
    return absl::DataLossError(fmt::format("it stands at entry {} and not at {}", position->index,
                                           promised.index.value()));
  }
  if (!SEEDED_BUG(kSnapshotNotFlushed)) engine->Flush();
  // Only now is it known: what was written before may have waited in memory.
  const absl::Status space = engine->CheckSpace();
  if (space.ok()) Close();
  return space;
}

SnapshotFetcher::SnapshotFetcher(const SnapshotFetcherOptions& options, Executor* lane,
                                 Executor* background, PeerCalls* peers, kv::EngineHome* home,
                                 Observer observer)
    : options_(options),
      lane_(lane),
      background_(background),
      peers_(peers),
      home_(home),
      observer_(std::move(observer)),
      session_(options.first_session) {}

SnapshotFetcher::~SnapshotFetcher() {
  *alive_ = false;
  if (unwanted_timer_ != 0) lane_->CancelTimer(unwanted_timer_);
}

void SnapshotFetcher::SetStage(Stage stage) {
  stage_ = stage;
  stats_.under_way = stage != Stage::kIdle;
}

// ---- What the core wants. ----

void SnapshotFetcher::Fetch(const raft::SnapshotWanted& wanted) {
  wanted_at_ = lane_->Now();
  offered_by_ = wanted.from;
  switch (stage_) {
    case Stage::kIdle:
      if (lane_->Now() >= rest_until_) Begin(wanted);
      return;
    case Stage::kInstalling:
      return;
    case Stage::kFetched:
      // The core could not use it then, as while it was campaigning; perhaps it can now.
      if (start_->index >= wanted.at_least) {
        SIM_REACHED("snapshot.fetch.offered_again");
        return observer_.fetched(*start_);
      }
      SIM_REACHED("snapshot.fetch.outdated");
      GiveUp("a later one is needed");
      return Begin(wanted);
    case Stage::kFetching:
      // The source keeps its log from there on; another leader may not.
      if (!start_ || source_ == wanted.from || start_->index >= wanted.at_least) return;
      SIM_REACHED("snapshot.fetch.new_leader_needs_later");
      GiveUp("the new leader's log begins later");
      return Begin(wanted);
  }
}

void SnapshotFetcher::Begin(const raft::SnapshotWanted& wanted) {
  ++attempt_;
  ++stats_.begun;
  SetStage(Stage::kFetching);
  source_ = wanted.from;
  at_least_ = wanted.at_least;
  ++session_;
  start_.reset();
  last_key_.clear();
  heard_at_ = lane_->Now();
  stats_.bytes_now = stats_.bytes_total = 0;
  incoming_ = std::make_shared<Incoming>();
  background_->Post([incoming = incoming_, home = home_] {
    absl::StatusOr<std::unique_ptr<kv::Engine>> engine = home->StartIncoming();
    incoming->started = engine.status();
    if (!engine.ok()) return;  // as on a full disk
    incoming->engine = *std::move(engine);
    incoming->writer.emplace(incoming->engine.get());
  });
  if (!without_space_) {
    observer_.log(fmt::format("fetching a snapshot from member {}, as of entry {} or later",
                              HexId(source_), at_least_.value()));
  }
  Ask();
  if (unwanted_timer_ == 0) WatchUnwanted();
}

// ---- Questions. ----

void SnapshotFetcher::Ask() {
  SnapshotChunkRequest request{.member = options_.member,
                               .session = session_,
                               .at_least = at_least_,
                               .after_key = last_key_};
  peers_->CallPeer(source_, PeerMethod::kSnapshotChunk, EncodeSnapshotChunkRequest(request),
                   options_.call_timeout,
                   [this, alive = alive_, attempt = attempt_](absl::StatusOr<std::string> answer) {
                     if (*alive && attempt == attempt_) OnAnswer(std::move(answer));
                   });
}

void SnapshotFetcher::AskLater() {
  lane_->RunAt(lane_->Now() + options_.retry_after, [this, alive = alive_, attempt = attempt_] {
    if (*alive && attempt == attempt_) Ask();
  });
}

void SnapshotFetcher::OnAnswer(absl::StatusOr<std::string> answer) {
  if (!answer.ok()) return OnCallFailed(answer.status());
  absl::StatusOr<SnapshotChunkAnswer> chunk = DecodeSnapshotChunkAnswer(*answer);
  if (!chunk.ok()) return GiveUp(MessageOf(chunk.status()));
  if (!start_) {
    start_ = std::move(chunk->start);
    stats_.bytes_total = chunk->total_bytes;
  }
  heard_at_ = lane_->Now();
  stats_.bytes += chunk->chunk.size();
  stats_.bytes_now += chunk->chunk.size();
  Write(std::move(chunk->chunk));
}

void SnapshotFetcher::OnCallFailed(const absl::Status& why) {
  ++stats_.retries;
  if (absl::IsNotFound(why)) {
    SIM_REACHED("snapshot.fetch.session_gone");
    return GiveUp(MessageOf(why));
  }
  const bool lost = !start_ || lane_->Now() - heard_at_ >= options_.source_lost_after;
  if (offered_by_ != source_ && lost) {
    SIM_REACHED("snapshot.fetch.source_lost");
    return GiveUp("its source leads no more and does not answer");
  }
  if (start_) SIM_REACHED("snapshot.fetch.resumed");
  AskLater();
}

// ---- The incoming engine. ----

void SnapshotFetcher::Write(std::string chunk) {
  background_->Post([this, alive = alive_, attempt = attempt_, lane = lane_, incoming = incoming_,
                     start = *start_, chunk = std::move(chunk)]() mutable {
    Written written = incoming->Write(chunk, start);
    incoming = nullptr;
    lane->Post([this, alive, attempt, written = std::move(written)] {
      if (*alive && attempt == attempt_) OnWritten(written);
    });
  });
}

void SnapshotFetcher::OnWritten(const Written& written) {
  if (absl::IsResourceExhausted(written.status)) {
    return GiveUpWithoutSpace(MessageOf(written.status));
  }
  if (!written.status.ok()) return GiveUp(MessageOf(written.status));
  last_key_ = written.last_key;
  if (!written.finished) return Ask();
  SIM_REACHED("snapshot.fetch.whole");
  without_space_ = false;
  wanted_at_ = lane_->Now();  // the core hears of it now, and may take its time
  ++stats_.fetched;
  SetStage(Stage::kFetched);
  observer_.log(fmt::format("fetched the snapshot as of entry {} from member {}, {} bytes",
                            start_->index.value(), HexId(source_), stats_.bytes_now));
  observer_.fetched(*start_);
}

void SnapshotFetcher::GiveUp(std::string_view why) {
  without_space_ = false;
  observer_.log(fmt::format("gave up the snapshot from member {}: {}", HexId(source_), why));
  Drop(options_.rest);
}

// The leader offers it again and again, and so it is tried: it is told once, until that changes.
void SnapshotFetcher::GiveUpWithoutSpace(std::string_view why) {
  if (!std::exchange(without_space_, true)) {
    observer_.log(fmt::format(
        "gave up the snapshot from member {}: {}: expected room for a second state; tried again "
        "every {:.3g} s",
        HexId(source_), why, ToSeconds(options_.rest_without_space)));
  }
  Drop(options_.rest_without_space);
}

void SnapshotFetcher::Drop(Duration rest) {
  ++attempt_;
  ++stats_.failed;
  rest_until_ = lane_->Now() + rest;
  SetStage(Stage::kIdle);
  background_->Post([incoming = std::move(incoming_), home = home_]() mutable {
    incoming->Close();
    const absl::Status dropped = home->DropIncoming();
    // A full disk may refuse even a removal; the home makes up for it.
    if (!absl::IsResourceExhausted(dropped)) OrDie(dropped, "dropped");
  });
}

// A member may catch up by the log of another leader.
void SnapshotFetcher::WatchUnwanted() {
  unwanted_timer_ = lane_->RunAt(wanted_at_ + options_.unwanted_after, [this] {
    unwanted_timer_ = 0;
    // Not at once: the core may be about to hear that the state is here, and then it wants it.
    lane_->Post([this, alive = alive_] {
      if (*alive) DropIfUnwanted();
    });
  });
}

void SnapshotFetcher::DropIfUnwanted() {
  if (stage_ == Stage::kIdle || stage_ == Stage::kInstalling || unwanted_timer_ != 0) return;
  if (lane_->Now() < wanted_at_ + options_.unwanted_after) return WatchUnwanted();
  SIM_REACHED("snapshot.fetch.unwanted");
  GiveUp("nobody has offered one any more");
}

// ---- Installation. ----

void SnapshotFetcher::Install(Opened opened) {
  CHECK(stage_ == Stage::kFetched);
  SetStage(Stage::kInstalling);
  opened_ = std::move(opened);
  background_->Post([this, alive = alive_, lane = lane_, incoming = incoming_, home = home_] {
    OrDie(home->Adopt(), "put in place");
    absl::StatusOr<std::unique_ptr<kv::Engine>> engine = home->Open();
    OrDie(engine.status(), "opened in its place");
    incoming->engine = *std::move(engine);
    lane->Post([this, alive] {
      if (*alive) OnOpened();
    });
  });
}

void SnapshotFetcher::OnOpened() {
  SIM_REACHED("snapshot.fetch.installed");
  ++stats_.installed;
  SetStage(Stage::kIdle);
  const std::shared_ptr<Incoming> incoming = std::move(incoming_);
  observer_.log(fmt::format("installed the snapshot as of entry {}", start_->index.value()));
  std::exchange(opened_, nullptr)(std::move(incoming->engine));
}

}  // namespace conclave::server
