#include "kvstore/errors.h"

#include <string_view>

#include "raft/base/text.h"

namespace conclave::kv {
namespace {

using Code = absl::StatusCode;

struct ClientError {
  Code code;
  std::string_view text;
};

// The table. Clients match these texts literally, and some of them the codes too: never reword a
// row.
constexpr ClientError kEmptyKey{Code::kInvalidArgument, "etcdserver: key is not provided"};
constexpr ClientError kKeyNotFound{Code::kInvalidArgument, "etcdserver: key not found"};
constexpr ClientError kValueProvided{Code::kInvalidArgument, "etcdserver: value is provided"};
constexpr ClientError kLeaseProvided{Code::kInvalidArgument, "etcdserver: lease is provided"};
constexpr ClientError kTooManyOps{Code::kInvalidArgument,
                                  "etcdserver: too many operations in txn request"};
constexpr ClientError kDuplicateKey{Code::kInvalidArgument,
                                    "etcdserver: duplicate key given in txn request"};
constexpr ClientError kInvalidSortOption{Code::kInvalidArgument, "etcdserver: invalid sort option"};
constexpr ClientError kCompacted{Code::kOutOfRange,
                                 "etcdserver: mvcc: required revision has been compacted"};
constexpr ClientError kFutureRevision{Code::kOutOfRange,
                                      "etcdserver: mvcc: required revision is a future revision"};
constexpr ClientError kNoSpace{Code::kResourceExhausted,
                               "etcdserver: mvcc: database space exceeded"};
constexpr ClientError kLeaseNotFound{Code::kNotFound, "etcdserver: requested lease not found"};
constexpr ClientError kLeaseExists{Code::kFailedPrecondition, "etcdserver: lease already exists"};
constexpr ClientError kLeaseTtlTooLarge{Code::kOutOfRange, "etcdserver: too large lease TTL"};
constexpr ClientError kRequestTooLarge{Code::kInvalidArgument, "etcdserver: request is too large"};
// Unknown, not ResourceExhausted: etcd hands out its client-side error here (reference: note A of
// the error table).
constexpr ClientError kTooManyRequests{Code::kUnknown, "etcdserver: too many requests"};
// The same words, which clients know, and the code that they take them for: it is memory that a
// range has found none of.
constexpr ClientError kTooManyRangeBytes{Code::kResourceExhausted, "etcdserver: too many requests"};
constexpr ClientError kStreamOfSortedRange{Code::kUnimplemented,
                                           "RangeStream does not support custom sort orders"};
constexpr ClientError kStreamOfFilteredRange{Code::kUnimplemented,
                                             "RangeStream does not support revision filters"};
constexpr ClientError kMemberExists{Code::kFailedPrecondition,
                                    "etcdserver: member ID already exist"};
constexpr ClientError kPeerUrlExists{Code::kFailedPrecondition,
                                     "etcdserver: Peer URLs already exists"};
// Unknown for the same reason (note A).
constexpr ClientError kMemberNotEnoughStarted{
    Code::kUnknown, "etcdserver: re-configuration failed due to not enough started members"};
constexpr ClientError kMemberBadUrls{Code::kInvalidArgument,
                                     "etcdserver: given member URLs are invalid"};
constexpr ClientError kMemberNotFound{Code::kNotFound, "etcdserver: member not found"};
constexpr ClientError kMemberNotLearner{Code::kFailedPrecondition,
                                        "etcdserver: can only promote a learner member"};
constexpr ClientError kLearnerNotReady{
    Code::kFailedPrecondition,
    "etcdserver: can only promote a learner member which is in sync with leader"};
constexpr ClientError kTooManyLearners{Code::kFailedPrecondition,
                                       "etcdserver: too many learner members in cluster"};
constexpr ClientError kUnhealthy{Code::kUnavailable, "etcdserver: unhealthy cluster"};
constexpr ClientError kNotSupportedForLearner{Code::kFailedPrecondition,
                                              "etcdserver: rpc not supported for learner"};
constexpr ClientError kNoLeader{Code::kUnavailable, "etcdserver: no leader"};
constexpr ClientError kNotLeader{Code::kFailedPrecondition, "etcdserver: not leader"};
constexpr ClientError kLeaderChanged{Code::kUnavailable, "etcdserver: leader changed"};
constexpr ClientError kStopped{Code::kUnavailable, "etcdserver: server stopped"};
constexpr ClientError kTimeout{Code::kUnavailable, "etcdserver: request timed out"};
constexpr ClientError kTimeoutDueToLeaderFail{
    Code::kUnavailable, "etcdserver: request timed out, possibly due to previous leader failure"};
constexpr ClientError kTimeoutDueToConnectionLost{
    Code::kUnavailable, "etcdserver: request timed out, possibly due to connection lost"};
constexpr ClientError kBadLeaderTransferee{Code::kFailedPrecondition,
                                           "etcdserver: bad leader transferee"};
constexpr ClientError kTimeoutLeaderTransfer{
    Code::kUnknown, "etcdserver: request timed out, leader transfer took too long"};
constexpr ClientError kCorrupt{Code::kDataLoss, "etcdserver: corrupt cluster"};
constexpr ClientError kNotPrimaryLessor{Code::kUnknown, "not a primary lessor"};

absl::Status StatusOf(const ClientError& error) {
  return absl::Status(error.code, ToAbsl(error.text));
}

}  // namespace

absl::Status ErrEmptyKey() { return StatusOf(kEmptyKey); }
absl::Status ErrKeyNotFound() { return StatusOf(kKeyNotFound); }
absl::Status ErrValueProvided() { return StatusOf(kValueProvided); }
absl::Status ErrLeaseProvided() { return StatusOf(kLeaseProvided); }
absl::Status ErrTooManyOps() { return StatusOf(kTooManyOps); }
absl::Status ErrDuplicateKey() { return StatusOf(kDuplicateKey); }
absl::Status ErrInvalidSortOption() { return StatusOf(kInvalidSortOption); }
absl::Status ErrCompacted() { return StatusOf(kCompacted); }
absl::Status ErrFutureRevision() { return StatusOf(kFutureRevision); }
absl::Status ErrNoSpace() { return StatusOf(kNoSpace); }
absl::Status ErrLeaseNotFound() { return StatusOf(kLeaseNotFound); }
absl::Status ErrLeaseExists() { return StatusOf(kLeaseExists); }
absl::Status ErrLeaseTtlTooLarge() { return StatusOf(kLeaseTtlTooLarge); }
absl::Status ErrRequestTooLarge() { return StatusOf(kRequestTooLarge); }
absl::Status ErrTooManyRequests() { return StatusOf(kTooManyRequests); }
absl::Status ErrTooManyRangeBytes() { return StatusOf(kTooManyRangeBytes); }
absl::Status ErrStreamOfSortedRange() { return StatusOf(kStreamOfSortedRange); }
absl::Status ErrStreamOfFilteredRange() { return StatusOf(kStreamOfFilteredRange); }
absl::Status ErrMemberExists() { return StatusOf(kMemberExists); }
absl::Status ErrPeerUrlExists() { return StatusOf(kPeerUrlExists); }
absl::Status ErrMemberNotEnoughStarted() { return StatusOf(kMemberNotEnoughStarted); }
absl::Status ErrMemberBadUrls() { return StatusOf(kMemberBadUrls); }
absl::Status ErrMemberNotFound() { return StatusOf(kMemberNotFound); }
absl::Status ErrMemberNotLearner() { return StatusOf(kMemberNotLearner); }
absl::Status ErrLearnerNotReady() { return StatusOf(kLearnerNotReady); }
absl::Status ErrTooManyLearners() { return StatusOf(kTooManyLearners); }
absl::Status ErrUnhealthy() { return StatusOf(kUnhealthy); }
absl::Status ErrNotSupportedForLearner() { return StatusOf(kNotSupportedForLearner); }
absl::Status ErrNoLeader() { return StatusOf(kNoLeader); }
absl::Status ErrNotLeader() { return StatusOf(kNotLeader); }
absl::Status ErrLeaderChanged() { return StatusOf(kLeaderChanged); }
absl::Status ErrStopped() { return StatusOf(kStopped); }
absl::Status ErrTimeout() { return StatusOf(kTimeout); }
absl::Status ErrTimeoutDueToLeaderFail() { return StatusOf(kTimeoutDueToLeaderFail); }
absl::Status ErrTimeoutDueToConnectionLost() { return StatusOf(kTimeoutDueToConnectionLost); }
absl::Status ErrBadLeaderTransferee() { return StatusOf(kBadLeaderTransferee); }
absl::Status ErrTimeoutLeaderTransfer() { return StatusOf(kTimeoutLeaderTransfer); }
absl::Status ErrCorrupt() { return StatusOf(kCorrupt); }
absl::Status ErrNotPrimaryLessor() { return StatusOf(kNotPrimaryLessor); }

}  // namespace conclave::kv
