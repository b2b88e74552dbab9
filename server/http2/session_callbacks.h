// Between nghttp2's C callbacks and the Session they belong to. Only session.cc uses it; all run on
// the session's lane, within the session's own calls of nghttp2.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>

namespace conclave::server {

class Session;
class StreamCall;

struct SessionCallbacks {
  // A server session that reports to `session`. Never fails but for memory, which is Fatal.
  static nghttp2_session* Create(Session* session);
  // The call of a stream; nullptr if it has none or is gone.
  static StreamCall* CallOf(nghttp2_session* nghttp2, int32_t stream_id);
  // Where nghttp2 reads a call's response messages from.
  static nghttp2_data_provider OutputOf(StreamCall* call);
  // Status and message as trailers, at the end of the messages.
  static void SubmitTrailers(nghttp2_session* nghttp2, const StreamCall& call);
  // All of a response that has no messages, in one HEADERS frame.
  static void SubmitTrailersOnly(nghttp2_session* nghttp2, const StreamCall& call);
  static void SubmitHeaders(nghttp2_session* nghttp2, StreamCall* call);

 private:
  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame*, void* user);
  static int OnHeader(nghttp2_session*, const nghttp2_frame*, const uint8_t* name, size_t name_size,
                      const uint8_t* value, size_t value_size, uint8_t flags, void* user);
  static int OnFrame(nghttp2_session*, const nghttp2_frame*, void* user);
  static int OnDataChunk(nghttp2_session*, uint8_t flags, int32_t stream_id, const uint8_t* bytes,
                         size_t size, void* user);
  static int OnStreamClose(nghttp2_session*, int32_t stream_id, uint32_t error_code, void* user);
  static int OnFrameSent(nghttp2_session*, const nghttp2_frame*, void* user);
  static ssize_t ReadOutput(nghttp2_session*, int32_t stream_id, uint8_t* buffer, size_t size,
                            uint32_t* flags, nghttp2_data_source* source, void* user);
  static int SendData(nghttp2_session*, nghttp2_frame* frame, const uint8_t* frame_header,
                      size_t size, nghttp2_data_source* source, void* user);
};

}  // namespace conclave::server
