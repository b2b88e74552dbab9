// conclave-crash-load: the client of the crash test.
//
// `conclave-crash-load write ENDPOINTS JOURNAL [RATE]` writes unique keys, 64 outstanding or at
// most 64 and RATE a second, until SIGTERM; notes each acknowledgement.
// `conclave-crash-load verify ENDPOINTS JOURNAL` reads all back, through each endpoint; exit status
// 1 when any is lost or wrong.
//
// ENDPOINTS is host:port, comma-separated.

#include <fmt/format.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "client/client.h"
#include "client/load/http2_client.h"
#include "client/load/request_template.h"
#include "client/load/unary_load.h"
#include "jepsen-style-tests/crash/journal.h"
#include "jepsen-style-tests/crash/write_check.h"
#include "kvstore/proto/rpc.pb.h"
#include "raft/base/text.h"

namespace conclave::crash {
namespace {

constexpr std::size_t kOutstanding = 64;
// Short, for a call that a dead cluster holds on to hides when writes resume.
constexpr std::chrono::milliseconds kCallTimeout{250};
constexpr std::chrono::milliseconds kReadTimeout{60'000};
constexpr std::int64_t kPageKeys = 2'000;
const std::string kPutMethod = "/etcdserverpb.KV/Put";

std::atomic<bool> stopping{false};

std::vector<std::string> Split(const std::string& list) {
  std::vector<std::string> parts;
  std::istringstream stream(list);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

// Each number is sent once and never again, whatever becomes of it. After a failure the slot turns
// to the next member.
class Writer : public client::LoadWorkload {
 public:
  Writer(std::size_t connections, JournalWriter journal)
      : connections_(connections), journal_(std::move(journal)), slots_(kOutstanding) {
    for (std::size_t slot = 0; slot < kOutstanding; ++slot) {
      slots_[slot].connection = slot % connections_;
    }
  }

  bool Next(std::size_t slot, client::LoadCall* call) override {
    if (stopping.load(std::memory_order_relaxed)) return false;
    slots_[slot].number = next_++;
    call->method = &kPutMethod;
    call->connection = slots_[slot].connection;
    call->request = puts_.Serialize(slots_[slot].number);
    return true;
  }

  void Done(std::size_t slot, const client::LoadOutcome& outcome) override {
    if (!outcome.status.ok()) {
      ++failed_;
      slots_[slot].connection = (slots_[slot].connection + 1) % connections_;
      return;
    }
    response_.ParseFromArray(outcome.response.data(), static_cast<int>(outcome.response.size()));
    journal_.Acknowledge(slots_[slot].number, response_.header().revision(), outcome.began,
                         outcome.ended);
    ++acknowledged_;
  }

  void Finish() {
    journal_.Flush();
    fmt::print("{{\"sent\": {}, \"acknowledged\": {}, \"failed\": {}}}\n", next_, acknowledged_,
               failed_);
  }

 private:
  struct Slot {
    std::uint64_t number = 0;
    std::size_t connection = 0;
  };

  const std::size_t connections_;
  JournalWriter journal_;
  client::RequestTemplate puts_ = client::RequestTemplate::ForPut(kShape);
  std::vector<Slot> slots_;
  std::uint64_t next_ = 0;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t failed_ = 0;
  etcdserverpb::PutResponse response_;
};

int Write(const std::vector<std::string>& endpoints, const std::string& journal_path,
          std::uint32_t calls_per_second) {
  auto journal = JournalWriter::Create(journal_path);
  if (!journal.ok()) {
    fmt::print(stderr, "conclave-crash-load: {}\n", MessageOf(journal.status()));
    return 1;
  }
  std::signal(SIGTERM, [](int) { stopping = true; });
  client::Http2Loop loop(endpoints, endpoints.size());
  Writer writer(loop.size(), *std::move(journal));
  client::RunUnaryLoad(loop,
                       {.outstanding = kOutstanding,
                        .call_timeout = kCallTimeout,
                        .calls_per_second = calls_per_second},
                       writer);
  writer.Finish();
  return 0;
}

// Reads every pair of the writer's at one revision, page by page.
absl::Status ReadAll(client::Client& client, bool serializable, WriteCheck& check) {
  client::GetOptions options{
      .range_end = client::PrefixEnd(kKeyPrefix), .limit = kPageKeys, .serializable = serializable};
  for (std::string key = kKeyPrefix;;) {
    const auto page = client.Get(key, options);
    if (!page.ok()) return page.status();
    for (const mvccpb::KeyValue& pair : page->kvs()) check.Add(pair);
    if (!page->more()) return absl::OkStatus();
    if (options.revision == 0) options.revision = page->header().revision();
    key = page->kvs(page->kvs_size() - 1).key() + '\0';
  }
}

// One reading of everything through one endpoint; prints what is wrong.
bool VerifyOne(const std::string& endpoint, bool serializable,
               const std::unordered_map<std::uint64_t, std::int64_t>& acknowledged) {
  auto client = client::Client::Connect({.endpoints = {endpoint}, .call_timeout = kReadTimeout});
  WriteCheck check(acknowledged);
  const absl::Status read = ReadAll(**client, serializable, check);
  const char* kind = serializable ? "serializable" : "linearizable";
  if (!read.ok()) {
    fmt::print("{} {}: cannot be read: {}\n", endpoint, kind, MessageOf(read));
    return false;
  }
  fmt::print("{} {}: {} of {} acknowledged found, {} unacknowledged, {} violations\n", endpoint,
             kind, acknowledged.size() - check.lost(), acknowledged.size(), check.unacknowledged(),
             check.violations());
  for (const std::string& violation : check.Violations()) fmt::print("  {}\n", violation);
  return check.violations() == 0;
}

int Verify(const std::vector<std::string>& endpoints, const std::string& journal_path) {
  const auto acknowledged = ReadJournal(journal_path);
  if (!acknowledged.ok()) {
    fmt::print("{}\n", MessageOf(acknowledged.status()));
    return 1;
  }
  bool well = true;
  for (const bool serializable : {false, true}) {
    for (const std::string& endpoint : endpoints) {
      well = VerifyOne(endpoint, serializable, *acknowledged) && well;
    }
  }
  return well ? 0 : 1;
}

}  // namespace
}  // namespace conclave::crash

int main(int argc, char** argv) {
  const std::string mode = argc == 4 || argc == 5 ? argv[1] : "";
  std::uint32_t rate = 0;
  const bool has_rate = argc == 5 && absl::SimpleAtoi(argv[4], &rate) && rate > 0;
  if (mode == "write" && (argc == 4 || has_rate)) {
    return conclave::crash::Write(conclave::crash::Split(argv[2]), argv[3], rate);
  }
  if (mode == "verify" && argc == 4) {
    return conclave::crash::Verify(conclave::crash::Split(argv[2]), argv[3]);
  }
  fmt::print(stderr,
             "usage: conclave-crash-load write ENDPOINTS JOURNAL [RATE]\n"
             "       conclave-crash-load verify ENDPOINTS JOURNAL\n");
  return 2;
}
