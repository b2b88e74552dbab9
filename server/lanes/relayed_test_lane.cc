// The tests' server behind a relay: all that holds of a call without one holds with it too. Both
// lanes are the test's one loop, so that nothing is a matter of threads; io_lanes_test.cc has
// those.
#include "server/http2/server_test_fixture.h"
#include "server/lanes/call_relay.h"

namespace conclave::server {
namespace {

class RelayedTestLane : public TestLane {
 public:
  explicit RelayedTestLane(const ServerContext& context)
      : relay_(context.loop, context.loop, context.methods, context.observer,
               context.http2.call_output_high_mark) {
    ServerContext relayed = context;
    relayed.methods = relay_.methods();
    relayed.observer = relay_.observer();
    for (HttpRoute& route : relayed.routes) route = relay_.Relay(route);
    server_ = std::make_unique<Http2Server>(relayed);
  }
  Http2Server* server() override { return server_.get(); }

 private:
  CallRelay relay_;
  std::unique_ptr<Http2Server> server_;  // before the relay
};

}  // namespace

std::unique_ptr<TestLane> MakeTestLane(const ServerContext& context) {
  return std::make_unique<RelayedTestLane>(context);
}

}  // namespace conclave::server
