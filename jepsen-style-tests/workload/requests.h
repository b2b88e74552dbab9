// Requests of the etcd API as workloads need them, in fewer words than the generated messages take.
// Plain functions; any thread.
#pragma once

#include <string>
#include <string_view>

#include "kvstore/proto/rpc.pb.h"

namespace conclave::sim {

// The end of the range of all keys with this prefix, which must not end in 0xff.
std::string PrefixEnd(std::string_view prefix);

etcdserverpb::RangeRequest RangeOf(std::string_view key);
etcdserverpb::RangeRequest RangeOfPrefix(std::string_view prefix);
etcdserverpb::DeleteRangeRequest DeleteOfPrefix(std::string_view prefix);

// "If the key's mod_revision (create_revision, value) is this"; revision 0: if it does not exist.
etcdserverpb::Compare IfModRevision(std::string_view key, int64_t revision);
etcdserverpb::Compare IfCreateRevision(std::string_view key, int64_t revision);
etcdserverpb::Compare IfValue(std::string_view key, std::string_view value);

etcdserverpb::RequestOp OpPut(std::string_view key, std::string_view value, int64_t lease = 0);
etcdserverpb::RequestOp OpDelete(std::string_view key);
etcdserverpb::RequestOp OpRange(etcdserverpb::RangeRequest range);

}  // namespace conclave::sim
