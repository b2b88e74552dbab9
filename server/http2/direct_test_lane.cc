// The tests' server on the lane of its services.
#include "server/http2/server_test_fixture.h"

namespace conclave::server {
namespace {

class DirectTestLane : public TestLane {
 public:
  explicit DirectTestLane(const ServerContext& context) : server_(context) {}
  Http2Server* server() override { return &server_; }

 private:
  Http2Server server_;
};

}  // namespace

std::unique_ptr<TestLane> MakeTestLane(const ServerContext& context) {
  return std::make_unique<DirectTestLane>(context);
}

}  // namespace conclave::server
