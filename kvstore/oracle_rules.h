// The rules of ranges and compares over plain pairs, as the reference says them (behaviour sections
// 3.1, 3.2 and 3.6): what oracles of the store share. Shares nothing with the store itself. Test
// code; pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kvstore/proto/rpc.pb.h"

namespace conclave::kv {

// Pairs of one range at one revision, in ascending order of their keys.
using SelectedPairs = std::vector<const mvccpb::KeyValue*>;

bool InRange(std::string_view key, std::string_view begin, std::string_view end);

// Whether `compare` holds, given the pairs of its range.
bool Holds(const etcdserverpb::Compare& compare, const SelectedPairs& selected);

// Fills in all but the header, given the pairs of the request's range.
void AnswerRange(SelectedPairs selected, const etcdserverpb::RangeRequest& request,
                 etcdserverpb::RangeResponse* response);

}  // namespace conclave::kv
