#include "server/http2/test_client.h"

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>

#include "raft/base/check.h"
#include "server/http2/message_decoder.h"

namespace conclave::server {

std::string GrpcFrame(std::string_view message) {
  const size_t size = message.size();
  std::string frame = {0, static_cast<char>(size >> 24), static_cast<char>(size >> 16),
                       static_cast<char>(size >> 8), static_cast<char>(size)};
  return frame.append(message);
}

std::vector<std::string> ClientCall::Messages() const {
  MessageDecoder decoder(SIZE_MAX);
  decoder.Add(body);
  std::vector<std::string> messages;
  std::string_view message;
  while (decoder.Next(&message) == MessageDecoder::Result::kMessage) messages.emplace_back(message);
  EXPECT_EQ(decoder.pending_bytes(), 0u);
  return messages;
}

int ClientCall::status() const {
  const auto it = headers.find("grpc-status");
  return it == headers.end() ? -1 : std::stoi(it->second);
}

std::string ClientCall::message() const {
  const auto it = headers.find("grpc-message");
  return it == headers.end() ? "" : it->second;
}

struct ClientCallbacks {
  static std::string Text(const uint8_t* bytes, size_t size) {
    return std::string(reinterpret_cast<const char*>(bytes), size);
  }
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                      void* user) {
    ClientCall& call = static_cast<TestClient*>(user)->calls_[frame->hd.stream_id];
    call.headers[Text(name, name_size)] = Text(value, value_size);
    return 0;
  }
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    TestClient* const client = static_cast<TestClient*>(user);
    if (frame->hd.type == NGHTTP2_HEADERS) ++client->calls_[frame->hd.stream_id].header_blocks;
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
      ++client->ping_acks_;
    }
    if (frame->hd.type == NGHTTP2_GOAWAY) {
      client->goaway_ = frame->goaway.error_code;
      client->goaway_text_ = Text(frame->goaway.opaque_data, frame->goaway.opaque_data_len);
      client->goaway_last_stream_ = frame->goaway.last_stream_id;
    }
    return 0;
  }
  static int OnDataChunk(nghttp2_session*, uint8_t, int32_t id, const uint8_t* bytes, size_t size,
                         void* user) {
    static_cast<TestClient*>(user)->calls_[id].body += Text(bytes, size);
    return 0;
  }
  static int OnStreamClose(nghttp2_session*, int32_t id, uint32_t error_code, void* user) {
    ClientCall& call = static_cast<TestClient*>(user)->calls_[id];
    call.closed = true;
    call.error_code = error_code;
    return 0;
  }
  static ssize_t ReadRequest(nghttp2_session*, int32_t id, uint8_t* buffer, size_t size,
                             uint32_t* flags, nghttp2_data_source*, void* user) {
    TestClient::Request& request = static_cast<TestClient*>(user)->requests_[id];
    if (request.bytes.empty() && !request.end) {
      request.deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    const size_t taken = std::min(size, request.bytes.size());
    std::memcpy(buffer, request.bytes.data(), taken);
    request.bytes.erase(0, taken);
    if (request.bytes.empty() && request.end) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(taken);
  }
};

TestClient::TestClient(EventLoop* loop, ScopedFd socket, Options options)
    : options_(options), connection_(std::make_unique<Connection>(loop, std::move(socket), this)) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, ClientCallbacks::OnHeader);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, ClientCallbacks::OnFrame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks,
                                                            ClientCallbacks::OnDataChunk);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, ClientCallbacks::OnStreamClose);
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  if (!options_.grant_windows) nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_peer_max_concurrent_streams(option, 1'000'000);
  CHECK(nghttp2_session_client_new2(&nghttp2_, callbacks, this, option) == 0);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  const nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
                                         options_.stream_window};
  nghttp2_submit_settings(nghttp2_, NGHTTP2_FLAG_NONE, &window, 1);
  if (options_.stream_window > 65535) {
    nghttp2_session_set_local_window_size(nghttp2_, NGHTTP2_FLAG_NONE, 0,
                                          static_cast<int32_t>(options_.stream_window));
  }
  Flush();
}

TestClient::~TestClient() { nghttp2_session_del(nghttp2_); }

int32_t TestClient::Open(std::string_view path, const Headers& headers) {
  Headers all = {{":method", "POST"},
                 {":scheme", "http"},
                 {":path", std::string(path)},
                 {":authority", "test"},
                 {"content-type", "application/grpc"},
                 {"te", "trailers"}};
  for (const auto& [name, value] : headers) {
    const std::string& key = name;
    std::erase_if(all, [&key](const auto& header) { return header.first == key; });
    if (value != ":none") all.insert(name[0] == ':' ? all.begin() : all.end(), {name, value});
  }
  std::vector<nghttp2_nv> fields;
  for (auto& [name, value] : all) {
    fields.push_back({reinterpret_cast<uint8_t*>(name.data()),
                      reinterpret_cast<uint8_t*>(value.data()), name.size(), value.size(),
                      NGHTTP2_NV_FLAG_NONE});
  }
  nghttp2_data_provider provider{};
  provider.read_callback = ClientCallbacks::ReadRequest;
  const int32_t id =
      nghttp2_submit_request(nghttp2_, nullptr, fields.data(), fields.size(), &provider, nullptr);
  CHECK(id > 0);
  requests_[id];
  Flush();
  return id;
}

void TestClient::SendRaw(int32_t id, std::string_view bytes, bool end) {
  Request& request = requests_[id];
  request.bytes.append(bytes);
  request.end = end;
  if (std::exchange(request.deferred, false)) nghttp2_session_resume_data(nghttp2_, id);
  Flush();
}

void TestClient::Send(int32_t id, std::string_view message, bool end) {
  SendRaw(id, GrpcFrame(message), end);
}

int32_t TestClient::Call(std::string_view path, std::string_view message, const Headers& headers) {
  const int32_t id = Open(path, headers);
  Send(id, message, true);
  return id;
}

void TestClient::Reset(int32_t id) {
  nghttp2_submit_rst_stream(nghttp2_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  Flush();
}

void TestClient::Grant(int32_t id, size_t bytes) {
  nghttp2_session_consume(nghttp2_, id, bytes);
  Flush();
}

void TestClient::Ping() {
  nghttp2_submit_ping(nghttp2_, NGHTTP2_FLAG_NONE, nullptr);
  Flush();
}

void TestClient::WriteRaw(std::string_view bytes) { connection_->Write(bytes); }

size_t TestClient::closed_count() const {
  return static_cast<size_t>(std::count_if(calls_.begin(), calls_.end(),
                                           [](const auto& entry) { return entry.second.closed; }));
}

void TestClient::OnBytes(std::string_view bytes) {
  const ssize_t parsed = nghttp2_session_mem_recv(
      nghttp2_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  EXPECT_EQ(parsed, static_cast<ssize_t>(bytes.size()));
  Flush();
}

void TestClient::OnClosed(const absl::Status&) { disconnected_ = true; }

void TestClient::Flush() {
  const uint8_t* bytes = nullptr;
  ssize_t size = 0;
  while (connection_ != nullptr && (size = nghttp2_session_mem_send(nghttp2_, &bytes)) > 0) {
    connection_->Write({reinterpret_cast<const char*>(bytes), static_cast<size_t>(size)});
  }
}

}  // namespace conclave::server
