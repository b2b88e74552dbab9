#include "raft/base/hash64.h"

#define XXH_INLINE_ALL  // the header is the library: nothing to link
#include <xxhash.h>

namespace conclave {

uint64_t Hash64(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

}  // namespace conclave
