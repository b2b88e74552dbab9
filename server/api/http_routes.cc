#include "server/api/http_routes.h"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "raft/base/text.h"

namespace conclave::server {

namespace {

// The pairs of a query string, "a=1&b" being {a, 1} and {b, ""}.
std::vector<std::pair<std::string, std::string>> ParseQuery(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> pairs;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    const size_t equals = std::min(pair.find('='), pair.size());
    const std::string_view value = pair.substr(std::min(equals + 1, pair.size()));
    if (!pair.empty()) pairs.emplace_back(pair.substr(0, equals), value);
  }
  return pairs;
}

struct HealthQuestion {
  std::set<std::string> excluded_alarms;
  bool serializable = false;
};

HealthQuestion ParseHealthQuestion(const HttpRequest& request) {
  HealthQuestion question;
  for (auto& [name, value] : ParseQuery(request.query)) {
    if (name == "exclude") question.excluded_alarms.insert(value);
    if (name == "serializable") question.serializable = value == "true";
  }
  return question;
}

// `reason` empty: healthy.
void RespondHealth(const HttpRespond& respond, const std::string& reason) {
  nlohmann::ordered_json body;
  body["health"] = reason.empty() ? "true" : "false";
  body["reason"] = reason;
  HttpResponse response{.body = body.dump(), .headers = {}};
  if (!reason.empty()) {
    response.code = 503;
    response.body += '\n';
    response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  }
  respond(std::move(response));
}

// The first active alarm that the question does not exclude, or empty. That another member's state
// is wrong is no illness of this one: whoever restarts or avoids what is ill must not take the
// healthy for it.
std::string ActiveAlarm(const Node& node, const kv::Store& store, const HealthQuestion& question) {
  for (const etcdserverpb::AlarmMember& alarm : store.Alarms()) {
    const bool of_another = alarm.memberid() != 0 && alarm.memberid() != node.id().value();
    if (of_another && store.IsDivergenceAlarmOn(alarm.memberid()) &&
        alarm.alarm() == etcdserverpb::CORRUPT) {
      continue;
    }
    const std::string& name = etcdserverpb::AlarmType_Name(alarm.alarm());
    if (!question.excluded_alarms.contains(name)) return "ALARM " + name;
  }
  const std::string& corrupt = etcdserverpb::AlarmType_Name(etcdserverpb::CORRUPT);
  const bool told = node.fenced() && !question.excluded_alarms.contains(corrupt);
  return told ? "ALARM " + corrupt : "";
}

// In this order: alarms, a leader, and one read that goes the way of every read.
void Health(const ApiContext& context, const HttpRequest& request, const HttpRespond& respond) {
  const HealthQuestion question = ParseHealthQuestion(request);
  const std::string alarm = ActiveAlarm(*context.node, context.node->store(), question);
  if (!alarm.empty()) return RespondHealth(respond, alarm);
  if (question.serializable) return RespondHealth(respond, "");
  if (context.node->leader() == raft::kNoNode) return RespondHealth(respond, "RAFT NO LEADER");
  context.node->Read([respond](const absl::Status& status) {
    RespondHealth(respond, status.ok() ? "" : "RANGE ERROR:" + std::string(MessageOf(status)));
  });
}

void Version(const ApiContext& context, const HttpRespond& respond) {
  const std::string& version = context.options->reported_version;
  nlohmann::ordered_json body;
  body["etcdserver"] = version;
  body["etcdcluster"] = WithoutPatch(version);
  body["storage"] = WithoutPatch(version);
  respond({.content_type = "application/json", .body = body.dump(), .headers = {}});
}

}  // namespace

std::vector<HttpRoute> HealthAndVersionRoutes(const ApiContext& context, HealthObserver observer) {
  auto health = [context, observer](const HttpRequest& request, const HttpRespond& respond) {
    Health(context, request, [observer, respond](HttpResponse response) {
      observer(response.code == 200);
      respond(std::move(response));
    });
  };
  return {
      {.method = "GET", .path = "/health", .handler = health},
      {.method = "GET",
       .path = "/version",
       .handler = [context](const HttpRequest&,
                            HttpRespond respond) { Version(context, respond); }},
  };
}

}  // namespace conclave::server
