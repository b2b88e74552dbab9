// Pins every row of the error table to the number and the words that clients match on.
#include "kvstore/errors.h"

#include <string_view>

#include "gtest/gtest.h"
#include "raft/base/text.h"

namespace conclave::kv {
namespace {

struct Row {
  absl::Status (*error)();
  int grpc_code;
  std::string_view text;
};

constexpr Row kRows[] = {
    {ErrEmptyKey, 3, "etcdserver: key is not provided"},
    {ErrKeyNotFound, 3, "etcdserver: key not found"},
    {ErrValueProvided, 3, "etcdserver: value is provided"},
    {ErrLeaseProvided, 3, "etcdserver: lease is provided"},
    {ErrTooManyOps, 3, "etcdserver: too many operations in txn request"},
    {ErrDuplicateKey, 3, "etcdserver: duplicate key given in txn request"},
    {ErrInvalidSortOption, 3, "etcdserver: invalid sort option"},
    {ErrCompacted, 11, "etcdserver: mvcc: required revision has been compacted"},
    {ErrFutureRevision, 11, "etcdserver: mvcc: required revision is a future revision"},
    {ErrNoSpace, 8, "etcdserver: mvcc: database space exceeded"},
    {ErrLeaseNotFound, 5, "etcdserver: requested lease not found"},
    {ErrLeaseExists, 9, "etcdserver: lease already exists"},
    {ErrLeaseTtlTooLarge, 11, "etcdserver: too large lease TTL"},
    {ErrRequestTooLarge, 3, "etcdserver: request is too large"},
    {ErrTooManyRequests, 2, "etcdserver: too many requests"},
    {ErrMemberExists, 9, "etcdserver: member ID already exist"},
    {ErrPeerUrlExists, 9, "etcdserver: Peer URLs already exists"},
    {ErrMemberNotEnoughStarted, 2,
     "etcdserver: re-configuration failed due to not enough started members"},
    {ErrMemberBadUrls, 3, "etcdserver: given member URLs are invalid"},
    {ErrMemberNotFound, 5, "etcdserver: member not found"},
    {ErrMemberNotLearner, 9, "etcdserver: can only promote a learner member"},
    {ErrLearnerNotReady, 9,
     "etcdserver: can only promote a learner member which is in sync with leader"},
    {ErrTooManyLearners, 9, "etcdserver: too many learner members in cluster"},
    {ErrUnhealthy, 14, "etcdserver: unhealthy cluster"},
    {ErrNotSupportedForLearner, 9, "etcdserver: rpc not supported for learner"},
    {ErrNoLeader, 14, "etcdserver: no leader"},
    {ErrNotLeader, 9, "etcdserver: not leader"},
    {ErrLeaderChanged, 14, "etcdserver: leader changed"},
    {ErrStopped, 14, "etcdserver: server stopped"},
    {ErrTimeout, 14, "etcdserver: request timed out"},
    {ErrTimeoutDueToLeaderFail, 14,
     "etcdserver: request timed out, possibly due to previous leader failure"},
    {ErrTimeoutDueToConnectionLost, 14,
     "etcdserver: request timed out, possibly due to connection lost"},
    {ErrBadLeaderTransferee, 9, "etcdserver: bad leader transferee"},
    {ErrTimeoutLeaderTransfer, 2, "etcdserver: request timed out, leader transfer took too long"},
    {ErrCorrupt, 15, "etcdserver: corrupt cluster"},
    {ErrNotPrimaryLessor, 2, "not a primary lessor"},
};

TEST(ErrorTable, EveryRowHasItsCodeAndText) {
  for (const Row& row : kRows) {
    const absl::Status status = row.error();
    EXPECT_EQ(static_cast<int>(status.code()), row.grpc_code) << row.text;
    EXPECT_EQ(MessageOf(status), row.text);
  }
}

}  // namespace
}  // namespace conclave::kv
