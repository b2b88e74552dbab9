#include "jepsen-style-tests/checker/exactly_once.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <utility>

#include "jepsen-style-tests/checker/report_draft.h"

namespace conclave::checker {
namespace {

using Pair = std::pair<std::string, std::string>;
using Revisions = std::vector<int64_t>;

std::string TextOf(const OnceWrite& write) {
  return fmt::format("write {} of client {}, {}={}: {} after {} attempts", write.id, write.process,
                     write.key, write.value, ToString(write.outcome), write.attempts);
}

class ExactlyOnce {
 public:
  explicit ExactlyOnce(const EventLog& log) {
    for (int64_t revision = 2; revision <= log.last_revision(); ++revision) {
      for (const KvEvent& event : log.At(revision)) {
        if (!event.is_delete) puts_[{event.key, event.value}].push_back(revision);
      }
    }
  }

  void Check(const OnceWrite& write) {
    CheckEffect(write);
    for (const RepeatedRequest& repeated : write.repeated) CheckRepeated(write, repeated);
  }

  Report Finish(uint64_t writes, uint64_t ok_writes, uint64_t ok_writes_min) && {
    if (ok_writes < ok_writes_min) {
      draft_.Invalidate(fmt::format("only {} writes were acknowledged", ok_writes));
    }
    return std::move(draft_).Finish(writes);
  }

 private:
  void CheckEffect(const OnceWrite& write) {
    const auto found = puts_.find({write.key, write.value});
    const Revisions at = found == puts_.end() ? Revisions() : found->second;
    if (at.size() > 1) {
      Fail("applied-twice", write, fmt::format("revisions {} put it", fmt::join(at, ", ")));
    }
    if (write.outcome == Outcome::kOk) {
      if (at.empty()) return Fail("lost", write, fmt::format("at revision {}", write.revision));
      if (at.front() == write.revision) return;
      Fail("wrong-revision", write,
           fmt::format("acknowledged at {}, put by {}", write.revision, at.front()));
    } else if (write.outcome == Outcome::kFail && !at.empty()) {
      Fail("refused-yet-applied", write, fmt::format("revision {} put it", at.front()));
    }
  }

  void CheckRepeated(const OnceWrite& write, const RepeatedRequest& repeated) {
    if (!repeated.same) {
      if (repeated.outcome == Outcome::kOk) {
        Fail("reused-id-answered", write, "another request under its id was acknowledged");
      }
      return;
    }
    if (repeated.refused_as_other) {
      Fail("other-answer", write, "the same request was refused as another one");
    }
    if (repeated.outcome == Outcome::kOk && repeated.response != write.response) {
      Fail("other-answer", write, "the same request got another answer later");
    }
  }

  void Fail(std::string_view anomaly, const OnceWrite& write, const std::string& why) {
    draft_.Fail(anomaly, fmt::format("{}\n{}", TextOf(write), why));
  }

  std::map<Pair, Revisions> puts_;
  ReportDraft draft_{"exactly-once", "writes"};
};

}  // namespace

Report CheckExactlyOnce(const std::vector<OnceWrite>& writes, const EventLog& log,
                        uint64_t ok_writes_min) {
  ExactlyOnce check(log);
  uint64_t ok_writes = 0;
  for (const OnceWrite& write : writes) {
    check.Check(write);
    ok_writes += write.outcome == Outcome::kOk;
  }
  return std::move(check).Finish(writes.size(), ok_writes, ok_writes_min);
}

}  // namespace conclave::checker
