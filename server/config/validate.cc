#include "server/config/validate.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "raft/base/text.h"
#include "server/config/duration.h"
#include "server/config/flags.h"

namespace conclave::server {
namespace {

constexpr int64_t kElectionTimeoutMax = 50'000;
constexpr int64_t kHeartbeatsPerElectionTimeout = 5;

template <typename... Parts>
absl::Status Error(fmt::format_string<Parts...> format, Parts&&... parts) {
  return absl::InvalidArgumentError(fmt::format(format, std::forward<Parts>(parts)...));
}

bool ParseWhole(std::string_view text, int64_t& number) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end;
}

absl::Status CheckUrls(std::string_view flag, const std::vector<Url>& urls) {
  for (size_t i = 0; i < urls.size(); ++i) {
    if (urls[i].IsTls()) {
      return Error(
          "--{}: TLS is not supported by this version of conclave: expected http:// in \"{}\"",
          flag, urls[i].ToString());
    }
    if (std::find(urls.begin(), urls.begin() + i, urls[i]) != urls.begin() + i) {
      return Error("--{}: expected every URL once, but \"{}\" is repeated", flag,
                   urls[i].ToString());
    }
  }
  return absl::OkStatus();
}

absl::Status CheckListenUrls(std::string_view flag, const std::vector<Url>& urls) {
  for (const Url& url : urls) {
    if (!url.CanBind()) {
      return Error("--{}: expected an IP address or localhost to listen on, not \"{}\" in \"{}\"",
                   flag, url.host, url.ToString());
    }
  }
  return CheckUrls(flag, urls);
}

absl::Status CheckAllUrls(const ServerConfig& config) {
  if (absl::Status s = CheckListenUrls("listen-peer-urls", config.listen_peer_urls); !s.ok()) {
    return s;
  }
  if (absl::Status s = CheckListenUrls("listen-client-urls", config.listen_client_urls); !s.ok()) {
    return s;
  }
  if (absl::Status s = CheckListenUrls("listen-metrics-urls", config.listen_metrics_urls);
      !s.ok()) {
    return s;
  }
  if (absl::Status s = CheckUrls("advertise-client-urls", config.advertise_client_urls); !s.ok()) {
    return s;
  }
  if (absl::Status s = CheckUrls("initial-advertise-peer-urls", config.initial_advertise_peer_urls);
      !s.ok()) {
    return s;
  }
  std::vector<Url> peers;
  for (const ClusterMember& member : config.initial_cluster) {
    peers.insert(peers.end(), member.peer_urls.begin(), member.peer_urls.end());
  }
  return CheckUrls("initial-cluster", peers);
}

absl::Status CheckTimes(const ServerConfig& config) {
  const int64_t least = kHeartbeatsPerElectionTimeout * config.heartbeat_interval_ms;
  if (config.election_timeout_ms < least) {
    return Error(
        "--election-timeout: expected at least 5 times --heartbeat-interval, that is {} ms or "
        "more, not {}",
        least, config.election_timeout_ms);
  }
  if (config.election_timeout_ms > kElectionTimeoutMax) {
    return Error("--election-timeout: expected at most {} ms, not {}", kElectionTimeoutMax,
                 config.election_timeout_ms);
  }
  if (config.watch_progress_notify_interval.count() != 0 &&
      config.watch_progress_notify_interval < Milliseconds(100)) {
    return Error("--watch-progress-notify-interval: expected 0 or at least 100ms, not {}",
                 FormatDuration(config.watch_progress_notify_interval));
  }
  return absl::OkStatus();
}

absl::Status CheckLogOutputs(const ServerConfig& config) {
  for (const std::string& output : config.log_outputs) {
    if (output.empty()) {
      return Error("--log-outputs: expected default, stderr, stdout or paths, not an empty name");
    }
    if (output == "systemd/journal") {
      return Error(
          "--log-outputs: systemd/journal is not supported by this version of conclave: expected "
          "default, stderr, stdout or paths");
    }
    if (output == "default" && config.log_outputs.size() > 1) {
      return Error("--log-outputs: expected default alone, or stderr, stdout and paths");
    }
  }
  return absl::OkStatus();
}

// x.y.z, as clients parse it.
absl::Status CheckReportedVersion(std::string_view version) {
  std::string_view rest = version;
  int parts = 0;
  bool good = true;
  for (; good && parts < 3; ++parts) {
    const size_t dot = parts < 2 ? rest.find('.') : rest.size();
    int64_t number = 0;
    good = dot != std::string_view::npos && ParseWhole(rest.substr(0, dot), number) && number >= 0;
    if (good) rest.remove_prefix(std::min(dot + 1, rest.size()));
  }
  if (good) return absl::OkStatus();
  return Error("--reported-version: expected x.y.z, as in 3.6.14, not \"{}\"", version);
}

}  // namespace

absl::Status CompleteConfig(ServerConfig& config) {
  if (config.name.empty()) return Error("--name: expected a name, not an empty one");
  if (config.data_dir.empty()) config.data_dir = config.name + ".etcd";
  if (config.initial_cluster.empty()) {
    config.initial_cluster = {{config.name, config.initial_advertise_peer_urls}};
  }
  if (config.log_format == "console") config.log_format = "human";
  if (absl::Status status = CheckAllUrls(config); !status.ok()) return status;
  if (config.IsGiven("listen-client-urls") && !config.IsGiven("advertise-client-urls")) {
    return Error(
        "--advertise-client-urls: expected to be set when --listen-client-urls is, to where "
        "clients "
        "reach this member");
  }
  if (absl::Status status = CheckTimes(config); !status.ok()) return status;
  if (absl::Status status = CheckLogOutputs(config); !status.ok()) return status;
  if (absl::Status status = CheckReportedVersion(config.reported_version); !status.ok()) {
    return status;
  }
  return AutoCompactionOf(config).status();
}

absl::Status CheckInitialCluster(const ServerConfig& config) {
  const auto own = std::find_if(config.initial_cluster.begin(), config.initial_cluster.end(),
                                [&](const ClusterMember& m) { return m.name == config.name; });
  const std::string advertised =
      fmt::format("{}", fmt::join(ToStrings(config.initial_advertise_peer_urls), ","));
  if (own == config.initial_cluster.end()) {
    return Error(
        "--initial-cluster: expected it to have this member, as in {}={}, but it is \"{}\"",
        config.name, advertised, FormatInitialCluster(config.initial_cluster));
  }
  if (!SameUrls(ToStrings(own->peer_urls), ToStrings(config.initial_advertise_peer_urls))) {
    return Error(
        "--initial-cluster: expected {} at the URLs of --initial-advertise-peer-urls ({}), but it "
        "has {}",
        config.name, advertised, FormatInitialCluster({*own}));
  }
  return absl::OkStatus();
}

int64_t QuotaBytesOf(const ServerConfig& config) {
  return config.quota_backend_bytes == 0 ? int64_t{2} << 30 : config.quota_backend_bytes;
}

absl::StatusOr<AutoCompaction> AutoCompactionOf(const ServerConfig& config) {
  const std::string& text = config.auto_compaction_retention;
  int64_t count = 0;
  const bool whole = ParseWhole(text, count);
  if (config.auto_compaction_mode == "revision") {
    if (whole && count >= 0) return AutoCompaction{.revisions = count};
    return Error("--auto-compaction-retention: expected a number of revisions, not \"{}\"", text);
  }
  // A bare number is hours, as ever since etcd had no other unit.
  constexpr int64_t kHoursMax = 1'000'000;
  if (whole && count >= 0 && count <= kHoursMax) {
    return AutoCompaction{.period = std::chrono::hours(count)};
  }
  const absl::StatusOr<Duration> duration = ParseDuration(text);
  if (!whole && duration.ok() && duration->count() >= 0) return AutoCompaction{.period = *duration};
  return Error(
      "--auto-compaction-retention: expected hours or a duration, as in 12 or 30m, not \"{}\"",
      text);
}

}  // namespace conclave::server
