#include "jepsen-style-tests/checker/lease_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "jepsen-style-tests/checker/key_versions.h"
#include "jepsen-style-tests/checker/report_draft.h"

namespace conclave::checker {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kMillion = 1'000'000;
constexpr int64_t kTtlMaxS = 1'000'000'000;  // longer than any run; keeps sums in range

// A grant or keepalive that gave the lease its full TTL at some time between call and return.
struct Renewal {
  int64_t ttl_s = 0;
  int64_t called_ns = 0;
  int64_t returned_ns = 0;
};

// All that is known of one lease.
struct Life {
  bool granted = false;                       // acknowledged
  std::vector<Renewal> renewals;              // acknowledged
  std::vector<const LeaseKeepAlive*> missed;  // acknowledged, but the lease was not found
  std::vector<const LeaseRevoke*> revokes;    // but those that failed
  std::vector<const LeaseEnd*> ends;          // by time
  int64_t last_renewal_ns = 0;                // after this it is left alone
  int64_t ttl_max_s = 0;
  int64_t last_attach = 0;  // the newest revision that attached a key
};

class LeaseRules {
 public:
  LeaseRules(const LeaseHistory& history, const EventLog& log, const LeaseRulesOptions& options)
      : history_(history), log_(log), options_(options), versions_(log) {}

  Report Check() && {
    Collect();
    for (const auto& [lease, life] : lives_) {
      CheckEarlyEnd(lease, life);
      CheckEnds(lease, life);
      CheckAfterEnd(lease, life);
      CheckMissed(lease, life);
      CheckLate(lease, life);
    }
    if (grants_ < options_.leases_min) report_.Invalidate(fmt::format("only {} leases", grants_));
    return std::move(report_).Finish(grants_);
  }

 private:
  void Fail(std::string_view anomaly, int64_t lease, std::string_view explanation) {
    report_.Fail(anomaly, fmt::format("lease {:x}: {}", lease, explanation));
  }

  void Collect() {
    for (const LeaseGrant& grant : history_.grants) {
      Life& life = lives_[grant.lease];
      if (grant.outcome == Outcome::kFail) continue;
      AddRenewal(life, grant);
      if (grant.outcome != Outcome::kOk) continue;
      if (life.granted) {
        report_.Invalidate(fmt::format("lease {:x} was granted twice", grant.lease));
      }
      life.granted = true;
      ++grants_;
    }
    for (const LeaseKeepAlive& keepalive : history_.keepalives) {
      Life& life = lives_[keepalive.lease];
      const bool missed = keepalive.outcome == Outcome::kOk && keepalive.ttl_s == 0;
      if (missed) life.missed.push_back(&keepalive);
      if (!missed && keepalive.outcome != Outcome::kFail) AddRenewal(life, keepalive);
    }
    for (const LeaseRevoke& revoke : history_.revokes) {
      if (revoke.outcome != Outcome::kFail) lives_[revoke.lease].revokes.push_back(&revoke);
    }
    for (const LeaseEnd& end : history_.ends) lives_[end.lease].ends.push_back(&end);
    for (auto& [lease, life] : lives_) {
      std::stable_sort(
          life.ends.begin(), life.ends.end(),
          [](const LeaseEnd* a, const LeaseEnd* b) { return a->applied_ns < b->applied_ns; });
    }
    for (int64_t revision = 2; revision <= log_.last_revision(); ++revision) {
      for (const KvEvent& event : log_.At(revision)) {
        if (event.lease != 0) lives_[event.lease].last_attach = revision;
      }
    }
  }

  template <typename GrantOrKeepAlive>
  void AddRenewal(Life& life, const GrantOrKeepAlive& request) {
    const bool answered = request.outcome == Outcome::kOk;
    const int64_t ttl_s = std::min(request.ttl_s, kTtlMaxS);
    const int64_t by = answered ? request.returned_ns : request.called_ns + options_.unanswered_ns;
    life.last_renewal_ns = std::max(life.last_renewal_ns, by);
    life.ttl_max_s = std::max(life.ttl_max_s, ttl_s);
    if (answered) life.renewals.push_back({ttl_s, request.called_ns, request.returned_ns});
  }

  // The least true time that a TTL lasts, whatever the clock.
  int64_t ShortestNs(int64_t ttl_s) const {
    const int64_t ttl_ns = ttl_s * kSecondNs;
    const int64_t fast =
        (ttl_ns / (kMillion + options_.clock_drift_ppm) + 1) * options_.clock_drift_ppm;
    return ttl_ns - fast - options_.clock_jump_ns;
  }
  // How much longer a time is by the slowest clock.
  int64_t SlowNs(int64_t ns) const {
    return (ns / (kMillion - options_.clock_drift_ppm) + 1) * options_.clock_drift_ppm;
  }
  // The longest until a lease with so much left is gone, in a healthy cluster.
  int64_t LongestNs(int64_t left_ns) const {
    return left_ns + SlowNs(left_ns) + options_.expiry_slack_ns;
  }
  // The most that a leader gives the lease if its predecessor has left it alone for so long, in a
  // healthy cluster, and has begun with `left_ns` at most.
  int64_t LeftNs(int64_t ttl_ns, int64_t left_ns, int64_t alone_ns) const {
    const int64_t first_step_ns = std::max(options_.checkpoint_step_ns, ttl_ns / 2);
    const int64_t step_ns = std::max(options_.checkpoint_step_ns, ttl_ns / 16);
    // When all was decided that is committed by now.
    const int64_t then_ns =
        LongestNs(left_ns) - alone_ns + SlowNs(ttl_ns) + options_.checkpoint_lag_ns;
    const bool due = alone_ns >= options_.checkpoint_lag_ns && then_ns <= ttl_ns - first_step_ns;
    if (!due) return left_ns;
    return std::min(left_ns, std::max<int64_t>(then_ns, 0) + step_ns + kSecondNs);
  }

  void CheckEnds(int64_t lease, const Life& life) {
    for (const LeaseEnd* end : life.ends) {
      if (end->revision != 0 && !EndsLease(log_, versions_, end->revision, lease)) {
        std::string keys;
        for (const std::string& key : versions_.KeysOf(lease, end->revision - 1)) keys += key + " ";
        Fail("lease-split-delete", lease,
             fmt::format("had keys {}but revision {} is not their deletion", keys, end->revision));
      }
      const bool used_after =
          end->revision != 0
              ? life.last_attach > end->revision
              : life.last_attach != 0 && log_.applied_ns(life.last_attach) > end->applied_ns;
      if (!used_after) continue;
      Fail("lease-used-after-end", lease,
           fmt::format("ended at {} ns, revision {}; revision {} attached a key", end->applied_ns,
                       end->revision, life.last_attach));
    }
    if (life.ends.size() > 1) {
      Fail("lease-ended-twice", lease,
           fmt::format("at {} ns and {} ns", life.ends[0]->applied_ns, life.ends[1]->applied_ns));
    }
  }

  static bool MayBeRevoked(const Life& life, int64_t by_ns) {
    return std::any_of(life.revokes.begin(), life.revokes.end(),
                       [&](const LeaseRevoke* revoke) { return revoke->called_ns <= by_ns; });
  }

  void CheckEarly(int64_t lease, const Renewal& renewal, std::string_view what, int64_t at_ns) {
    if (at_ns >= renewal.called_ns + ShortestNs(renewal.ttl_s)) return;
    Fail("lease-early-expiry", lease,
         fmt::format("{} at {} ns, but a request called at {} ns gave it {} s", what, at_ns,
                     renewal.called_ns, renewal.ttl_s));
  }

  void CheckEarlyEnd(int64_t lease, const Life& life) {
    for (const LeaseEnd* end : life.ends) {
      if (MayBeRevoked(life, end->applied_ns)) continue;
      for (const Renewal& renewal : life.renewals) {
        if (renewal.called_ns < end->applied_ns) {
          CheckEarly(lease, renewal, "ended", end->applied_ns);
        }
      }
    }
  }

  void CheckMissed(int64_t lease, const Life& life) {
    for (const LeaseKeepAlive* missed : life.missed) {
      if (MayBeRevoked(life, missed->returned_ns)) continue;
      for (const Renewal& renewal : life.renewals) {
        if (renewal.returned_ns < missed->called_ns) {
          CheckEarly(lease, renewal, "not found", missed->returned_ns);
        }
      }
    }
  }

  void CheckAfterEnd(int64_t lease, const Life& life) {
    for (const LeaseEnd* end : life.ends) {
      for (const Renewal& renewal : life.renewals) {
        if (renewal.called_ns <= end->applied_ns) continue;
        Fail("lease-renewed-after-end", lease,
             fmt::format("ended at {} ns, but a request called at {} ns gave it {} s",
                         end->applied_ns, renewal.called_ns, renewal.ttl_s));
      }
    }
    for (const LeaseRevoke* revoke : life.revokes) {
      if (revoke->outcome != Outcome::kOk || !MustEnd(lease, life)) continue;
      const bool ended = !life.ends.empty() &&
                         (revoke->revision == 0 || life.ends.front()->revision <= revoke->revision);
      if (ended) continue;
      Fail("lease-survived-revoke", lease,
           fmt::format("revoke acknowledged at {} ns, revision {}", revoke->returned_ns,
                       revoke->revision));
    }
  }

  // Whether its end, had there been one, would be in the history.
  bool MustEnd(int64_t lease, const Life& life) const {
    return history_.keyless_ends_known || !life.ends.empty() ||
           !versions_.KeysOf(lease, log_.last_revision()).empty();
  }

  void CheckLate(int64_t lease, const Life& life) {
    if (!life.granted || !MustEnd(lease, life)) return;
    const int64_t ttl_ns = life.ttl_max_s * kSecondNs;
    int64_t left_ns = ttl_ns;  // when the next leader begins
    for (const HealthyInterval& healthy : history_.healthy) {
      const int64_t alone_ns = std::max(healthy.from_ns, life.last_renewal_ns);
      if (alone_ns > healthy.to_ns) continue;
      const int64_t deadline_ns = alone_ns + LongestNs(left_ns);
      if (deadline_ns <= healthy.to_ns) CheckGone(lease, life, healthy, alone_ns, left_ns);
      left_ns = LeftNs(ttl_ns, left_ns, healthy.to_ns - alone_ns);
    }
  }

  void CheckGone(int64_t lease, const Life& life, const HealthyInterval& healthy, int64_t alone_ns,
                 int64_t left_ns) {
    const auto text = [&](std::string_view what) {
      return fmt::format("left alone from {} ns with {} ns of its {} s, healthy until {} ns: {}",
                         alone_ns, left_ns, life.ttl_max_s, healthy.to_ns, what);
    };
    if (life.ends.empty()) {
      Fail("lease-never-expired", lease, text("did not end"));
    } else if (life.ends.front()->applied_ns > alone_ns + LongestNs(left_ns)) {
      Fail("lease-late-expiry", lease,
           text(fmt::format("ended at {} ns", life.ends.front()->applied_ns)));
    }
  }

  const LeaseHistory& history_;
  const EventLog& log_;
  const LeaseRulesOptions& options_;
  const KeyVersions versions_;
  std::map<int64_t, Life> lives_;
  uint64_t grants_ = 0;
  ReportDraft report_{"lease-rules", "leases"};
};

}  // namespace

std::vector<LeaseEnd> LeaseEndsOf(const EventLog& log, const std::set<int64_t>& operations) {
  const KeyVersions versions(log);
  std::vector<LeaseEnd> ends;
  for (int64_t revision = 2; revision <= log.last_revision(); ++revision) {
    if (operations.contains(revision)) continue;
    const int64_t lease = LeaseOfDeletes(log, versions, revision);
    if (lease != 0) ends.push_back({lease, revision, log.applied_ns(revision)});
  }
  return ends;
}

Report CheckLeases(const LeaseHistory& history, const EventLog& log,
                   const LeaseRulesOptions& options) {
  return LeaseRules(history, log, options).Check();
}

}  // namespace conclave::checker
