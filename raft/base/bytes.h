// Immutable shared bytes: one allocation however many holders. The log, the WAL, the transport and
// apply hold the same entry payload through it (design section 3). Copying a Bytes copies a
// pointer; a slice keeps the whole block alive. Any lane; the count is atomic, the bytes never
// change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace conclave {

class Bytes {
 public:
  Bytes() = default;
  Bytes(const Bytes& other);
  Bytes(Bytes&& other) noexcept;
  Bytes& operator=(const Bytes& other);
  Bytes& operator=(Bytes&& other) noexcept;
  ~Bytes();

  // A block that holds a copy of `source`.
  static Bytes Copy(std::string_view source);
  // A block that holds the pieces one after the other: one allocation, one copy.
  static Bytes Concat(std::string_view first, std::string_view second);

  // The bytes [offset, offset + size) of this one, sharing its block. Requires them to be inside.
  Bytes Slice(size_t offset, size_t size) const;

  std::string_view view() const { return {begin_, size_}; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  friend bool operator==(const Bytes& a, const Bytes& b) { return a.view() == b.view(); }

 private:
  struct Block;

  Block* block_ = nullptr;
  const char* begin_ = nullptr;
  size_t size_ = 0;
};

}  // namespace conclave
