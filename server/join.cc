#include "server/join.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "raft/base/posix_executor.h"
#include "raft/base/text.h"
#include "server/bootstrap/joining.h"
#include "server/config/flags.h"
#include "server/logging/log.h"
#include "server/peer/guest_call.h"

namespace conclave::server {

namespace {

// The same question to every other member, as often as they answer.
class Inquiry {
 public:
  using Answer = absl::StatusOr<peerpb::MembersResponse>;
  // True: nothing more needs to be known.
  using OnAnswer = std::function<bool(const Answer&)>;

  // `guest` without URLs, seed and times.
  Inquiry(const ServerConfig& config, EventLoop* loop, const JoinOptions& join,
          const GuestOptions& guest, OnAnswer on_answer)
      : loop_(loop),
        stop_wanted_(join.stop_wanted),
        names_("names"),
        on_answer_(std::move(on_answer)) {
    for (const ClusterMember& member : config.initial_cluster) {
      if (member.name == config.name) continue;
      const size_t index = heard_.size();
      heard_.push_back(false);
      urls_.push_back(fmt::format("{}", fmt::join(ToStrings(member.peer_urls), ",")));
      GuestOptions options = guest;
      options.urls = ToStrings(member.peer_urls);
      options.seed = join.seed + index;
      options.ask_again = join.ask_again;
      calls_.push_back(std::make_unique<GuestCall>(
          loop, &names_, std::move(options),
          [this, index](absl::StatusOr<std::string> bytes) { Take(index, std::move(bytes)); }));
    }
  }

  // Whom it asks.
  const std::vector<std::string>& urls() const { return urls_; }

  // Until `on_answer` has said true, or `patience` is over, or it is to stop; with `once`, also
  // until each has said something or cannot be reached.
  void Run(Duration patience, bool once) {
    const Instant deadline = loop_->Now() + patience;
    const auto all_heard = [this] {
      return std::all_of(heard_.begin(), heard_.end(), [](bool heard) { return heard; });
    };
    while (!satisfied_ && !stopped() && loop_->Now() < deadline && !(once && all_heard())) {
      loop_->RunTurn(Milliseconds(20));
    }
  }
  bool stopped() const { return stop_wanted_(); }

 private:
  void Take(size_t index, absl::StatusOr<std::string> bytes) {
    heard_[index] = true;
    satisfied_ |= on_answer_(Parse(bytes));
  }

  static Answer Parse(const absl::StatusOr<std::string>& bytes) {
    if (!bytes.ok()) return bytes.status();
    peerpb::MembersResponse answer;
    if (!answer.ParseFromString(*bytes)) return absl::DataLossError("a malformed answer");
    return answer;
  }

  EventLoop* const loop_;
  const std::function<bool()> stop_wanted_;
  PosixExecutor names_;  // asks the name service
  OnAnswer on_answer_;
  std::vector<std::string> urls_;
  std::vector<bool> heard_;
  std::vector<std::unique_ptr<GuestCall>> calls_;
  bool satisfied_ = false;
};

absl::Status Stopped() {
  return absl::CancelledError("told to stop while it asked the members of the cluster");
}

absl::StatusOr<Identity> NewIdentity(const ServerConfig& config, EventLoop* loop,
                                     const JoinOptions& options) {
  absl::StatusOr<Identity> identity = InitialIdentity(config);
  if (!identity.ok() || identity->members.size() < 2) return identity;
  absl::Status verdict;
  bool certain = false;
  bool runs = false;
  GuestOptions guest;
  guest.cluster_id = identity->cluster_id;
  guest.id = identity->member_id;
  Inquiry inquiry(config, loop, options, guest, [&](const Inquiry::Answer& answer) {
    if (absl::IsFailedPrecondition(answer.status())) {
      verdict = ErrorOfRemoved(config, identity->member_id);
    } else if (answer.ok()) {
      // That it has run stays true, however old the answer is. That it has not does not.
      verdict = CheckMayStart(config, identity->member_id, *answer);
      certain |= answer->up_to_date();
      runs |= answer->has_log();
    }
    return certain || !verdict.ok();
  });
  Log(LogLevel::kInfo, "asking whether the cluster runs already",
      {{"members", fmt::format("{}", fmt::join(inquiry.urls(), " "))}});
  inquiry.Run(options.patience_of_new, /*once=*/true);
  if (runs && !certain && verdict.ok()) {
    Log(LogLevel::kInfo, "the cluster has run, but none of its members knows a leader: asking on");
    inquiry.Run(options.patience_of_joining, /*once=*/false);
  }
  if (inquiry.stopped()) return Stopped();
  if (!verdict.ok()) return verdict;
  if (runs && !certain) {
    return absl::UnavailableError(fmt::format(
        "--data-dir: {} is empty, but the cluster has run: expected a member that knows a leader, "
        "and so whether this one has run before, but none does: start it again when they do",
        config.data_dir));
  }
  return identity;
}

// Why the cluster was not joined: what an answer that counts says against it is worth more than
// that another does not count, and that more than that a third gave none.
class Reason {
 public:
  void Take(int weight, const absl::Status& why) {
    if (weight >= weight_) why_ = why;
    weight_ = std::max(weight, weight_);
  }
  absl::Status ToStatus() const {
    if (!why_.ok() && !absl::IsUnavailable(why_)) return why_;
    return absl::UnavailableError(
        fmt::format("--initial-cluster: expected a member that answers and knows a leader, but "
                    "there was none: {}",
                    why_.ok() ? "no answer" : MessageOf(why_)));
  }

 private:
  absl::Status why_;
  int weight_ = 0;
};

absl::StatusOr<Identity> JoinCluster(const ServerConfig& config, EventLoop* loop,
                                     const JoinOptions& options) {
  if (config.initial_cluster.size() < 2) {
    return absl::InvalidArgumentError(
        fmt::format("--initial-cluster: expected the members of the cluster to join, this one "
                    "included, but it is \"{}\"",
                    FormatInitialCluster(config.initial_cluster)));
  }
  std::optional<Identity> found;
  Reason why_not;
  Inquiry inquiry(config, loop, options, /*guest=*/{}, [&](const Inquiry::Answer& answer) {
    if (!answer.ok()) {
      why_not.Take(0, answer.status());
    } else if (!answer->up_to_date()) {
      // Neither who is there nor who was before: it may be another's turn at these URLs by now.
      why_not.Take(1, absl::UnavailableError("one answered that knows no leader"));
    } else if (absl::StatusOr<Identity> identity = JoiningIdentity(config, *answer);
               identity.ok()) {
      found = *std::move(identity);
    } else {
      why_not.Take(2, identity.status());
      return absl::IsFailedPrecondition(identity.status());
    }
    return found.has_value();
  });
  Log(LogLevel::kInfo, "asking the cluster who is in it",
      {{"members", fmt::format("{}", fmt::join(inquiry.urls(), " "))}});
  inquiry.Run(options.patience_of_joining, /*once=*/false);
  if (inquiry.stopped()) return Stopped();
  if (found) return *std::move(found);
  return why_not.ToStatus();
}

}  // namespace

absl::StatusOr<Identity> IdentityOfNewMember(const ServerConfig& config, EventLoop* loop,
                                             const JoinOptions& options) {
  loop->RunTurn(Duration::zero());  // what came before may have taken long: time starts now
  return config.initial_cluster_state == "existing" ? JoinCluster(config, loop, options)
                                                    : NewIdentity(config, loop, options);
}

}  // namespace conclave::server
