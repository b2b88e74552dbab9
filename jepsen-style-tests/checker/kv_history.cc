#include "jepsen-style-tests/checker/kv_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "jepsen-style-tests/checker/report_draft.h"
#include "raft/base/check.h"

namespace conclave::checker {
namespace {

using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;

// A transaction is serializable if it is nothing but serializable ranges.
bool IsSerializable(const TxnRequest& request) {
  for (const auto* branch : {&request.success(), &request.failure()}) {
    for (const RequestOp& op : *branch) {
      if (!op.has_request_range() || !op.request_range().serializable()) return false;
    }
  }
  return true;
}

constexpr size_t kTextMax = 400;  // bytes of a message that an explanation shows

template <typename Message>
std::string Text(const Message& message) {
  const std::string text = message.ShortDebugString();
  return fmt::format("{{{:.{}}{}}}", text, kTextMax, text.size() > kTextMax ? "..." : "");
}

std::string NameOf(const KvRequest& request) {
  static constexpr const char* kNames[] = {"put", "range", "delete-range", "txn", "compact"};
  return kNames[request.index()];
}

}  // namespace

std::string ToString(const KvEvent& event) {
  if (event.is_delete) return fmt::format("{}.{} delete {}", event.revision, event.sub, event.key);
  return fmt::format("{}.{} put {}=\"{}\" (create {}, version {}, lease {})", event.revision,
                     event.sub, event.key, event.value, event.create_revision, event.version,
                     event.lease);
}

KvEvent EventOf(const mvccpb::Event& delivered) {
  const mvccpb::KeyValue& kv = delivered.kv();
  return {.revision = kv.mod_revision(),
          .sub = 0,
          .key = kv.key(),
          .value = kv.value(),
          .is_delete = delivered.type() == mvccpb::Event::DELETE,
          .lease = kv.lease(),
          .create_revision = kv.create_revision(),
          .version = kv.version()};
}

void EventLog::Add(int64_t revision, std::vector<KvEvent> events, int64_t applied_ns) {
  CHECK(revision >= 2);
  for (size_t i = 0; i < events.size(); ++i) {
    events[i].revision = revision;
    events[i].sub = static_cast<int64_t>(i);
  }
  const auto at = static_cast<size_t>(revision);
  if (at >= revisions_.size()) revisions_.resize(at + 1);
  Revision& known = revisions_[at];
  known.applied_ns = std::min(known.applied_ns, applied_ns);
  if (known.events.empty()) {
    known.events = std::move(events);
    return;
  }
  if (known.events == events || !divergence_.empty()) return;
  divergence_ = fmt::format("revision {} was applied in two ways:", revision);
  for (const KvEvent& event : known.events) divergence_ += "\n  one: " + ToString(event);
  for (const KvEvent& event : events) divergence_ += "\n  other: " + ToString(event);
}

const std::vector<KvEvent>& EventLog::At(int64_t revision) const {
  static const auto* const kNone = new std::vector<KvEvent>;
  if (revision < 0 || revision > last_revision()) return *kNone;
  return revisions_[static_cast<size_t>(revision)].events;
}

int64_t EventLog::applied_ns(int64_t revision) const {
  if (revision < 0 || revision > last_revision()) return kNeverReturned;
  return revisions_[static_cast<size_t>(revision)].applied_ns;
}

Report EventLog::Check(uint64_t revisions_min) const {
  ReportDraft report("event-log", "revisions");
  if (!divergence_.empty()) report.Fail("diverged-events", divergence_);
  for (int64_t revision = 2; revision <= last_revision(); ++revision) {
    if (!At(revision).empty()) continue;
    report.Fail("missing-revision", fmt::format("revision {} has no events, the newest is {}",
                                                revision, last_revision()));
  }
  const auto count = static_cast<uint64_t>(last_revision() - 1);
  if (count < revisions_min) report.Invalidate(fmt::format("only {} revisions", count));
  return std::move(report).Finish(count);
}

bool KvOperation::serializable() const {
  if (const auto* range = std::get_if<etcdserverpb::RangeRequest>(&request)) {
    return range->serializable();
  }
  const auto* txn = std::get_if<TxnRequest>(&request);
  return txn != nullptr && IsSerializable(*txn);
}

int64_t KvOperation::header_revision() const {
  return std::visit(
      [](const auto& answer) -> int64_t {
        if constexpr (std::is_same_v<std::decay_t<decltype(answer)>, std::monostate>) {
          return 0;
        } else {
          return answer.header().revision();
        }
      },
      response);
}

std::string ToString(const KvOperation& operation) {
  std::string line = fmt::format("operation {} of process {}, called at {} ns: {} ", operation.id,
                                 operation.process, operation.called_ns, NameOf(operation.request));
  line += std::visit([](const auto& request) { return Text(request); }, operation.request);
  line += fmt::format(" -> {} ", ToString(operation.outcome));
  if (operation.outcome == Outcome::kFail) return line + operation.error;
  if (operation.outcome == Outcome::kInfo) return line;
  std::visit(
      [&](const auto& answer) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(answer)>, std::monostate>) {
          line += Text(answer);
        }
      },
      operation.response);
  return line + fmt::format(" at {} ns", operation.returned_ns);
}

}  // namespace conclave::checker
