#include "raft/core/configurations.h"

#include "raft/base/check.h"

namespace conclave::raft {

Configurations::Configurations(LogIndex index, Configuration start) {
  CHECK(!start.voters.empty());
  by_index_.emplace_back(index, std::move(start));
}

const Configuration& Configurations::At(LogIndex index) const {
  CHECK(index >= by_index_.front().first);
  size_t i = by_index_.size() - 1;
  while (by_index_[i].first > index) --i;
  return by_index_[i].second;
}

bool Configurations::AnySince(LogIndex index,
                              absl::FunctionRef<bool(const Configuration&)> matches) const {
  CHECK(index >= by_index_.front().first);
  size_t i = by_index_.size();
  do {
    if (matches(by_index_[--i].second)) return true;
  } while (by_index_[i].first > index);
  return false;
}

void Configurations::OnAppend(const Entry& entry) {
  if (entry.kind != EntryKind::kConfiguration) return;
  CHECK(entry.index > current_index());
  absl::StatusOr<ConfigurationEntry> decoded = DecodeConfigurationEntry(entry.payload.view());
  if (!decoded.ok() || decoded->configuration.voters.empty()) {
    Fatal("a configuration entry of the log cannot be read");
  }
  by_index_.emplace_back(entry.index, std::move(decoded->configuration));
}

void Configurations::TruncateFrom(LogIndex index) {
  CHECK(index > by_index_.front().first);
  while (by_index_.back().first >= index) by_index_.pop_back();
  CHECK(!by_index_.empty());
}

void Configurations::CompactTo(LogIndex index) {
  CHECK(index >= by_index_.front().first);
  while (by_index_.size() > 1 && by_index_[1].first <= index) by_index_.erase(by_index_.begin());
  CHECK(by_index_.front().first <= index);
}

}  // namespace conclave::raft
