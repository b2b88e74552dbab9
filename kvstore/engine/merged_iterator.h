// One order out of several: the runs of a write buffer on top of what lies below them. Of a key the
// newest source counts, and if that has a delete there is no such key. Used by one thread at a
// time.
#pragma once

#include <memory>

#include "kvstore/engine/engine.h"
#include "kvstore/engine/write_buffer.h"

namespace conclave::kv {

// `below` is older than all of `runs`, and is used as it is if there are none.
std::unique_ptr<Iterator> MergeOver(WriteBuffer::Runs runs, std::unique_ptr<Iterator> below);

}  // namespace conclave::kv
