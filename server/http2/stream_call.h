// A Call (server/rpc/call.h) over one HTTP/2 stream: request bytes become messages for the handler,
// responses wait here for the client's window, and the session moves both. A service may hold it
// longer than the stream lives; it is then closed and ignores what is sent. On the session's lane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "raft/base/executor.h"
#include "server/http2/message_decoder.h"
#include "server/http2/output_queue.h"
#include "server/http2/request_headers.h"
#include "server/rpc/call.h"
#include "server/rpc/dispatch.h"

namespace conclave::server {

class Session;

class StreamCall final : public Call, public std::enable_shared_from_this<StreamCall> {
 public:
  // `output_buffer` is only there for its capacity.
  StreamCall(Session* session, int32_t stream_id, std::string output_buffer);
  ~StreamCall() override;

  // Call.
  std::optional<std::string_view> Metadata(std::string_view name) const override;
  Instant deadline() const override { return deadline_; }
  bool open() const override { return !finished_ && !closed_; }
  void Send(const google::protobuf::MessageLite& message) override;
  void SendBytes(std::string_view message) override;
  void BeginMessage(size_t bytes) override;
  void SendPart(std::string_view part) override;
  void Finish(const absl::Status& status) override;
  void Abandon() override;
  size_t queued_bytes() const override { return output_.size(); }
  bool Writable() const override;
  void PauseReading() override;
  void ResumeReading() override;
  void SetHandler(std::unique_ptr<StreamHandler> handler) override;

  // What follows is the session's.
  int32_t stream_id() const { return stream_id_; }
  RequestHeaders& headers() { return headers_; }

  // The headers are complete: refuses the call or starts its method.
  void Start();
  // Ends the call before its method has started. `http_status` is for clients that do not speak
  // gRPC.
  void Refuse(int http_status, const absl::Status& status);
  // Bytes of DATA, in order.
  void Receive(std::string_view chunk);
  // The client has sent everything (END_STREAM).
  void EndInput();
  bool input_ended() const { return input_ended_; }
  // The stream is over, or its connection is: nothing may reach the session any more.
  void Close();

  // The response: messages, then, once finished, the status.
  OutputQueue& output() { return output_; }
  // Drops bytes that have left from the output. True if the handler is to be told that there is
  // room.
  [[nodiscard]] bool TakeOutput(size_t size);
  // Tells the handler that there is room, if it is still owed.
  void TellWritable();
  bool finished() const { return finished_; }
  const absl::Status& status() const { return status_; }
  int http_status() const { return http_status_; }

  // Where the response stands; the session's own notes.
  struct ResponseState {
    bool dirty = false;     // in the session's list of calls to look at
    bool started = false;   // headers are submitted
    bool deferred = false;  // nghttp2 waits to be told of more output
  };
  ResponseState response;

 private:
  void Deliver();
  void DeliverMessage(std::string_view message);
  void DeliverEnd();
  void AfterDelivery();
  void AfterSend(size_t message_bytes);
  void AfterOutput(size_t bytes);
  bool WritableIsDue() const;
  void OnDeadline();
  void CancelTimer();
  void CloseHandler();
  void ReportHandled(absl::StatusCode code);

  Session* session_;  // nullptr once closed
  const int32_t stream_id_;
  RequestHeaders headers_;
  const Method* method_ = nullptr;  // set when started
  std::unique_ptr<StreamHandler> handler_;
  Instant started_at_{};
  Instant deadline_ = kNever;
  TimerId deadline_timer_ = 0;

  MessageDecoder decoder_;
  size_t kept_reported_ = 0;    // of decoder_.kept_bytes(), as the session counts them
  size_t unconsumed_ = 0;       // request bytes whose window is not granted again yet
  bool request_given_ = false;  // unary and server stream: on_request was called
  bool input_ended_ = false;
  bool end_told_ = false;
  bool paused_ = false;

  OutputQueue output_;
  size_t part_bytes_left_ = 0;  // of a message that is sent in parts
  bool owes_writable_ = false;  // the handler has filled the queue and was not told of room since

  bool finished_ = false;
  bool closed_ = false;
  int http_status_ = 200;
  absl::Status status_;
};

}  // namespace conclave::server
