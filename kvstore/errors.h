// The one table of errors that clients see: etcd's codes and exact texts (reference: error table of
// etcd v3). absl's codes are gRPC's, number for number. Every service returns these and nothing
// else for a condition named here. Any lane.
#pragma once

#include "absl/status/status.h"

namespace conclave::kv {

absl::Status ErrEmptyKey();
absl::Status ErrKeyNotFound();
absl::Status ErrValueProvided();
absl::Status ErrLeaseProvided();
absl::Status ErrTooManyOps();
absl::Status ErrDuplicateKey();
absl::Status ErrInvalidSortOption();
absl::Status ErrCompacted();
absl::Status ErrFutureRevision();
absl::Status ErrNoSpace();
absl::Status ErrLeaseNotFound();
absl::Status ErrLeaseExists();
absl::Status ErrLeaseTtlTooLarge();
absl::Status ErrRequestTooLarge();
absl::Status ErrTooManyRequests();
absl::Status ErrTooManyRangeBytes();
absl::Status ErrStreamOfSortedRange();
absl::Status ErrStreamOfFilteredRange();
absl::Status ErrMemberExists();
absl::Status ErrPeerUrlExists();
absl::Status ErrMemberNotEnoughStarted();
absl::Status ErrMemberBadUrls();
absl::Status ErrMemberNotFound();
absl::Status ErrMemberNotLearner();
absl::Status ErrLearnerNotReady();
absl::Status ErrTooManyLearners();
absl::Status ErrUnhealthy();
absl::Status ErrNotSupportedForLearner();
absl::Status ErrNoLeader();
absl::Status ErrNotLeader();
absl::Status ErrLeaderChanged();
absl::Status ErrStopped();
absl::Status ErrTimeout();
absl::Status ErrTimeoutDueToLeaderFail();
absl::Status ErrTimeoutDueToConnectionLost();
absl::Status ErrBadLeaderTransferee();
absl::Status ErrTimeoutLeaderTransfer();
absl::Status ErrCorrupt();
absl::Status ErrNotPrimaryLessor();

}  // namespace conclave::kv
