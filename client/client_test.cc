#include "client/client.h"

#include <gmock/gmock.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <set>
#include <thread>

namespace conclave::client {
namespace {

using testing::ElementsAre;

// A store of one member, simple enough to be judged by eye: latest values only, an error on
// request.
class FakeKv : public etcdserverpb::KV::Service {
 public:
  grpc::Status Put(grpc::ServerContext* context, const etcdserverpb::PutRequest* request,
                   etcdserverpb::PutResponse* response) override {
    std::lock_guard lock(mutex_);
    ++puts_;
    const auto id = context->client_metadata().find("conclave-request-id");
    ids_.push_back(id == context->client_metadata().end()
                       ? ""
                       : std::string(id->second.data(), id->second.size()));
    if (!failure_.ok()) return failure_;
    pairs_[request->key()] = {request->value(), request->lease()};
    response->mutable_header()->set_revision(++revision_);
    return grpc::Status::OK;
  }

  grpc::Status Range(grpc::ServerContext*, const etcdserverpb::RangeRequest* request,
                     etcdserverpb::RangeResponse* response) override {
    std::lock_guard lock(mutex_);
    if (!failure_.ok()) return failure_;
    for (const auto& [key, held] : pairs_) {
      const bool inside = request->range_end().empty()
                              ? key == request->key()
                              : key >= request->key() && key < request->range_end();
      if (!inside || (request->limit() != 0 && response->kvs_size() >= request->limit())) continue;
      auto* pair = response->add_kvs();
      pair->set_key(key);
      if (!request->keys_only()) pair->set_value(held.first);
      pair->set_lease(held.second);
    }
    return grpc::Status::OK;
  }

  grpc::Status DeleteRange(grpc::ServerContext*, const etcdserverpb::DeleteRangeRequest* request,
                           etcdserverpb::DeleteRangeResponse* response) override {
    std::lock_guard lock(mutex_);
    response->set_deleted(static_cast<std::int64_t>(pairs_.erase(request->key())));
    return grpc::Status::OK;
  }

  grpc::Status Txn(grpc::ServerContext*, const etcdserverpb::TxnRequest* request,
                   etcdserverpb::TxnResponse* response) override {
    response->set_succeeded(request->compare_size() == 0);
    return grpc::Status::OK;
  }

  void FailWith(grpc::Status failure) {
    std::lock_guard lock(mutex_);
    failure_ = std::move(failure);
  }

  int puts() {
    std::lock_guard lock(mutex_);
    return puts_;
  }
  // The request ids of all puts; empty for those without.
  std::vector<std::string> ids() {
    std::lock_guard lock(mutex_);
    return ids_;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::pair<std::string, std::int64_t>> pairs_;
  std::int64_t revision_ = 1;
  int puts_ = 0;
  std::vector<std::string> ids_;
  grpc::Status failure_;
};

class FakeLease : public etcdserverpb::Lease::Service {
 public:
  grpc::Status LeaseGrant(grpc::ServerContext*, const etcdserverpb::LeaseGrantRequest* request,
                          etcdserverpb::LeaseGrantResponse* response) override {
    response->set_id(7);
    response->set_ttl(request->ttl());
    return grpc::Status::OK;
  }

  grpc::Status LeaseRevoke(grpc::ServerContext*, const etcdserverpb::LeaseRevokeRequest* request,
                           etcdserverpb::LeaseRevokeResponse*) override {
    if (request->id() == 7) return grpc::Status::OK;
    return {grpc::StatusCode::NOT_FOUND, "etcdserver: requested lease not found"};
  }

  grpc::Status LeaseKeepAlive(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<etcdserverpb::LeaseKeepAliveResponse,
                               etcdserverpb::LeaseKeepAliveRequest>* stream) override {
    etcdserverpb::LeaseKeepAliveRequest request;
    while (stream->Read(&request)) {
      etcdserverpb::LeaseKeepAliveResponse response;
      response.set_id(request.id());
      response.set_ttl(request.id() == 7 ? 30 : 0);
      stream->Write(response);
    }
    return grpc::Status::OK;
  }
};

// Answers a creation by the key's name: "events" gets two, "compacted" and "refused" what they say,
// then waits.
class FakeWatch : public etcdserverpb::Watch::Service {
 public:
  grpc::Status Watch(grpc::ServerContext* context,
                     grpc::ServerReaderWriter<etcdserverpb::WatchResponse,
                                              etcdserverpb::WatchRequest>* stream) override {
    etcdserverpb::WatchRequest request;
    stream->Read(&request);
    const std::string& key = request.create_request().key();
    etcdserverpb::WatchResponse response;
    response.mutable_header()->set_revision(41);
    response.set_created(true);
    if (key == "refused") {
      response.set_canceled(true);
      response.set_cancel_reason("mvcc: watcher range is empty");
    }
    stream->Write(response);
    response.set_created(false);
    if (key == "compacted") {
      response.set_canceled(true);
      response.set_compact_revision(9);
      stream->Write(response);
    }
    if (key == "events") {
      response.add_events()->mutable_kv()->set_key("first");
      stream->Write(response);
      response.mutable_events(0)->mutable_kv()->set_key("second");
      stream->Write(response);
    }
    if (key == "ended") return {grpc::StatusCode::UNAVAILABLE, "etcdserver: no leader"};
    while (stream->Read(&request) && !context->IsCancelled()) {
    }
    return grpc::Status::OK;
  }
};

// One member on a free port of loopback.
class FakeMember {
 public:
  FakeMember() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&kv_);
    builder.RegisterService(&lease_);
    builder.RegisterService(&watch_);
    server_ = builder.BuildAndStart();
  }

  ~FakeMember() { server_->Shutdown(std::chrono::system_clock::now()); }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  FakeKv& kv() { return kv_; }

 private:
  FakeKv kv_;
  FakeLease lease_;
  FakeWatch watch_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

std::unique_ptr<Client> ClientOf(std::vector<std::string> endpoints) {
  return *Client::Connect(
      {.endpoints = std::move(endpoints), .call_timeout = std::chrono::milliseconds(20'000)});
}

etcdserverpb::WatchCreateRequest WatchOf(const std::string& key) {
  etcdserverpb::WatchCreateRequest request;
  request.set_key(key);
  return request;
}

TEST(ClientTest, NeedsAnEndpoint) {
  EXPECT_EQ(Client::Connect({}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ClientTest, PutsGetsAndDeletes) {
  FakeMember member;
  const auto client = ClientOf({member.address()});
  ASSERT_TRUE(client->Put("a/1", "one", 7).ok());
  ASSERT_TRUE(client->Put("a/2", "two").ok());
  ASSERT_TRUE(client->Put("b", "three").ok());

  const auto one = client->Get("a/1");
  ASSERT_TRUE(one.ok());
  ASSERT_EQ(one->kvs_size(), 1);
  EXPECT_EQ(one->kvs(0).value(), "one");
  EXPECT_EQ(one->kvs(0).lease(), 7);

  const auto prefix = client->Get("a/", {.range_end = PrefixEnd("a/"), .keys_only = true});
  ASSERT_EQ(prefix->kvs_size(), 2);
  EXPECT_EQ(prefix->kvs(1).key(), "a/2");
  EXPECT_EQ(prefix->kvs(1).value(), "");
  EXPECT_EQ(client->Get("a/", {.range_end = PrefixEnd("a/"), .limit = 1})->kvs_size(), 1);

  EXPECT_EQ(client->Delete("a/1")->deleted(), 1);
  EXPECT_EQ(client->Get("a/1")->kvs_size(), 0);
  EXPECT_TRUE(client->Txn({})->succeeded());
}

TEST(ClientTest, ErrorsKeepCodeAndText) {
  FakeMember member;
  const auto client = ClientOf({member.address()});
  member.kv().FailWith({grpc::StatusCode::INVALID_ARGUMENT, "etcdserver: key is not provided"});
  const auto put = client->Put("", "v");
  EXPECT_EQ(put.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(put.status().message(), "etcdserver: key is not provided");
}

TEST(ClientTest, AReadGoesOnToTheNextEndpoint) {
  FakeMember first;
  FakeMember second;
  const auto client = ClientOf({first.address(), second.address()});
  first.kv().FailWith({grpc::StatusCode::UNAVAILABLE, "etcdserver: no leader"});
  EXPECT_TRUE(client->Get("k").ok());
  ASSERT_TRUE(client->Put("k", "v").ok());  // which stays with the one that answered
  EXPECT_EQ(first.kv().puts(), 0);
  EXPECT_EQ(second.kv().puts(), 1);
}

TEST(ClientTest, AWriteGoesOnUnderItsRequestId) {
  FakeMember first;
  FakeMember second;
  const auto client = ClientOf({first.address(), second.address()});
  for (const auto code : {grpc::StatusCode::UNAVAILABLE, grpc::StatusCode::DEADLINE_EXCEEDED}) {
    first.kv().FailWith({code, "who knows"});
    second.kv().FailWith(grpc::Status::OK);
    EXPECT_TRUE(client->Put("k", "v").ok());
    // Back to the first one.
    second.kv().FailWith({code, "who knows"});
    first.kv().FailWith(grpc::Status::OK);
    EXPECT_TRUE(client->Put("k", "w").ok());
  }
  const std::vector<std::string> firsts = first.kv().ids();
  EXPECT_EQ(firsts, second.kv().ids());
  ASSERT_EQ(firsts.size(), 4u);
  EXPECT_EQ(std::set<std::string>(firsts.begin(), firsts.end()).size(), 4u);
  for (const std::string& id : firsts) EXPECT_GE(id.size(), 16u);
}

TEST(ClientTest, AWriteGivesUpWhenNobodyAnswers) {
  FakeMember first;
  FakeMember second;
  const auto client = ClientOf({first.address(), second.address()});
  for (FakeMember* member : {&first, &second}) {
    member->kv().FailWith({grpc::StatusCode::UNAVAILABLE, "etcdserver: no leader"});
  }
  EXPECT_EQ(client->Put("k", "v").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(first.kv().puts() + second.kv().puts(), 2);
}

// What a member refuses by itself says nothing of the attempt before it.
TEST(ClientTest, ARefusalDoesNotHideAnOpenWrite) {
  FakeMember first;
  FakeMember second;
  const auto client = ClientOf({first.address(), second.address()});
  first.kv().FailWith({grpc::StatusCode::UNAVAILABLE, "etcdserver: request timed out"});
  second.kv().FailWith({grpc::StatusCode::RESOURCE_EXHAUSTED, "database space exceeded"});
  EXPECT_EQ(client->Put("k", "v").status(),
            absl::UnavailableError("etcdserver: request timed out"));
  // The next one begins where the last one ended, and there is nothing before it.
  EXPECT_EQ(client->Put("k", "v").status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(first.kv().puts(), 1);
}

TEST(ClientTest, AnErrorOfTheRequestIsAResult) {
  FakeMember first;
  FakeMember second;
  const auto client = ClientOf({first.address(), second.address()});
  first.kv().FailWith({grpc::StatusCode::UNAVAILABLE, "etcdserver: request timed out"});
  second.kv().FailWith({grpc::StatusCode::NOT_FOUND, "etcdserver: requested lease not found"});
  EXPECT_EQ(client->Put("k", "v").status().code(), absl::StatusCode::kNotFound);
}

TEST(ClientTest, WithoutRetriesAWriteIsMadeOnce) {
  FakeMember first;
  FakeMember second;
  const auto client =
      *Client::Connect({.endpoints = {first.address(), second.address()}, .retry_writes = false});
  first.kv().FailWith({grpc::StatusCode::UNAVAILABLE, "etcdserver: request timed out"});
  EXPECT_EQ(client->Put("k", "v").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(first.kv().puts(), 1);
  EXPECT_EQ(second.kv().puts(), 0);
  EXPECT_TRUE(client->Put("k", "v").ok());  // the next one goes to the next endpoint
  EXPECT_EQ(second.kv().puts(), 1);
  EXPECT_THAT(first.kv().ids(), ElementsAre(""));
}

TEST(ClientTest, AReadGivesUpWhenNobodyAnswers) {
  FakeMember first;
  FakeMember second;
  const auto client = ClientOf({first.address(), second.address()});
  for (FakeMember* member : {&first, &second}) {
    member->kv().FailWith({grpc::StatusCode::UNAVAILABLE, "etcdserver: no leader"});
  }
  EXPECT_EQ(client->Get("k").status().code(), absl::StatusCode::kUnavailable);
}

TEST(ClientTest, Leases) {
  FakeMember member;
  const auto client = ClientOf({member.address()});
  const auto granted = client->LeaseGrant(30);
  ASSERT_TRUE(granted.ok());
  EXPECT_EQ(granted->ttl(), 30);
  EXPECT_EQ(client->LeaseKeepAlive(granted->id())->ttl(), 30);
  EXPECT_EQ(client->LeaseKeepAlive(8).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(client->LeaseRevoke(granted->id()).ok());
  EXPECT_EQ(client->LeaseRevoke(8).status().code(), absl::StatusCode::kNotFound);
}

TEST(ClientTest, WatchReadsEventsInOrder) {
  FakeMember member;
  const auto client = ClientOf({member.address()});
  const auto watch = client->Watch(WatchOf("events"));
  ASSERT_TRUE(watch.ok());
  EXPECT_EQ((*watch)->created_revision(), 41);
  EXPECT_EQ((*watch)->Next()->events(0).kv().key(), "first");
  EXPECT_EQ((*watch)->Next()->events(0).kv().key(), "second");
}

TEST(ClientTest, WatchSaysWhyItEnded) {
  FakeMember member;
  const auto client = ClientOf({member.address()});
  const auto compacted = client->Watch(WatchOf("compacted"));
  ASSERT_TRUE(compacted.ok());
  EXPECT_EQ((*compacted)->Next().status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ((*compacted)->Next().status().code(), absl::StatusCode::kOutOfRange);

  const auto refused = client->Watch(WatchOf("refused"));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(refused.status().message(), "mvcc: watcher range is empty");

  const auto ended = client->Watch(WatchOf("ended"));
  ASSERT_TRUE(ended.ok());
  EXPECT_EQ((*ended)->Next().status().message(), "etcdserver: no leader");
}

TEST(ClientTest, CancelWakesABlockedWatch) {
  FakeMember member;
  const auto client = ClientOf({member.address()});
  const auto watch = client->Watch(WatchOf("quiet"));
  ASSERT_TRUE(watch.ok());
  std::thread canceller([&] { (*watch)->Cancel(); });
  EXPECT_EQ((*watch)->Next().status().code(), absl::StatusCode::kCancelled);
  canceller.join();
}

TEST(PrefixEndTest, IsTheFirstKeyBeyond) {
  EXPECT_EQ(PrefixEnd("a"), "b");
  EXPECT_EQ(PrefixEnd("a/"), "a0");
  EXPECT_EQ(PrefixEnd("a\xff"), "b");
  EXPECT_EQ(PrefixEnd("\x7f"), "\x80");
  EXPECT_EQ(PrefixEnd("\xff\xff"), std::string(1, '\0'));
  EXPECT_EQ(PrefixEnd(""), std::string(1, '\0'));
}

}  // namespace
}  // namespace conclave::client
