#include "kvstore/engine/persistent_map.h"

#include "raft/base/check.h"

namespace conclave::kv {
namespace {

using Node = PersistentMap::Node;
using NodeRef = PersistentMap::NodeRef;

// FNV-1a, then a finalizer, since FNV's high bits are weak for short keys. Equal priorities only
// cost balance.
uint64_t PriorityOf(std::string_view key) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
  return hash ^ (hash >> 33);
}

// The node behind `ref`, which must be reached through nodes that are ours alone; copied if
// somebody else sees it too.
Node* Mutable(NodeRef& ref) {
  if (ref.unique()) return ref.get();
  Node* copy = new Node;
  copy->priority = ref->priority;
  copy->key = ref->key;
  copy->value = ref->value;
  copy->left = ref->left;
  copy->right = ref->right;
  ref = NodeRef(copy);
  return copy;
}

// Parts `tree` at `key`, which is not in it.
void Split(NodeRef tree, std::string_view key, NodeRef& below, NodeRef& above) {
  if (!tree) return;
  Node* node = Mutable(tree);
  if (node->key.view() < key) {
    Split(std::move(node->right), key, node->right, above);
    below = std::move(tree);
  } else {
    Split(std::move(node->left), key, below, node->left);
    above = std::move(tree);
  }
}

// All of `below` is less than all of `above`.
NodeRef Merge(NodeRef below, NodeRef above) {
  if (!below) return above;
  if (!above) return below;
  if (below->priority > above->priority) {
    Node* node = Mutable(below);
    node->right = Merge(std::move(node->right), std::move(above));
    return below;
  }
  Node* node = Mutable(above);
  node->left = Merge(std::move(below), std::move(node->left));
  return above;
}

}  // namespace

NodeRef::NodeRef(const NodeRef& other) : node_(other.node_) {
  if (node_ != nullptr) node_->references.fetch_add(1, std::memory_order_relaxed);
}

NodeRef::~NodeRef() {
  if (node_ != nullptr && node_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    delete node_;
  }
}

// Acquire: what another thread read through the reference it gave up happened before we change the
// node.
bool NodeRef::unique() const { return node_->references.load(std::memory_order_acquire) == 1; }

const Bytes* PersistentMap::Find(std::string_view key) const {
  const Node* node = root_.get();
  while (node != nullptr) {
    const int order = key.compare(node->key.view());
    if (order == 0) return &node->value;
    node = order < 0 ? node->left.get() : node->right.get();
  }
  return nullptr;
}

void PersistentMap::Put(std::string_view key, std::string_view value) {
  const uint64_t priority = PriorityOf(key);
  const bool replaces = Find(key) != nullptr;
  NodeRef* at = &root_;
  // Down to the key itself, or to where its priority puts it.
  while (*at && (replaces || (*at)->priority >= priority)) {
    Node* node = Mutable(*at);
    const int order = key.compare(node->key.view());
    if (order == 0) {
      node->value = Bytes::Copy(value);
      return;
    }
    at = order < 0 ? &node->left : &node->right;
  }
  Node* added = new Node;
  added->priority = priority;
  added->key = Bytes::Copy(key);
  added->value = Bytes::Copy(value);
  Split(std::move(*at), key, added->left, added->right);
  *at = NodeRef(added);
}

void PersistentMap::Erase(std::string_view key) {
  if (Find(key) == nullptr) return;  // so that nothing is copied for nothing
  NodeRef* at = &root_;
  while (true) {
    Node* node = Mutable(*at);
    const int order = key.compare(node->key.view());
    if (order == 0) {
      *at = Merge(std::move(node->left), std::move(node->right));
      return;
    }
    at = order < 0 ? &node->left : &node->right;
  }
}

void PersistentMap::Cursor::Seek(std::string_view target) {
  path_.clear();
  size_t found = 0;  // length of the path to the best node so far
  for (const Node* node = root_.get(); node != nullptr;) {
    path_.push_back(node);
    if (node->key.view() >= target) {
      found = path_.size();
      node = node->left.get();
    } else {
      node = node->right.get();
    }
  }
  path_.resize(found);
}

void PersistentMap::Cursor::SeekForPrev(std::string_view target) {
  path_.clear();
  size_t found = 0;
  for (const Node* node = root_.get(); node != nullptr;) {
    path_.push_back(node);
    if (node->key.view() <= target) {
      found = path_.size();
      node = node->right.get();
    } else {
      node = node->left.get();
    }
  }
  path_.resize(found);
}

void PersistentMap::Cursor::Next() {
  CHECK(Valid());
  if (const Node* node = path_.back()->right.get(); node != nullptr) {
    for (; node != nullptr; node = node->left.get()) path_.push_back(node);
    return;
  }
  const Node* child;
  do {
    child = path_.back();
    path_.pop_back();
  } while (!path_.empty() && path_.back()->right.get() == child);
}

void PersistentMap::Cursor::Prev() {
  CHECK(Valid());
  if (const Node* node = path_.back()->left.get(); node != nullptr) {
    for (; node != nullptr; node = node->right.get()) path_.push_back(node);
    return;
  }
  const Node* child;
  do {
    child = path_.back();
    path_.pop_back();
  } while (!path_.empty() && path_.back()->left.get() == child);
}

}  // namespace conclave::kv
