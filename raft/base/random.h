// The seam of chance: a small seeded generator, the same numbers on every platform. Everything
// random in deterministic code comes from one of these; its seed comes from outside (the kernel in
// production, the run's seed in simulation). A generator belongs to one lane.
#pragma once

#include <cstdint>
#include <string_view>

namespace conclave {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  // The next 64 bits (SplitMix64: passes BigCrush, and any seed is a good one).
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  // A number in [0, bound). Requires bound > 0. The bias of the modulo is below 2^-32 for bounds
  // below 2^32.
  uint64_t Below(uint64_t bound) { return Next() % bound; }

  // A number in [low, high], both included.
  uint64_t Between(uint64_t low, uint64_t high) { return low + Below(high - low + 1); }

  // True once in `n` calls on average.
  bool OneIn(uint64_t n) { return Below(n) == 0; }

  // A generator of its own for `name`: drawing more from one stream does not shift another.
  Random Stream(std::string_view name) const {
    uint64_t hash = state_ ^ 0xcbf29ce484222325u;
    for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    return Random(hash);
  }

 private:
  uint64_t state_;
};

}  // namespace conclave
