// Judges what a cluster holds after crashes against the journal of what it acknowledged. Each
// number was sent once, so beside "nothing acknowledged is lost" it must hold that nothing was
// applied twice. Used by one thread.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "client/load/request_template.h"
#include "kvstore/proto/kv.pb.h"

namespace conclave::crash {

// The pairs that the writer writes: "crash/" and twelve digits, 64 bytes of value.
inline constexpr const char* kKeyPrefix = "crash/";
inline const client::PairShape kShape{.key_prefix = kKeyPrefix, .key_size = 18, .value_size = 64};

class WriteCheck {
 public:
  // `acknowledged` is revision by number, and must outlive this.
  explicit WriteCheck(const std::unordered_map<std::uint64_t, std::int64_t>& acknowledged);

  // A pair that the cluster holds.
  void Add(const mvccpb::KeyValue& pair);

  // After the last pair: what is wrong, a line each, at most kViolationsShown of them; empty when
  // all is well.
  std::vector<std::string> Violations() const;

  std::uint64_t violations() const { return violations_ + lost(); }
  std::uint64_t found() const { return found_.size(); }
  std::uint64_t lost() const { return acknowledged_.size() - acknowledged_found_; }
  // Written though their answers were never seen: allowed.
  std::uint64_t unacknowledged() const { return found_.size() - acknowledged_found_; }

  static constexpr std::size_t kViolationsShown = 20;

 private:
  void Violation(std::string text);

  const std::unordered_map<std::uint64_t, std::int64_t>& acknowledged_;
  std::unordered_set<std::uint64_t> found_;
  std::uint64_t acknowledged_found_ = 0;
  std::uint64_t violations_ = 0;
  std::vector<std::string> shown_;
};

}  // namespace conclave::crash
