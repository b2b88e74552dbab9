// How much longer than usual the random tests run: a usual run takes a second, a long one millions
// of operations. Test code.
#pragma once

#include <cstdlib>

namespace conclave {

// `usual` times the whole number in CONCLAVE_TEST_SCALE, which is 1 unless it is set.
inline int Scaled(int usual) {
  const char* const scale = std::getenv("CONCLAVE_TEST_SCALE");
  return scale == nullptr ? usual : usual * std::atoi(scale);
}

}  // namespace conclave
