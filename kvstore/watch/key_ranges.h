// A map from key ranges to values that answers "which ranges hold this key" without looking at the
// others. Used by the index of synced watchers, one entry per distinct range. Finding costs O(log
// n) plus O(log n) per range found, inserting and erasing O(log n), all expected over the seed;
// overlap does not matter. Belongs to one lane.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "raft/base/check.h"
#include "raft/base/random.h"

namespace conclave::kv {

// A treap ordered by (begin, end), each node of which knows how far the ranges below it reach: a
// subtree whose furthest end is not past the key holds nothing for it. Priorities come from the
// seed, so that clients cannot steer the shape.
template <typename Value>
class KeyRanges {
 public:
  explicit KeyRanges(uint64_t seed) : priorities_(seed) {}

  // The value of [begin, end), made by default if the range is new. An empty `end` means no end.
  // The reference stays good until the range is erased.
  Value& FindOrInsert(std::string_view begin, std::string_view end) {
    if (Value* found = Find(begin, end)) return *found;
    auto node = std::make_unique<Node>();
    node->begin = begin;
    node->end = end;
    node->priority = priorities_.Next();
    node->furthest_end = node->end;
    Value& value = node->value;
    root_ = Insert(std::move(root_), std::move(node));
    ++size_;
    return value;
  }

  // nullptr if exactly this range is not in the map.
  Value* Find(std::string_view begin, std::string_view end) {
    Node* node = root_.get();
    while (node != nullptr) {
      const int order = Compare(begin, end, *node);
      if (order == 0) return &node->value;
      node = order < 0 ? node->left.get() : node->right.get();
    }
    return nullptr;
  }

  // Requires exactly this range to be in the map.
  void Erase(std::string_view begin, std::string_view end) {
    root_ = Remove(std::move(root_), begin, end);
    --size_;
  }

  // Calls visit(Value&) for every range that holds `key`, in order of (begin, end).
  template <typename Visitor>
  void ForEachHolding(std::string_view key, Visitor visit) {
    VisitHolding(root_.get(), key, visit);
  }

  size_t size() const { return size_; }

 private:
  struct Node;
  using Tree = std::unique_ptr<Node>;
  struct Node {
    std::string begin;
    std::string end;
    uint64_t priority = 0;
    std::string_view furthest_end;  // of this node and all below it; points into one of them
    Value value{};
    Tree left;
    Tree right;
  };

  static bool IsPast(std::string_view end, std::string_view key) {
    return end.empty() || key < end;
  }

  static std::string_view Further(std::string_view a, std::string_view b) {
    if (a.empty() || b.empty()) return {};
    return std::max(a, b);
  }

  static int Compare(std::string_view begin, std::string_view end, const Node& node) {
    const int order = begin.compare(node.begin);
    return order != 0 ? order : end.compare(node.end);
  }

  static void UpdateFurthestEnd(Node& node) {
    node.furthest_end = node.end;
    for (const Node* child : {node.left.get(), node.right.get()}) {
      if (child != nullptr) node.furthest_end = Further(node.furthest_end, child->furthest_end);
    }
  }

  static Tree Insert(Tree tree, Tree node) {
    if (tree == nullptr) return node;
    if (node->priority > tree->priority) {
      std::tie(node->left, node->right) = Split(std::move(tree), *node);
      UpdateFurthestEnd(*node);
      return node;
    }
    Tree& side = Compare(node->begin, node->end, *tree) < 0 ? tree->left : tree->right;
    side = Insert(std::move(side), std::move(node));
    UpdateFurthestEnd(*tree);
    return tree;
  }

  // The ranges before `at` and those after it.
  static std::pair<Tree, Tree> Split(Tree tree, const Node& at) {
    if (tree == nullptr) return {};
    Tree before;
    Tree after;
    if (Compare(at.begin, at.end, *tree) > 0) {
      std::tie(tree->right, after) = Split(std::move(tree->right), at);
      UpdateFurthestEnd(*tree);
      before = std::move(tree);
    } else {
      std::tie(before, tree->left) = Split(std::move(tree->left), at);
      UpdateFurthestEnd(*tree);
      after = std::move(tree);
    }
    return {std::move(before), std::move(after)};
  }

  static Tree Remove(Tree tree, std::string_view begin, std::string_view end) {
    CHECK_MSG(tree != nullptr, "the range is not in the map");
    const int order = Compare(begin, end, *tree);
    if (order == 0) return Join(std::move(tree->left), std::move(tree->right));
    Tree& side = order < 0 ? tree->left : tree->right;
    side = Remove(std::move(side), begin, end);
    UpdateFurthestEnd(*tree);
    return tree;
  }

  // Requires every range of `before` to be before every one of `after`.
  static Tree Join(Tree before, Tree after) {
    if (before == nullptr) return after;
    if (after == nullptr) return before;
    if (before->priority > after->priority) {
      before->right = Join(std::move(before->right), std::move(after));
      UpdateFurthestEnd(*before);
      return before;
    }
    after->left = Join(std::move(before), std::move(after->left));
    UpdateFurthestEnd(*after);
    return after;
  }

  template <typename Visitor>
  static void VisitHolding(Node* node, std::string_view key, Visitor& visit) {
    if (node == nullptr || !IsPast(node->furthest_end, key)) return;
    VisitHolding(node->left.get(), key, visit);
    if (key < node->begin) return;
    if (IsPast(node->end, key)) visit(node->value);
    VisitHolding(node->right.get(), key, visit);
  }

  Random priorities_;
  Tree root_;
  size_t size_ = 0;
};

}  // namespace conclave::kv
