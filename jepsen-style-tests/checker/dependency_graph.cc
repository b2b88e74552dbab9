#include "jepsen-style-tests/checker/dependency_graph.h"

#include <algorithm>
#include <limits>

#include "raft/base/check.h"

namespace conclave::checker {
namespace {

// A set of DependencyKind.
using Kinds = unsigned;
constexpr Kinds Only(DependencyKind kind) { return 1u << static_cast<unsigned>(kind); }
constexpr Kinds kWw = Only(DependencyKind::kWriteWrite);
constexpr Kinds kWr = Only(DependencyKind::kWriteRead);
constexpr Kinds kRw = Only(DependencyKind::kReadWrite);
constexpr Kinds kRt = Only(DependencyKind::kRealTime);

// A kind of cycle: one dependency of `closing`, and a way back from where it leads by those of
// `others`. The worse kinds come first, so a kind need not exclude them.
struct CycleKind {
  std::string_view anomaly;
  Kinds closing;
  Kinds others;
};
constexpr CycleKind kCycleKinds[] = {
    {"G0", kWw, kWw},
    {"G1c", kWr, kWw | kWr},
    {"G-single", kRw, kWw | kWr},
    {"G2", kRw, kWw | kWr | kRw},
    {"G0-realtime", kWw, kWw | kRt},
    {"G1c-realtime", kWr, kWw | kWr | kRt},
    {"G-single-realtime", kRw, kWw | kWr | kRt},
    {"G2-realtime", kRw, kWw | kWr | kRw | kRt},
};
constexpr Kinds kAll = kWw | kWr | kRw | kRt;

constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

class Graph {
 public:
  Graph(size_t node_count, const std::vector<Dependency>& dependencies);

  // The strongly connected component of each node, by the dependencies of `kinds`.
  std::vector<uint32_t> Components(Kinds kinds) const;
  // Whether two nodes share a component.
  static bool HasCycle(const std::vector<uint32_t>& components);

  // A short cycle of the kind; empty if there is none.
  std::vector<Dependency> ShortCycle(const CycleKind& kind) const;

 private:
  // A shortest way between two nodes of one component, of at most `length_max` dependencies; empty
  // if there is none.
  std::vector<Dependency> ShortestWay(uint32_t from, uint32_t to, Kinds kinds,
                                      const std::vector<uint32_t>& components,
                                      size_t length_max) const;

  std::vector<Dependency> dependencies_;  // by `from`
  std::vector<uint32_t> first_;           // by node: its first in dependencies_; and an end
};

Graph::Graph(size_t node_count, const std::vector<Dependency>& dependencies)
    : dependencies_(dependencies.size()), first_(node_count + 1) {
  for (const Dependency& dependency : dependencies) ++first_[dependency.from + 1];
  for (size_t node = 0; node < node_count; ++node) first_[node + 1] += first_[node];
  std::vector<uint32_t> next = first_;
  for (const Dependency& dependency : dependencies) {
    dependencies_[next[dependency.from]++] = dependency;
  }
}

// Tarjan's algorithm, with a stack of our own: a history is longer than the machine's stack is
// deep.
class Tarjan {
 public:
  Tarjan(const std::vector<Dependency>& dependencies, const std::vector<uint32_t>& first,
         Kinds kinds)
      : dependencies_(dependencies), first_(first), kinds_(kinds) {
    const size_t node_count = first.size() - 1;
    order_.resize(node_count, kNone);
    low_.resize(node_count);
    components_.resize(node_count, kNone);
    next_.assign(first.begin(), first.end() - 1);
  }

  std::vector<uint32_t> Run() {
    for (uint32_t root = 0; root < order_.size(); ++root) {
      if (order_[root] != kNone) continue;
      Enter(root);
      while (!path_.empty()) Advance();
    }
    return std::move(components_);
  }

 private:
  void Enter(uint32_t node) {
    order_[node] = low_[node] = entered_++;
    path_.push_back(node);
    open_.push_back(node);
  }

  // Follows the next dependency of the path's last node, or leaves the node.
  void Advance() {
    const uint32_t node = path_.back();
    if (next_[node] == first_[node + 1]) {
      Leave(node);
      return;
    }
    const Dependency& dependency = dependencies_[next_[node]++];
    if ((Only(dependency.kind) & kinds_) == 0) return;
    if (order_[dependency.to] == kNone) {
      Enter(dependency.to);
    } else if (components_[dependency.to] == kNone) {
      low_[node] = std::min(low_[node], order_[dependency.to]);
    }
  }

  void Leave(uint32_t node) {
    path_.pop_back();
    if (!path_.empty()) low_[path_.back()] = std::min(low_[path_.back()], low_[node]);
    if (low_[node] != order_[node]) return;
    uint32_t member = kNone;
    do {
      member = open_.back();
      open_.pop_back();
      components_[member] = node;
    } while (member != node);
  }

  const std::vector<Dependency>& dependencies_;
  const std::vector<uint32_t>& first_;
  const Kinds kinds_;
  uint32_t entered_ = 0;
  std::vector<uint32_t> order_;       // by node: when it was entered
  std::vector<uint32_t> low_;         // by node: the earliest entered that it reaches
  std::vector<uint32_t> components_;  // by node: the component's first node
  std::vector<uint32_t> next_;        // by node: the dependency to follow next
  std::vector<uint32_t> path_;
  std::vector<uint32_t> open_;  // entered, without component
};

std::vector<uint32_t> Graph::Components(Kinds kinds) const {
  return Tarjan(dependencies_, first_, kinds).Run();
}

bool Graph::HasCycle(const std::vector<uint32_t>& components) {
  for (uint32_t node = 0; node < components.size(); ++node) {
    if (components[node] != node) return true;
  }
  return false;
}

std::vector<Dependency> Graph::ShortestWay(uint32_t from, uint32_t to, Kinds kinds,
                                           const std::vector<uint32_t>& components,
                                           size_t length_max) const {
  std::vector<uint32_t> came_by(components.size(), kNone);  // by node: an index of dependencies_
  std::vector<uint32_t> reached = {from};
  size_t begin = 0;
  for (size_t length = 0; length < length_max && came_by[to] == kNone; ++length) {
    const size_t end = reached.size();
    for (; begin < end; ++begin) {
      for (uint32_t i = first_[reached[begin]]; i < first_[reached[begin] + 1]; ++i) {
        const Dependency& dependency = dependencies_[i];
        if ((Only(dependency.kind) & kinds) == 0 || came_by[dependency.to] != kNone ||
            components[dependency.to] != components[from]) {
          continue;
        }
        came_by[dependency.to] = i;
        reached.push_back(dependency.to);
      }
    }
  }
  std::vector<Dependency> way;
  if (came_by[to] == kNone) return way;
  for (uint32_t node = to; way.empty() || node != from; node = way.back().from) {
    way.push_back(dependencies_[came_by[node]]);
  }
  std::reverse(way.begin(), way.end());
  return way;
}

std::vector<Dependency> Graph::ShortCycle(const CycleKind& kind) const {
  constexpr size_t kShortest = 2;
  const std::vector<uint32_t> components = Components(kind.closing | kind.others);
  std::vector<Dependency> cycle;
  for (const Dependency& closing : dependencies_) {
    if ((Only(closing.kind) & kind.closing) == 0) continue;
    if (components[closing.from] != components[closing.to]) continue;
    const size_t length_max = cycle.empty() ? components.size() : cycle.size() - 2;
    std::vector<Dependency> way =
        ShortestWay(closing.to, closing.from, kind.others, components, length_max);
    if (way.empty()) continue;
    cycle = {closing};
    cycle.insert(cycle.end(), way.begin(), way.end());
    if (cycle.size() == kShortest) break;
  }
  return cycle;
}

}  // namespace

std::optional<AnomalousCycle> FindAnomalousCycle(size_t node_count,
                                                 const std::vector<Dependency>& dependencies) {
  const Graph graph(node_count, dependencies);
  if (!Graph::HasCycle(graph.Components(kAll))) return std::nullopt;
  for (const CycleKind& kind : kCycleKinds) {
    std::vector<Dependency> cycle = graph.ShortCycle(kind);
    if (!cycle.empty()) return AnomalousCycle{kind.anomaly, std::move(cycle)};
  }
  // Real time alone has no cycles, and the last kinds of the table cover all others.
  CHECK_MSG(false, "a cycle of no kind");
}

}  // namespace conclave::checker
