// A fast 64-bit hash of bytes, for sums that members compare with each other: the same on every
// machine and in every version. It finds accidents and not forgeries. Pure functions, any lane.
#pragma once

#include <cstdint>
#include <string_view>

namespace conclave {

// XXH3 of 64 bits (xxHash 0.8), without a seed: one would cost as much again as 100 bytes.
uint64_t Hash64(std::string_view bytes);

}  // namespace conclave
