#include "jepsen-style-tests/workload/requests.h"

#include <utility>

#include "raft/base/check.h"

namespace conclave::sim {

using etcdserverpb::Compare;
using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::RangeRequest;
using etcdserverpb::RequestOp;

namespace {

Compare IfEqual(std::string_view key, Compare::CompareTarget target) {
  Compare compare;
  compare.set_key(std::string(key));
  compare.set_target(target);
  compare.set_result(Compare::EQUAL);
  return compare;
}

}  // namespace

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  CHECK(!end.empty() && end.back() != '\xff');
  ++end.back();
  return end;
}

RangeRequest RangeOf(std::string_view key) {
  RangeRequest request;
  request.set_key(std::string(key));
  return request;
}

RangeRequest RangeOfPrefix(std::string_view prefix) {
  RangeRequest request = RangeOf(prefix);
  request.set_range_end(PrefixEnd(prefix));
  return request;
}

DeleteRangeRequest DeleteOfPrefix(std::string_view prefix) {
  DeleteRangeRequest request;
  request.set_key(std::string(prefix));
  request.set_range_end(PrefixEnd(prefix));
  return request;
}

Compare IfModRevision(std::string_view key, int64_t revision) {
  Compare compare = IfEqual(key, Compare::MOD);
  compare.set_mod_revision(revision);
  return compare;
}

Compare IfCreateRevision(std::string_view key, int64_t revision) {
  Compare compare = IfEqual(key, Compare::CREATE);
  compare.set_create_revision(revision);
  return compare;
}

Compare IfValue(std::string_view key, std::string_view value) {
  Compare compare = IfEqual(key, Compare::VALUE);
  compare.set_value(std::string(value));
  return compare;
}

RequestOp OpPut(std::string_view key, std::string_view value, int64_t lease) {
  RequestOp op;
  op.mutable_request_put()->set_key(std::string(key));
  op.mutable_request_put()->set_value(std::string(value));
  op.mutable_request_put()->set_lease(lease);
  return op;
}

RequestOp OpDelete(std::string_view key) {
  RequestOp op;
  op.mutable_request_delete_range()->set_key(std::string(key));
  return op;
}

RequestOp OpRange(RangeRequest range) {
  RequestOp op;
  *op.mutable_request_range() = std::move(range);
  return op;
}

}  // namespace conclave::sim
