#include "raft/base/bytes.h"

#include <atomic>
#include <cstring>
#include <new>
#include <utility>

#include "raft/base/check.h"

namespace conclave {

// The count, followed in the same allocation by the bytes.
struct Bytes::Block {
  std::atomic<uint32_t> holders{1};

  char* data() { return reinterpret_cast<char*>(this + 1); }

  static Block* New(size_t size) {
    void* memory = ::operator new(sizeof(Block) + size);
    return new (memory) Block;
  }
  void Hold() { holders.fetch_add(1, std::memory_order_relaxed); }
  void Release() {
    if (holders.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    this->~Block();
    ::operator delete(this);
  }
};

Bytes::Bytes(const Bytes& other) : block_(other.block_), begin_(other.begin_), size_(other.size_) {
  if (block_ != nullptr) block_->Hold();
}

Bytes::Bytes(Bytes&& other) noexcept
    : block_(std::exchange(other.block_, nullptr)),
      begin_(std::exchange(other.begin_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

Bytes& Bytes::operator=(const Bytes& other) {
  if (this != &other) *this = Bytes(other);
  return *this;
}

Bytes& Bytes::operator=(Bytes&& other) noexcept {
  if (this == &other) return *this;
  if (block_ != nullptr) block_->Release();
  block_ = std::exchange(other.block_, nullptr);
  begin_ = std::exchange(other.begin_, nullptr);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

Bytes::~Bytes() {
  if (block_ != nullptr) block_->Release();
}

Bytes Bytes::Copy(std::string_view source) { return Concat(source, {}); }

Bytes Bytes::Concat(std::string_view first, std::string_view second) {
  Bytes bytes;
  bytes.size_ = first.size() + second.size();
  if (bytes.size_ == 0) return bytes;
  bytes.block_ = Block::New(bytes.size_);
  char* out = bytes.block_->data();
  if (!first.empty()) std::memcpy(out, first.data(), first.size());
  if (!second.empty()) std::memcpy(out + first.size(), second.data(), second.size());
  bytes.begin_ = out;
  return bytes;
}

Bytes Bytes::Slice(size_t offset, size_t size) const {
  CHECK(offset <= size_ && size <= size_ - offset);
  Bytes slice = *this;
  slice.begin_ += offset;
  slice.size_ = size;
  return slice;
}

}  // namespace conclave
