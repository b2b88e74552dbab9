#include "server/metrics/grpc_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conclave::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class GrpcMetricsTest : public ::testing::Test {
 protected:
  Method put_{"/etcdserverpb.KV/Put", MethodKind::kUnary, nullptr, nullptr};
  Method watch_{"/etcdserverpb.Watch/Watch", MethodKind::kBidirectional, nullptr, nullptr};
  Method snapshot_{"/etcdserverpb.Maintenance/Snapshot", MethodKind::kServerStream, nullptr,
                   nullptr};
  MetricRegistry registry_;
};

TEST_F(GrpcMetricsTest, EverySeriesIsThereAtZeroFromTheStart) {
  GrpcMetrics metrics(registry_, {&put_, &watch_, &snapshot_}, false);
  const std::string text = registry_.Render();
  for (const char* line : {
           "grpc_server_started_total{grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\","
           "grpc_type=\"unary\"} 0\n",
           "grpc_server_started_total{grpc_method=\"Watch\",grpc_service=\"etcdserverpb.Watch\","
           "grpc_type=\"bidi_stream\"} 0\n",
           "grpc_server_started_total{grpc_method=\"Snapshot\","
           "grpc_service=\"etcdserverpb.Maintenance\",grpc_type=\"server_stream\"} 0\n",
           "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Put\","
           "grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 0\n",
           "grpc_server_handled_total{grpc_code=\"Unauthenticated\",grpc_method=\"Put\","
           "grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 0\n",
           "etcd_network_client_grpc_received_bytes_total 0\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, Not(HasSubstr("grpc_server_handling_seconds")));
}

TEST_F(GrpcMetricsTest, ACallIsCountedWhereItBelongs) {
  GrpcMetrics metrics(registry_, {&put_, &watch_}, true);
  metrics.OnStarted(put_);
  metrics.OnMessageReceived(put_, 100);
  metrics.OnMessageSent(put_, 20);
  metrics.OnHandled(put_, absl::StatusCode::kInvalidArgument, Milliseconds(7));
  metrics.OnStarted(watch_);
  metrics.OnMessageSent(watch_, 5);
  const std::string text = registry_.Render();
  const std::string put =
      "grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"";
  EXPECT_THAT(text, HasSubstr("grpc_server_started_total{" + put + "} 1\n"));
  EXPECT_THAT(text, HasSubstr("grpc_server_msg_received_total{" + put + "} 1\n"));
  EXPECT_THAT(text, HasSubstr("grpc_server_msg_sent_total{" + put + "} 1\n"));
  EXPECT_THAT(
      text, HasSubstr("grpc_server_handled_total{grpc_code=\"InvalidArgument\"," + put + "} 1\n"));
  EXPECT_THAT(text, HasSubstr("grpc_server_handled_total{grpc_code=\"OK\"," + put + "} 0\n"));
  EXPECT_THAT(text, HasSubstr("grpc_server_handling_seconds_bucket{" + put + ",le=\"0.005\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("grpc_server_handling_seconds_bucket{" + put + ",le=\"0.01\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("etcd_network_client_grpc_received_bytes_total 100\n"));
  EXPECT_THAT(text, HasSubstr("etcd_network_client_grpc_sent_bytes_total 25\n"));
}

TEST(GrpcCodeTest, NamesAreThoseOfGrpc) {
  EXPECT_EQ(GrpcCodeName(absl::StatusCode::kOk), "OK");
  EXPECT_EQ(GrpcCodeName(absl::StatusCode::kCancelled), "Canceled");
  EXPECT_EQ(GrpcCodeName(absl::StatusCode::kFailedPrecondition), "FailedPrecondition");
  EXPECT_EQ(GrpcCodeName(absl::StatusCode::kUnauthenticated), "Unauthenticated");
  EXPECT_EQ(GrpcCodeName(static_cast<absl::StatusCode>(99)), "Unknown");
}

}  // namespace
}  // namespace conclave::server
