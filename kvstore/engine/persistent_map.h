// An ordered map of bytes to bytes whose copies are frozen: copying costs a pointer, and a later
// change of one copy leaves the others as they were. A treap with path copying: priorities are
// hashes of the keys, so its shape depends on nothing but its keys. The memory engine is made of
// it. A map belongs to one thread at a time; different copies may be on different threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "raft/base/bytes.h"

namespace conclave::kv {

class PersistentMap {
 public:
  struct Node;

  // A counted reference to a node. Like std::shared_ptr, but its owner may ask whether it is the
  // only one, safely.
  class NodeRef {
   public:
    NodeRef() = default;
    explicit NodeRef(Node* node) : node_(node) {}  // takes over the first reference
    NodeRef(const NodeRef& other);
    NodeRef(NodeRef&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
    NodeRef& operator=(NodeRef other) noexcept {
      std::swap(node_, other.node_);
      return *this;
    }
    ~NodeRef();

    Node* get() const { return node_; }
    Node* operator->() const { return node_; }
    explicit operator bool() const { return node_ != nullptr; }
    bool unique() const;

   private:
    Node* node_ = nullptr;
  };

  struct Node {
    std::atomic<uint32_t> references = 1;
    uint64_t priority = 0;
    Bytes key;
    Bytes value;
    NodeRef left;
    NodeRef right;
  };

  // The value, or null; good until the map changes.
  const Bytes* Find(std::string_view key) const;
  void Put(std::string_view key, std::string_view value);
  void Erase(std::string_view key);

  // A position in a copy of the map, which it keeps.
  class Cursor {
   public:
    explicit Cursor(NodeRef root) : root_(std::move(root)) {}
    bool Valid() const { return !path_.empty(); }
    void Seek(std::string_view target);         // to the first key >= target
    void SeekForPrev(std::string_view target);  // to the last key <= target
    void Next();
    void Prev();
    std::string_view key() const { return path_.back()->key.view(); }
    std::string_view value() const { return path_.back()->value.view(); }

   private:
    const NodeRef root_;
    std::vector<const Node*> path_;  // from the root to the position; empty if not valid
  };
  Cursor NewCursor() const { return Cursor(root_); }

 private:
  NodeRef root_;
};

}  // namespace conclave::kv
