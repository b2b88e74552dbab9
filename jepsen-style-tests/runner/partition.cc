#include "jepsen-style-tests/runner/partition.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace conclave::sim {

namespace {

// Whether members at these places of a random order still see each other.
using Sees = std::function<bool(size_t a, size_t b)>;

struct Shape {
  const char* name;
  size_t members_min;  // with fewer it would cut nothing
  Sees (*make)(size_t members);
};

constexpr Shape kShapes[] = {
    // One member alone.
    {"isolate", 2,
     [](size_t) -> Sees { return [](size_t a, size_t b) { return a > 0 && b > 0; }; }},
    // Two groups; with an even number neither has a quorum.
    {"halves", 2,
     [](size_t members) -> Sees {
       return [half = members / 2](size_t a, size_t b) { return (a < half) == (b < half); };
     }},
    // Two groups that have one member in common.
    {"bridge", 3,
     [](size_t members) -> Sees {
       return [middle = members / 2](size_t a, size_t b) {
         return a == middle || b == middle || (a < middle) == (b < middle);
       };
     }},
    // Each sees its two neighbours, the ends meet.
    {"ring", 4,
     [](size_t members) -> Sees {
       return [members](size_t a, size_t b) {
         const size_t apart = a > b ? a - b : b - a;
         return apart == 1 || apart == members - 1;
       };
     }},
    {"chain", 3,
     [](size_t) -> Sees {
       return [](size_t a, size_t b) { return (a > b ? a - b : b - a) == 1; };
     }},
    // All see one member, and nobody else: only that one can have a quorum.
    {"star", 3, [](size_t) -> Sees { return [](size_t a, size_t b) { return a == 0 || b == 0; }; }},
};

}  // namespace

PartitionShape DrawPartition(size_t members, Random& random) {
  std::vector<size_t> order(members);
  std::iota(order.begin(), order.end(), size_t{0});
  for (size_t i = members; i > 1; --i) std::swap(order[i - 1], order[random.Below(i)]);

  const Shape& drawn = kShapes[random.Below(std::size(kShapes))];
  const Shape& shape = members >= drawn.members_min ? drawn : kShapes[0];
  const Sees sees = shape.make(members);
  const bool one_way = random.OneIn(4);
  PartitionShape partition{.name = std::string(shape.name) + (one_way ? " one way" : ""),
                           .cuts = {}};
  for (size_t a = 0; a < members; ++a) {
    for (size_t b = a + 1; b < members; ++b) {
      if (sees(a, b)) continue;
      const bool turned = random.OneIn(2);
      if (!one_way || !turned) partition.cuts.emplace_back(order[a], order[b]);
      if (!one_way || turned) partition.cuts.emplace_back(order[b], order[a]);
    }
  }
  return partition;
}

}  // namespace conclave::sim
