// Random requests over a few nasty keys, valid and often in each other's way: the input of the
// model test. Test code.
#pragma once

#include <string>
#include <vector>

#include "kvstore/proto/rpc.pb.h"
#include "raft/base/random.h"

namespace conclave::kv {

class RandomRequests {
 public:
  explicit RandomRequests(uint64_t seed) : random_(seed) {}

  Random& random() { return random_; }

  std::string Key() {
    static const std::vector<std::string> kKeys = {"a",
                                                   "ab",
                                                   std::string("a\0", 2),
                                                   std::string("a\0b", 3),
                                                   "a\xff",
                                                   "a\xff\xff",
                                                   "b",
                                                   "ba",
                                                   std::string("\0", 1),
                                                   std::string("\0\0", 2),
                                                   "\xff",
                                                   "\xff\xff",
                                                   "c",
                                                   "d",
                                                   "e",
                                                   "f"};
    return kKeys[random_.Below(kKeys.size())];
  }
  std::string RangeEnd() {
    if (random_.OneIn(3)) return {};
    if (random_.OneIn(4)) return std::string(1, '\0');
    return Key();
  }
  int64_t Lease() { return static_cast<int64_t>(random_.Below(4)) - 1; }  // 0 is none

  etcdserverpb::PutRequest Put() {
    etcdserverpb::PutRequest put;
    put.set_key(Key());
    put.set_prev_kv(random_.OneIn(2));
    if (random_.OneIn(8)) {
      put.set_ignore_value(true);
    } else {
      put.set_value(std::string(random_.Below(40), static_cast<char>('a' + random_.Below(26))));
    }
    if (random_.OneIn(8)) {
      put.set_ignore_lease(true);
    } else if (random_.OneIn(3)) {
      put.set_lease(Lease());
    }
    return put;
  }

  etcdserverpb::DeleteRangeRequest DeleteRange() {
    etcdserverpb::DeleteRangeRequest request;
    request.set_key(Key());
    if (random_.OneIn(3)) request.set_range_end(RangeEnd());
    request.set_prev_kv(random_.OneIn(2));
    return request;
  }

  // Revisions around those that are readable.
  etcdserverpb::RangeRequest Range(int64_t compact_revision, int64_t revision) {
    using etcdserverpb::RangeRequest;
    RangeRequest request;
    request.set_key(Key());
    request.set_range_end(RangeEnd());
    if (random_.OneIn(2)) request.set_revision(Revision(compact_revision, revision));
    if (random_.OneIn(2)) request.set_limit(static_cast<int64_t>(random_.Below(6)));
    if (random_.OneIn(2)) {
      request.set_sort_order(static_cast<RangeRequest::SortOrder>(random_.Below(3)));
      request.set_sort_target(static_cast<RangeRequest::SortTarget>(random_.Below(5)));
    }
    request.set_keys_only(random_.OneIn(4));
    request.set_count_only(random_.OneIn(6));
    if (random_.OneIn(6)) request.set_min_mod_revision(Revision(compact_revision, revision));
    if (random_.OneIn(6)) request.set_max_mod_revision(Revision(compact_revision, revision));
    if (random_.OneIn(6)) request.set_min_create_revision(Revision(compact_revision, revision));
    if (random_.OneIn(6)) request.set_max_create_revision(Revision(compact_revision, revision));
    return request;
  }

  int64_t Revision(int64_t compact_revision, int64_t revision) {
    const int64_t low = compact_revision > 2 ? compact_revision - 2 : 0;
    return static_cast<int64_t>(random_.Between(low, static_cast<uint64_t>(revision) + 1));
  }

  etcdserverpb::Compare Compare(int64_t revision) {
    using etcdserverpb::Compare;
    class Compare compare;
    compare.set_key(Key());
    if (random_.OneIn(4)) compare.set_range_end(RangeEnd());
    compare.set_result(static_cast<Compare::CompareResult>(random_.Below(4)));
    compare.set_target(static_cast<Compare::CompareTarget>(random_.Below(5)));
    const auto number = static_cast<int64_t>(random_.Below(4));
    switch (random_.Below(5)) {
      case 0:
        compare.set_version(number);
        break;
      case 1:
        compare.set_create_revision(random_.OneIn(3) ? 0 : revision - number);
        break;
      case 2:
        compare.set_mod_revision(random_.OneIn(3) ? 0 : revision - number);
        break;
      case 3:
        compare.set_value("m");
        break;
      default:
        compare.set_lease(number);
        break;
    }
    return compare;
  }

  // Not validated: callers drop those that break the duplicate-key rules.
  etcdserverpb::TxnRequest Txn(int64_t compact_revision, int64_t revision, int depth = 0) {
    etcdserverpb::TxnRequest txn;
    for (uint64_t n = random_.Below(3); n > 0; --n) *txn.add_compare() = Compare(revision);
    for (auto* branch : {txn.mutable_success(), txn.mutable_failure()}) {
      for (uint64_t n = random_.Below(4); n > 0; --n) {
        etcdserverpb::RequestOp& op = *branch->Add();
        const uint64_t kind = random_.Below(depth < 2 ? 4 : 3);
        if (kind == 0) *op.mutable_request_range() = Range(compact_revision, revision);
        if (kind == 1) *op.mutable_request_put() = Put();
        if (kind == 2) *op.mutable_request_delete_range() = DeleteRange();
        if (kind == 3) *op.mutable_request_txn() = Txn(compact_revision, revision, depth + 1);
      }
    }
    return txn;
  }

 private:
  Random random_;
};

}  // namespace conclave::kv
