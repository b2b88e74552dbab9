#include "jepsen-style-tests/crash/write_check.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

namespace conclave::crash {

WriteCheck::WriteCheck(const std::unordered_map<std::uint64_t, std::int64_t>& acknowledged)
    : acknowledged_(acknowledged) {}

void WriteCheck::Violation(std::string text) {
  ++violations_;
  if (shown_.size() < kViolationsShown) shown_.push_back(std::move(text));
}

void WriteCheck::Add(const mvccpb::KeyValue& pair) {
  const std::string& key = pair.key();
  std::uint64_t number = 0;
  const std::size_t prefix = std::string_view(kKeyPrefix).size();
  if (key.size() != kShape.key_size ||
      std::from_chars(key.data() + prefix, key.data() + key.size(), number).ec != std::errc() ||
      kShape.KeyOf(number) != key) {
    return Violation(fmt::format("a key that nobody wrote: '{}'", key));
  }
  if (!found_.insert(number).second) return Violation(fmt::format("{} is listed twice", key));
  if (pair.value() != kShape.ValueOf(number)) {
    Violation(fmt::format("{} holds a value that nobody wrote: '{}'", key, pair.value()));
  }
  if (pair.version() != 1 || pair.create_revision() != pair.mod_revision()) {
    Violation(fmt::format("{} was sent once and applied {} times", key, pair.version()));
  }
  const auto acknowledged = acknowledged_.find(number);
  if (acknowledged == acknowledged_.end()) return;
  ++acknowledged_found_;
  if (pair.mod_revision() != acknowledged->second) {
    Violation(fmt::format("{} was acknowledged with revision {} and has {}", key,
                          acknowledged->second, pair.mod_revision()));
  }
}

std::vector<std::string> WriteCheck::Violations() const {
  std::vector<std::string> texts = shown_;
  if (lost() == 0) return texts;
  texts.push_back(fmt::format("{} acknowledged writes are lost", lost()));
  for (const auto& [number, revision] : acknowledged_) {
    if (texts.size() >= 2 * kViolationsShown) break;
    if (found_.contains(number)) continue;
    texts.push_back(fmt::format("lost: {} of revision {}", kShape.KeyOf(number), revision));
  }
  return texts;
}

}  // namespace conclave::crash
