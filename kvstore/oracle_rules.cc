#include "kvstore/oracle_rules.h"

#include <algorithm>

namespace conclave::kv {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;
using mvccpb::KeyValue;

bool Before(RangeRequest::SortTarget target, const KeyValue& a, const KeyValue& b) {
  if (target == RangeRequest::VERSION) return a.version() < b.version();
  if (target == RangeRequest::CREATE) return a.create_revision() < b.create_revision();
  if (target == RangeRequest::MOD) return a.mod_revision() < b.mod_revision();
  if (target == RangeRequest::VALUE) return a.value() < b.value();
  return a.key() < b.key();
}

bool Filtered(const RangeRequest& request, const KeyValue& kv) {
  if (request.min_mod_revision() != 0 && kv.mod_revision() < request.min_mod_revision())
    return true;
  if (request.max_mod_revision() != 0 && kv.mod_revision() > request.max_mod_revision())
    return true;
  if (request.min_create_revision() != 0 && kv.create_revision() < request.min_create_revision()) {
    return true;
  }
  return request.max_create_revision() != 0 && kv.create_revision() > request.max_create_revision();
}

template <typename T>
bool Stands(const T& stored, Compare::CompareResult result, const T& given) {
  if (result == Compare::EQUAL) return stored == given;
  if (result == Compare::NOT_EQUAL) return stored != given;
  if (result == Compare::GREATER) return stored > given;
  return stored < given;
}

bool HoldsFor(const KeyValue& kv, const Compare& compare) {
  switch (compare.target()) {
    case Compare::VERSION:
      return Stands<int64_t>(kv.version(), compare.result(), compare.version());
    case Compare::CREATE:
      return Stands<int64_t>(kv.create_revision(), compare.result(), compare.create_revision());
    case Compare::MOD:
      return Stands<int64_t>(kv.mod_revision(), compare.result(), compare.mod_revision());
    case Compare::LEASE:
      return Stands<int64_t>(kv.lease(), compare.result(), compare.lease());
    default:
      return Stands<std::string>(kv.value(), compare.result(), compare.value());
  }
}

}  // namespace

bool InRange(std::string_view key, std::string_view begin, std::string_view end) {
  if (end.empty()) return key == begin;
  if (end == std::string_view("\0", 1)) return key >= begin;
  return begin <= key && key < end;
}

bool Holds(const Compare& compare, const SelectedPairs& selected) {
  if (selected.empty()) {
    return compare.target() != Compare::VALUE && HoldsFor(KeyValue(), compare);
  }
  return std::all_of(selected.begin(), selected.end(),
                     [&](const KeyValue* kv) { return HoldsFor(*kv, compare); });
}

void AnswerRange(SelectedPairs kvs, const RangeRequest& request, RangeResponse* response) {
  response->set_count(static_cast<int64_t>(kvs.size()));
  if (request.count_only()) return;
  const size_t before_filters = kvs.size();
  std::erase_if(kvs, [&](const KeyValue* kv) { return Filtered(request, *kv); });
  const bool any_filter = request.min_mod_revision() != 0 || request.max_mod_revision() != 0 ||
                          request.min_create_revision() != 0 || request.max_create_revision() != 0;
  const size_t limit = request.limit() > 0 ? static_cast<size_t>(request.limit()) : before_filters;
  // The quirk: without an order, only the first keys are looked at.
  if (request.sort_order() == RangeRequest::NONE && !any_filter && kvs.size() > limit + 1) {
    kvs.resize(limit + 1);
  }
  const RangeRequest::SortTarget target = request.sort_target();
  const bool descending = request.sort_order() == RangeRequest::DESCEND;
  std::stable_sort(kvs.begin(), kvs.end(), [&](const KeyValue* a, const KeyValue* b) {
    return descending ? Before(target, *b, *a) : Before(target, *a, *b);
  });
  if (kvs.size() > limit) {
    kvs.resize(limit);
    response->set_more(true);
  }
  for (const KeyValue* kv : kvs) {
    KeyValue& answered = *response->add_kvs();
    answered = *kv;
    if (request.keys_only()) answered.clear_value();
  }
}

}  // namespace conclave::kv
