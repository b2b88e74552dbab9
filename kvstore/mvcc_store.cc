#include "kvstore/mvcc_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kvstore/chain.h"
#include "kvstore/errors.h"
#include "kvstore/mvcc/compaction.h"
#include "kvstore/mvcc/hash.h"
#include "kvstore/mvcc/kept_bytes.h"
#include "kvstore/mvcc/range.h"
#include "kvstore/mvcc/range_view.h"
#include "kvstore/mvcc/txn.h"
#include "kvstore/mvcc/write_txn.h"
#include "raft/base/check.h"
#include "raft/base/coding.h"
#include "raft/base/probe.h"
#include "raft/base/seeded_bug.h"
#include "raft/base/text.h"

namespace conclave::kv {
namespace {

using etcdserverpb::TxnRequest;

// Changes when the layout of keys.h does.
constexpr std::string_view kFormat = "4";

// More of a drain's results than that do not wait for its end in memory.
constexpr size_t kUnwrittenResultBytesMax = 4 << 20;

struct State {
  LogPosition position;
  int64_t revision = 0;
  uint64_t chain = 0;
};

// Without the configuration, which has a key of its own.
std::string EncodeState(const State& state) {
  std::string value;
  PutFixed64(value, state.position.index);
  PutFixed64(value, state.position.term);
  PutFixed64(value, static_cast<uint64_t>(state.revision));
  PutFixed64(value, state.chain);
  return value;
}

absl::StatusOr<State> ReadState(const Engine& engine) {
  const std::optional<std::string> value = engine.Get(kStateKey);
  if (!value) return absl::DataLossError("the engine has lost the store's state");
  ByteReader in(*value);
  State state;
  state.position.index = in.Fixed64();
  state.position.term = in.Fixed64();
  state.revision = static_cast<int64_t>(in.Fixed64());
  state.chain = in.Fixed64();
  if (!in.finished()) return absl::DataLossError("the store's state is damaged");
  state.position.configuration = engine.Get(kConfigurationKey).value_or("");
  return state;
}

// Beside the state and not in it, for the state is the same on all members.
struct Installed {
  uint64_t index = 0;
  std::string configuration;  // that the source has told
};

std::string EncodeInstalled(const Installed& installed) {
  std::string value;
  PutFixed64(value, installed.index);
  return value += installed.configuration;
}

absl::StatusOr<Installed> ReadInstalled(const Engine& engine) {
  const std::optional<std::string> value = engine.Get(kInstalledKey);
  if (!value) return Installed();
  ByteReader in(*value);
  Installed installed;
  installed.index = in.Fixed64();
  if (!in.ok()) return absl::DataLossError("the store's state is damaged");
  installed.configuration = in.Take(in.remaining());
  return installed;
}

absl::Status CheckFormat(std::string_view format) {
  if (format == kFormat) return absl::OkStatus();
  return absl::DataLossError(
      fmt::format("the store has format {}, this version reads only format {}: start the member "
                  "with an empty data directory",
                  format, kFormat));
}

}  // namespace

LevelDbOptions StoreEngineOptions() {
  LevelDbOptions options;
  options.history_from = kHistoryPrefix;
  return options;
}

absl::StatusOr<std::unique_ptr<Store>> Store::Open(
    Engine* engine, const StoreOptions& options, const std::vector<etcdserverpb::Member>& members) {
  auto store = std::make_unique<MvccStore>(engine, options);
  if (absl::Status status = store->Load(members); !status.ok()) return status;
  return store;
}

MvccStore::MvccStore(Engine* engine, const StoreOptions& options)
    : options_(options),
      engine_(engine),
      keys_(std::make_unique<KeySpace>(engine, options.record_cache_bytes)),
      lessor_(engine),
      results_(options.results),
      watches_(WatchHub::New(options.watch, this, options.seed)) {}

// ---- Start. ----

absl::Status MvccStore::Load(const std::vector<etcdserverpb::Member>& members) {
  if (engine_->Get(kFormatKey)) return LoadAll();
  const std::unique_ptr<Iterator> it = engine_->NewIterator();
  it->Seek("");
  if (it->Valid()) return absl::DataLossError("the engine holds something else than a store");
  SetUp(members);
  return results_.Load(engine_);
}

absl::Status MvccStore::LoadAll() {
  const std::optional<std::string> format = engine_->Get(kFormatKey);
  if (!format) return absl::DataLossError("the engine holds something else than a store");
  absl::Status status = CheckFormat(*format);
  if (status.ok()) status = LoadState();
  if (status.ok()) status = LoadCompaction(keys_.get());
  if (status.ok()) status = keys_->counts.Load(*engine_);
  if (status.ok()) status = members_.Load(*engine_);
  if (status.ok()) status = alarms_.Load(*engine_);
  if (status.ok()) status = results_.Load(engine_);
  return status;
}

absl::Status MvccStore::LoadState() {
  absl::StatusOr<State> state = ReadState(*engine_);
  if (!state.ok()) return state.status();
  keys_->revision = state->revision;
  DropEventsAfter(keys_->revision, *engine_);
  chain_ = SEEDED_BUG(kChainForgotten) ? 0 : state->chain;
  const absl::StatusOr<uint64_t> kept_bytes = LoadKeptBytes(*engine_);
  if (!kept_bytes.ok()) return kept_bytes.status();
  keys_->kept_bytes = *kept_bytes;
  position_ = std::move(state->position);
  written_index_ = position_.index;
  absl::StatusOr<Installed> installed = ReadInstalled(*engine_);
  if (!installed.ok()) return installed.status();
  installed_index_ = installed->index;
  if (position_.configuration.empty()) position_.configuration = installed->configuration;
  SIM_REACHED("kv.store.reopened");
  if (SEEDED_BUG(kRevisionReused) && keys_->revision > 1) --keys_->revision;
  return absl::OkStatus();
}

void MvccStore::SetUp(const std::vector<etcdserverpb::Member>& members) {
  WriteBatch& batch = keys_->drain.batch();
  batch.Put(kFormatKey, kFormat);
  batch.Put(kStateKey, EncodeState({.position = {}, .revision = keys_->revision}));
  for (const etcdserverpb::Member& member : members) members_.Set(member, batch);
  keys_->drain.WriteOut(*engine_, keys_->cache);
  // No log can bring the bootstrap members back.
  engine_->Flush();
}

// ---- Drains. ----

void MvccStore::BeginEntry(uint64_t index) {
  CHECK(index == position_.index + 1);
  entry_begin_ = keys_->drain.batch().encoded().size();
  keys_->replaced_sum = 0;
  keys_->drain.SetWantsEvents(watches_->any_streams() || options_.recorder != nullptr);
}

void MvccStore::EndEntry(uint64_t index, uint64_t term, const absl::Status& outcome) {
  position_.index = index;
  position_.term = term;
  chain_ = NextChain(chain_, {.index = index,
                              .term = term,
                              .status_code = outcome.raw_code(),
                              .replaced_sum = keys_->replaced_sum,
                              .effects = keys_->drain.batch().encoded().substr(entry_begin_)});
}

void MvccStore::ApplyNothing(uint64_t index, uint64_t term) {
  BeginEntry(index);
  EndEntry(index, term, absl::OkStatus());
}

ApplyResult MvccStore::Apply(uint64_t index, uint64_t term, std::string_view command,
                             bool want_response) {
  BeginEntry(index);
  ApplyResult result = ApplyEncoded(index, command, want_response);
  EndEntry(index, term, result.status);
  return result;
}

std::optional<ApplyResult> MvccStore::ApplyIfCached(uint64_t index, uint64_t term,
                                                    std::string_view command, bool want_response) {
  BeginEntry(index);
  may_wait_ = false;
  ApplyResult result = ApplyEncoded(index, command, want_response);
  may_wait_ = true;
  if (std::exchange(cold_, false)) return std::nullopt;
  EndEntry(index, term, result.status);
  return result;
}

ApplyResult MvccStore::ApplyConfiguration(uint64_t index, uint64_t term,
                                          std::string_view configuration, std::string_view context,
                                          bool want_response) {
  BeginEntry(index);
  ApplyResult result;
  // Before the configuration, for a command may have the drain so far written out.
  if (!context.empty()) result = ApplyEncoded(index, context, want_response);
  if (!SEEDED_BUG(kConfigurationNotKept)) {
    keys_->drain.batch().Put(kConfigurationKey, configuration);
  }
  EndEntry(index, term, result.status);
  position_.configuration = configuration;
  return result;
}

ApplyResult MvccStore::ApplyEncoded(uint64_t index, std::string_view command, bool want_response) {
  const absl::StatusOr<Command> decoded = DecodeCommand(command);
  if (!decoded.ok()) {
    Fatal(fmt::format("log entry {}: {}", index, MessageOf(decoded.status())));
  }
  ApplyResult result = decoded->identity.present() ? ApplyOnce(index, *decoded, want_response)
                                                   : ApplyCommand(*decoded, want_response);
  if (!want_response || !result.status.ok()) result.response = std::monostate();
  return result;
}

ApplyResult MvccStore::ApplyOnce(uint64_t index, const Command& command, bool want_response) {
  if (results_.unwritten_bytes() > kUnwrittenResultBytesMax) WriteOut();
  if (!SEEDED_BUG(kResultNotConsulted)) {
    if (std::optional<ApplyResult> known = results_.Find(command, want_response)) {
      return *std::move(known);
    }
  }
  // With its response on every member, for it is part of the state.
  ApplyResult result = ApplyCommand(command, /*want_response=*/true);
  if (cold_) return result;
  results_.Keep(index, command, result, keys_->drain.batch());
  return result;
}

void MvccStore::WriteOut() {
  if (written_index_ == position_.index) return;
  keys_->counts.WriteChanged(keys_->drain.batch());
  PutKeptBytes(keys_->kept_bytes, keys_->drain.batch());
  SaveProgress(keys_.get());
  results_.FinishBatch(keys_->drain.batch());
  State state{.position = {}, .revision = keys_->revision, .chain = chain_};
  state.position.index = SEEDED_BUG(kAppliedIndexApart) ? written_index_ : position_.index;
  state.position.term = position_.term;
  keys_->drain.batch().Put(kStateKey, EncodeState(state));
  keys_->drain.WriteOut(*engine_, keys_->cache);
  keys_->latest.OnWritten();
  entry_begin_ = 0;
  written_index_ = position_.index;
  BalanceCounts();
}

void MvccStore::BalanceCounts() {
  if (!keys_->counts.needs_balance()) return;
  WriteBatch batch;
  keys_->counts.Balance(
      [this](const KeySpan& span, absl::FunctionRef<void(std::string_view)> visit) {
        keys_->latest.Scan(span, [&](std::string_view key, const RecordView&) {
          visit(key);
          return true;
        });
      },
      batch);
  if (!batch.empty()) engine_->Write(batch);
}

void MvccStore::Commit() {
  WriteOut();
  const std::vector<SharedRevisionEvents> events = keys_->drain.TakeEvents();
  if (!events.empty() && options_.recorder) options_.recorder(events);
  if (!watches_->any_streams()) {
    watches_->PassOver(keys_->revision);
  } else if (!events.empty()) {
    watches_->Publish(events);
  }
  if (std::exchange(compacted_, false)) watches_->Compacted(keys_->compact_revision);
}

// ---- Snapshots. ----

absl::Status MvccStore::Adopt(Engine* engine) {
  CHECK_MSG(keys_->drain.empty() && written_index_ == position_.index,
            "a snapshot in the middle of a drain");
  const LogPosition before = std::exchange(position_, {});
  engine_ = engine;
  keys_ = std::make_unique<KeySpace>(engine, options_.record_cache_bytes);
  members_ = {};
  alarms_ = {};
  if (absl::Status status = LoadAll(); !status.ok()) return status;
  lessor_.Reload(engine);
  CHECK_MSG(position_.index >= before.index, "a snapshot older than the state it replaces");
  watches_->Reload(this);
  return absl::OkStatus();
}

absl::StatusOr<LogPosition> Store::MarkInstalled(Engine* incoming, std::string_view configuration) {
  absl::StatusOr<State> state = ReadState(*incoming);
  if (!state.ok()) return state.status();
  WriteBatch batch;
  batch.Put(kInstalledKey, EncodeInstalled({state->position.index, std::string(configuration)}));
  if (!SEEDED_BUG(kInstallNotMarked)) incoming->Write(batch);
  return std::move(state->position);
}

// ---- Reads. ----

absl::Status MvccStore::Range(const etcdserverpb::RangeRequest& request,
                              etcdserverpb::RangeResponse* response) const {
  CHECK_MSG(keys_->drain.empty(), "a read in the middle of a drain");
  if (absl::Status status = CheckReadable(*keys_, request.revision()); !status.ok()) return status;
  ReadRange(*keys_, request, keys_->revision, *response);
  return absl::OkStatus();
}

absl::StatusOr<bool> MvccStore::RangeIfShort(const etcdserverpb::RangeRequest& request,
                                             etcdserverpb::RangeResponse* response) const {
  CHECK_MSG(keys_->drain.empty(), "a read in the middle of a drain");
  if (absl::Status status = CheckReadable(*keys_, request.revision()); !status.ok()) return status;
  if (MayBeLong(*keys_, request, options_.long_range_keys)) {
    SIM_REACHED("kv.range.long");
    return false;
  }
  return ReadShortRange(*keys_, request, options_.long_range_bytes, *response);
}

absl::StatusOr<std::unique_ptr<RangeView>> MvccStore::ViewRange(
    const etcdserverpb::RangeRequest& request, const RangeProgress& progress) const {
  const int64_t revision = progress.revision > 0 ? progress.revision : request.revision();
  if (absl::Status status = CheckReadable(*keys_, revision); !status.ok()) return status;
  return std::make_unique<RangeView>(*keys_, request, progress);
}

absl::StatusOr<RangeWork> MvccStore::PrepareRange(const etcdserverpb::RangeRequest& request) const {
  if (absl::Status status = CheckReadable(*keys_, request.revision()); !status.ok()) return status;
  return [range = std::make_unique<LongRange>(*keys_, request)](
             etcdserverpb::RangeResponse* response) { range->Read(*response); };
}

absl::Status MvccStore::ReadOnlyTxn(const TxnRequest& request,
                                    etcdserverpb::TxnResponse* response) const {
  CHECK_MSG(keys_->drain.empty(), "a read in the middle of a drain");
  return ReadTxn(*keys_, request, response);
}

bool Store::IsAlarmOn(etcdserverpb::AlarmType type) const {
  const std::vector<etcdserverpb::AlarmMember> alarms = Alarms();
  return std::any_of(alarms.begin(), alarms.end(),
                     [type](const auto& alarm) { return alarm.alarm() == type; });
}

HashedState MvccStore::StateIn(const EngineReader& view) const {
  CHECK_MSG(keys_->drain.empty(), "a read in the middle of a drain");
  return {.engine = &view,
          .compact_revision = keys_->compact_revision,
          .removal_finished = keys_->compaction.finished == keys_->compact_revision};
}

absl::StatusOr<HashWork> MvccStore::PrepareHashKv(int64_t revision) const {
  const int64_t up_to = revision > 0 ? revision : keys_->revision;
  if (absl::Status status = CheckReadable(*keys_, up_to); !status.ok()) return status;
  std::unique_ptr<EngineView> view = engine_->NewView();
  const HashedState state = StateIn(*view);
  return [view = std::move(view), state, up_to] {
    return HashResult{.hash = HashHistory(state, up_to),
                      .compact_revision = state.compact_revision,
                      .hash_revision = up_to};
  };
}

HashWork MvccStore::PrepareHash() const {
  std::unique_ptr<EngineView> view = engine_->NewView();
  const HashedState state = StateIn(*view);
  return [view = std::move(view), state, newest = keys_->revision] {
    return HashResult{.hash = HashAll(state, newest),
                      .compact_revision = state.compact_revision,
                      .hash_revision = newest};
  };
}

std::vector<SharedRevisionEvents> MvccStore::ReadEvents(int64_t from, size_t revisions_max,
                                                        size_t bytes_max) const {
  CHECK(from >= keys_->compact_revision);
  return keys_->past.ReadEvents(from, revisions_max, bytes_max);
}

std::optional<Record> MvccStore::RecordAt(std::string_view key, Revision revision) const {
  return keys_->past.RecordAt(key, revision);
}

bool MvccStore::CompactStep() { return kv::CompactStep(keys_.get(), options_.compaction_batch); }

}  // namespace conclave::kv
