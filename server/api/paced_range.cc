#include "server/api/paced_range.h"

#include <algorithm>
#include <utility>

#include "raft/base/probe.h"

namespace conclave::server {

PacedRange::PacedRange(const ApiContext& context, CallRef call,
                       const etcdserverpb::RangeRequest& request)
    : request_(request), context_(context), call_(std::move(call)) {}

void PacedRange::Start(uint64_t bytes) {
  RangeBudget* const budget = context_.range_budget;
  reservation_.Reserve(budget, std::min(bytes, budget->bytes()),
                       [this, alive = alive_](const absl::Status& status) {
                         if (!*alive) return;
                         if (!status.ok()) return call_->Finish(status);
                         taken_at_ = context_.node->lane()->Now();
                         ArmRoomCheck();
                         ReadNext();
                       });
}

void PacedRange::OnWritable() {
  if (waits_for_room_) OnRoom();
}

void PacedRange::OnClosed() {
  *alive_ = false;
  if (room_timer_ != 0) context_.node->lane()->CancelTimer(room_timer_);
  held_ = nullptr;
  call_ = nullptr;
  reservation_.Release();
}

absl::Status PacedRange::Pin() {
  absl::StatusOr<std::unique_ptr<kv::RangeView>> view =
      context_.node->store().ViewRange(request_, progress_);
  if (!view.ok()) {
    if (progress_.met > 0) SIM_REACHED("api.range.compacted_amid");
    return view.status();
  }
  if (progress_.met > 0) SIM_REACHED("api.range.pinned_again");
  progress_ = (*view)->start();
  held_ = context_.node->Hold(*std::move(view));
  pinned_at_ = context_.node->lane()->Now();
  return absl::OkStatus();
}

bool PacedRange::HasRoom() {
  waits_for_room_ = !call_->Writable();
  if (waits_for_room_) SIM_REACHED("api.range.waits_for_client");
  return !waits_for_room_;
}

void PacedRange::ReadNext() {
  if (!call_->open() || !CheckNotFenced(context_, call_)) return;
  if (!HasRoom()) return;
  if (context_.node->lane()->Now() - pinned_at_ >= options().view_age_max) Unpin();
  if (held_ == nullptr || held_->view == nullptr) {
    if (absl::Status status = Pin(); !status.ok()) return call_->Finish(status);
  }
  auto piece = std::make_shared<kv::RangePiece>();
  context_.node->ReadPiece(
      *held_,
      [piece, from = progress_, bounds = NextBounds()](const kv::RangeView& view) {
        *piece = view.Read(from, bounds);
      },
      [this, alive = alive_, piece] {
        if (!*alive || !call_->open()) return;
        progress_ = piece->progress;
        OnPiece(*piece);
      });
}

void PacedRange::Send(std::string_view part) {
  if (part.empty()) return;  // a message may be whole already
  sent_ += part.size();
  call_->SendPart(part);
}

void PacedRange::ArmRoomCheck() {
  Executor* const lane = context_.node->lane();
  room_timer_ = lane->RunAt(lane->Now() + options().room_check_interval, [this] { CheckRoom(); });
}

// Also of an answer that is finished and not taken: its memory is in use until it is.
void PacedRange::CheckRoom() {
  room_timer_ = 0;
  const Instant now = context_.node->lane()->Now();
  const uint64_t queued = call_->queued_bytes();
  const uint64_t taken = sent_ - std::min(sent_, queued);
  if (queued == 0 || taken != std::exchange(taken_seen_, taken)) taken_at_ = now;
  if (waits_for_room_) {
    SIM_REACHED("api.range.unpinned");
    Unpin();
  }
  if (now - taken_at_ >= options().stalled_max) {
    SIM_REACHED("api.range.abandoned");
    return call_->Abandon();
  }
  ArmRoomCheck();
}

std::string PacedRange::EncodedHeader() const {
  etcdserverpb::RangeResponse response;
  context_.node->FillHeader(response.mutable_header());
  response.mutable_header()->set_revision(progress_.header_revision);
  return response.SerializeAsString();
}

std::string PacedRange::EncodedEnd(const kv::RangePiece& last) {
  etcdserverpb::RangeResponse response;
  response.set_more(last.progress.more);
  response.set_count(last.count);
  return response.SerializeAsString();
}

}  // namespace conclave::server
