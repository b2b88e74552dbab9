#include "kvstore/engine/cached_only.h"

#include "raft/base/check.h"

namespace conclave::kv {

constinit thread_local CachedOnly* CachedOnly::current_ = nullptr;

CachedOnly::CachedOnly(bool on) : on_(on) {
  if (!on_) return;
  CHECK(current_ == nullptr);
  current_ = this;
}

CachedOnly::~CachedOnly() {
  if (on_) current_ = nullptr;
}

}  // namespace conclave::kv
