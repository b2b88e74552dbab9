// The two forms of a dump.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "raft/base/text.h"
#include "raft/wal/wal_dump.h"

namespace conclave::raft {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kShownBytesMax = 64;  // of an entry's payload

const char* NameOf(EntryKind kind) {
  switch (kind) {
    case EntryKind::kCommand:
      return "command";
    case EntryKind::kNoop:
      return "no-op";
    case EntryKind::kConfiguration:
      return "configuration";
  }
  return "unknown";
}

// The beginning of it, as C would write it.
std::string Quoted(std::string_view payload) {
  std::string out = "\"";
  for (const char c : payload.substr(0, kShownBytesMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", byte);
    }
  }
  return out + (payload.size() > kShownBytesMax ? "\"..." : "\"");
}

std::string Ids(const std::vector<NodeId>& nodes) {
  std::string out;
  for (const NodeId node : nodes) out += (out.empty() ? "" : ",") + HexId(node);
  return out;
}

std::string Words(const Configuration& configuration) {
  std::string out = "voters " + Ids(configuration.voters);
  if (configuration.joint()) out += " outgoing " + Ids(configuration.outgoing);
  if (!configuration.learners.empty()) out += " learners " + Ids(configuration.learners);
  return out;
}

std::string Indexes(const std::vector<Entry>& entries) {
  if (entries.empty()) return "-";
  const uint64_t first = entries.front().index.value();
  const uint64_t last = entries.back().index.value();
  return first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
}

std::string Remarks(const DumpedRecord& record) {
  std::string out;
  if (record.start.has_value()) {
    out = fmt::format("log starts after {} of term {}, {}", record.start->index.value(),
                      record.start->term.value(), Words(record.start->configuration));
  }
  const auto add = [&out](const std::string& words) { out += (out.empty() ? "" : "; ") + words; };
  if (record.type == RecordType::kSegmentHeader) {
    add(fmt::format("ends at {}", record.last_index.value()));
  }
  if (record.after_damage) add("after damage");
  if (record.lost_through > LogIndex(0)) {
    add(fmt::format("lost through {}", record.lost_through.value()));
  }
  if (!record.problem.empty()) add(record.problem);
  return out;
}

void AddRecord(const DumpedRecord& record, bool entries, std::string& out) {
  const std::string remarks = Remarks(record);
  out += fmt::format("{:>10}  {:<11}  {:>6}  {:>16}  {:>13}  {:>9}  {:>14}  {}{}{}\n",
                     record.offset, ToString(record.type), record.hard_state.term.value(),
                     HexId(record.hard_state.vote), Indexes(record.entries), record.bytes,
                     record.durable_before, record.problem.empty() ? "ok" : "bad",
                     remarks.empty() ? "" : "   ", remarks);
  if (!entries) return;
  for (const Entry& entry : record.entries) {
    out += fmt::format("{:>12}entry {} of term {}, {}, {} bytes: {}\n", "", entry.index.value(),
                       entry.term.value(), NameOf(entry.kind), entry.payload.size(),
                       Quoted(entry.payload.view()));
  }
}

void AddDamage(const DumpedDamage& damage, std::string& out) {
  const std::string bytes =
      damage.end > damage.offset ? fmt::format("{}", damage.end - damage.offset) : "?";
  out += fmt::format("{:>10}  {:<11}  {:>6}  {:>16}  {:>13}  {:>9}  {:>14}  bad   {}\n",
                     damage.offset, "damaged", "?", "?", "?", bytes, "?", damage.words);
}

void AddSegment(const DumpedSegment& segment, bool entries, std::string& out) {
  out += fmt::format("\nsegment {:016x}: {} of {} bytes in use{}\n", segment.sequence, segment.end,
                     segment.file_bytes, segment.unused ? ", made ready" : "");
  if (!segment.records.empty() || !segment.damages.empty()) {
    out += fmt::format("{:>10}  {:<11}  {:>6}  {:>16}  {:>13}  {:>9}  {:>14}  {}\n", "offset",
                       "type", "term", "vote", "entries", "bytes", "durable before", "sum");
  }
  auto damage = segment.damages.begin();
  for (const DumpedRecord& record : segment.records) {
    if (damage != segment.damages.end() && damage->offset < record.offset) {
      AddDamage(*damage++, out);
    }
    AddRecord(record, entries, out);
  }
  if (damage != segment.damages.end()) AddDamage(*damage, out);
  if (segment.unfinished) {
    out += fmt::format("{:>10}  pieces of an unfinished write, which do not count\n", segment.end);
  }
}

std::string Summary(const WalDump& dump) {
  if (!dump.contents.ok()) {
    return fmt::format("refused: {}\n", MessageOf(dump.contents.status()));
  }
  const WalContents& contents = *dump.contents;
  std::string out = fmt::format("log: {} entries after {}, up to {}; term {}, vote {}\n",
                                contents.entries.size(), contents.snapshot_index.value(),
                                contents.snapshot_index.value() + contents.entries.size(),
                                contents.hard_state.term.value(), HexId(contents.hard_state.vote));
  if (contents.lost_through > LogIndex(0)) {
    out += fmt::format("lost: what follows, through {}\n", contents.lost_through.value());
  }
  if (!contents.damage.empty()) out += fmt::format("damage: {}\n", contents.damage);
  return out;
}

// ---- JSON. ----

Json ToJson(const Configuration& configuration) {
  const auto ids = [](const std::vector<NodeId>& nodes) {
    Json list = Json::array();
    for (const NodeId node : nodes) list.push_back(HexId(node));
    return list;
  };
  return {{"voters", ids(configuration.voters)},
          {"outgoing", ids(configuration.outgoing)},
          {"learners", ids(configuration.learners)}};
}

std::string Hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

Json ToJson(const Entry& entry) {
  return {{"index", entry.index.value()},
          {"term", entry.term.value()},
          {"kind", NameOf(entry.kind)},
          {"payload_hex", Hex(entry.payload.view())}};
}

Json ToJson(const DumpedRecord& record, bool entries) {
  Json json = {{"offset", record.offset},
               {"type", ToString(record.type)},
               {"bytes", record.bytes},
               {"durable_before", record.durable_before},
               {"sum_ok", record.problem.empty()},
               {"term", record.hard_state.term.value()},
               {"vote", HexId(record.hard_state.vote)},
               {"last_index", record.last_index.value()},
               {"lost_through", record.lost_through.value()}};
  if (!record.problem.empty()) json["problem"] = record.problem;
  if (record.after_damage) json["after_damage"] = true;
  if (record.start.has_value()) {
    json["log_start"] = {{"index", record.start->index.value()},
                         {"term", record.start->term.value()},
                         {"configuration", ToJson(record.start->configuration)}};
  }
  if (!record.entries.empty()) {
    json["first_entry"] = record.entries.front().index.value();
    json["last_entry"] = record.entries.back().index.value();
  }
  for (const Entry& entry : record.entries) {
    if (entries) json["entries"].push_back(ToJson(entry));
  }
  return json;
}

Json ToJson(const DumpedSegment& segment, bool entries) {
  Json json = {{"sequence", segment.sequence},
               {"file_bytes", segment.file_bytes},
               {"end", segment.end},
               {"unused", segment.unused},
               {"unfinished_write", segment.unfinished}};
  json["records"] = Json::array();
  for (const DumpedRecord& record : segment.records) {
    json["records"].push_back(ToJson(record, entries));
  }
  json["damages"] = Json::array();
  for (const DumpedDamage& damage : segment.damages) {
    json["damages"].push_back(
        {{"offset", damage.offset}, {"end", damage.end}, {"what", damage.words}});
  }
  return json;
}

Json ToJson(const absl::StatusOr<WalContents>& contents) {
  if (!contents.ok()) return {{"refused", std::string(MessageOf(contents.status()))}};
  return {{"first_index", contents->snapshot_index.value() + 1},
          {"last_index", contents->snapshot_index.value() + contents->entries.size()},
          {"term", contents->hard_state.term.value()},
          {"vote", HexId(contents->hard_state.vote)},
          {"lost_through", contents->lost_through.value()},
          {"damage", contents->damage}};
}

}  // namespace

std::string DumpAsText(const WalDump& dump, bool entries) {
  std::string out = fmt::format("{}: log of member {} of cluster {}\n", dump.directory,
                                HexId(dump.member), HexId(dump.cluster_id));
  for (const DumpedSegment& segment : dump.segments) AddSegment(segment, entries, out);
  out += '\n';
  for (const uint64_t sequence : dump.missing) {
    out += fmt::format("missing: segment {:016x}\n", sequence);
  }
  if (!dump.free.empty()) out += fmt::format("free files: {}\n", dump.free.size());
  return out + Summary(dump);
}

std::string DumpAsJson(const WalDump& dump, bool entries) {
  Json json = {{"directory", dump.directory},       {"member", HexId(dump.member)},
               {"cluster", HexId(dump.cluster_id)}, {"damaged", dump.damaged()},
               {"log", ToJson(dump.contents)},      {"missing_segments", dump.missing},
               {"free_files", dump.free.size()}};
  json["segments"] = Json::array();
  for (const DumpedSegment& segment : dump.segments) {
    json["segments"].push_back(ToJson(segment, entries));
  }
  // A directory's name may be anything.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace conclave::raft
