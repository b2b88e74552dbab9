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

// A member of a cluster that starts finds the others not there yet, most of the time; one that
// joins needs an answer, and may have to wait for its own addition to reach whom it asks.
constexpr Duration kPatienceOfNew = Seconds(3);
constexpr Duration kPatienceOfJoining = Seconds(10);

// The same question to every other member, as often as they answer.
class Inquiry {
 public:
  using Answer = absl::StatusOr<peerpb::MembersResponse>;
  // True: nothing more needs to be known.
  using OnAnswer = std::function<bool(const Answer&)>;

  Inquiry(const ServerConfig& config, EventLoop* loop, const GuestOptions& guest,
          OnAnswer on_answer)
      : loop_(loop), names_("names"), on_answer_(std::move(on_answer)) {
    for (const ClusterMember& member : config.initial_cluster) {
      if (member.name == config.name) continue;
      const size_t index = heard_.size();
      heard_.push_back(false);
      urls_.push_back(fmt::format("{}", fmt::join(ToStrings(member.peer_urls), ",")));
      GuestOptions options = guest;
      options.urls = ToStrings(member.peer_urls);
      options.seed += index;
      calls_.push_back(std::make_unique<GuestCall>(
          loop, &names_, std::move(options),
          [this, index](absl::StatusOr<std::string> bytes) { Take(index, std::move(bytes)); }));
    }
  }

  // Whom it asks.
  const std::vector<std::string>& urls() const { return urls_; }

  // Until `on_answer` has said true, or `patience` is over; with `once`, also until each has said
  // something or cannot be reached.
  void Run(Duration patience, bool once) {
    const Instant deadline = loop_->Now() + patience;
    const auto all_heard = [this] {
      return std::all_of(heard_.begin(), heard_.end(), [](bool heard) { return heard; });
    };
    while (!satisfied_ && loop_->Now() < deadline && !(once && all_heard())) {
      loop_->RunTurn(Milliseconds(20));
    }
  }

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
  PosixExecutor names_;  // asks the name service
  OnAnswer on_answer_;
  std::vector<std::string> urls_;
  std::vector<bool> heard_;
  std::vector<std::unique_ptr<GuestCall>> calls_;
  bool satisfied_ = false;
};

absl::StatusOr<Identity> NewIdentity(const ServerConfig& config, EventLoop* loop, uint64_t seed) {
  absl::StatusOr<Identity> identity = InitialIdentity(config);
  if (!identity.ok() || identity->members.size() < 2) return identity;
  absl::Status verdict;
  GuestOptions guest;
  guest.cluster_id = identity->cluster_id;
  guest.id = identity->member_id;
  guest.seed = seed;
  Inquiry inquiry(config, loop, guest, [&](const Inquiry::Answer& answer) {
    if (absl::IsFailedPrecondition(answer.status())) {
      verdict = ErrorOfRemoved(config, identity->member_id);
    } else if (answer.ok()) {
      verdict = CheckNeverRan(config, identity->member_id, *answer);
    }
    return !verdict.ok();
  });
  Log(LogLevel::kInfo, "asking whether the cluster runs already",
      {{"members", fmt::format("{}", fmt::join(inquiry.urls(), " "))}});
  inquiry.Run(kPatienceOfNew, /*once=*/true);
  if (!verdict.ok()) return verdict;
  return identity;
}

absl::StatusOr<Identity> JoinCluster(const ServerConfig& config, EventLoop* loop, uint64_t seed) {
  if (config.initial_cluster.size() < 2) {
    return absl::InvalidArgumentError(
        fmt::format("--initial-cluster: expected the members of the cluster to join, this one "
                    "included, but it is \"{}\"",
                    FormatInitialCluster(config.initial_cluster)));
  }
  std::optional<Identity> found;
  absl::Status why_not;
  GuestOptions guest;
  guest.seed = seed;
  Inquiry inquiry(config, loop, guest, [&](const Inquiry::Answer& answer) {
    const absl::StatusOr<Identity> identity =
        answer.ok() ? JoiningIdentity(config, *answer) : answer.status();
    // What an answer says against it is worth more than that another gave none.
    if (!identity.ok() && (answer.ok() || why_not.ok())) why_not = identity.status();
    if (identity.ok()) found = *identity;
    return found.has_value() || absl::IsFailedPrecondition(identity.status());
  });
  Log(LogLevel::kInfo, "asking the cluster who is in it",
      {{"members", fmt::format("{}", fmt::join(inquiry.urls(), " "))}});
  inquiry.Run(kPatienceOfJoining, /*once=*/false);
  if (found) return *std::move(found);
  if (why_not.ok() || absl::IsUnavailable(why_not)) {
    return absl::UnavailableError(
        fmt::format("--initial-cluster: expected a member that answers, but none did: {}",
                    why_not.ok() ? "no answer" : MessageOf(why_not)));
  }
  return why_not;
}

}  // namespace

absl::StatusOr<Identity> IdentityOfNewMember(const ServerConfig& config, EventLoop* loop,
                                             uint64_t seed) {
  loop->RunTurn(Duration::zero());  // what came before may have taken long: time starts now
  return config.initial_cluster_state == "existing" ? JoinCluster(config, loop, seed)
                                                    : NewIdentity(config, loop, seed);
}

}  // namespace conclave::server
