// The log in memory and the configurations by index against plain vectors: random appends,
// truncations and compactions, and after each of them every question that can be asked.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "raft/base/random.h"
#include "raft/core/configurations.h"
#include "raft/core/memory_log.h"

namespace conclave::raft {
namespace {

Configuration RandomConfiguration(Random& random) {
  Configuration configuration;
  for (uint64_t id = 1; id <= 5; ++id) {
    if (random.OneIn(2)) configuration.voters.push_back(NodeId(id));
  }
  if (configuration.voters.empty()) configuration.voters.push_back(NodeId(6));
  return configuration;
}

// All entries ever appended and not truncated, whether let go or not.
class Model {
 public:
  explicit Model(uint64_t seed)
      : random_(seed),
        first_(RandomConfiguration(random_)),
        log_(LogIndex(0), Term(0), {}),
        configurations_(LogIndex(0), first_) {}

  void OneEvent() {
    const uint64_t kind = random_.Below(10);
    if (kind < 6) {
      Append();
    } else if (kind < 8 && start_ < entries_.size()) {
      Truncate(random_.Between(start_ + 1, entries_.size()));
    } else if (kind == 8) {
      Compact(random_.Between(start_, entries_.size()));
    }
    Check();
  }

 private:
  void Append() {
    term_ += random_.Below(3);
    Entry entry{Term(std::max<uint64_t>(term_, 1)), LogIndex(entries_.size() + 1),
                EntryKind::kCommand, Bytes::Copy(std::string(random_.Below(40), 'x'))};
    if (random_.OneIn(4)) {
      entry.kind = EntryKind::kConfiguration;
      const Configuration configuration = RandomConfiguration(random_);
      entry.payload = Bytes::Copy(EncodeConfigurationEntry(configuration, "context"));
    }
    entries_.push_back(entry);
    log_.Append(entry);
    configurations_.OnAppend(entry);
  }

  void Truncate(uint64_t from) {
    entries_.resize(from - 1);
    log_.TruncateFrom(LogIndex(from));
    configurations_.TruncateFrom(LogIndex(from));
  }

  void Compact(uint64_t to) {
    start_ = to;
    log_.CompactTo(LogIndex(to));
    configurations_.CompactTo(LogIndex(to));
  }

  Term TermAt(uint64_t index) const { return index == 0 ? Term(0) : entries_[index - 1].term; }

  Configuration ConfigurationAt(uint64_t index) const {
    for (; index > 0; --index) {
      const Entry& entry = entries_[index - 1];
      if (entry.kind != EntryKind::kConfiguration) continue;
      return DecodeConfigurationEntry(entry.payload.view())->configuration;
    }
    return first_;
  }

  void Check() {
    const uint64_t last = entries_.size();
    ASSERT_EQ(log_.start(), LogIndex(start_));
    ASSERT_EQ(log_.last_index(), LogIndex(last));
    ASSERT_EQ(log_.last_term(), TermAt(last));
    ASSERT_EQ(configurations_.current(), ConfigurationAt(last));
    for (uint64_t index = 0; index <= last + 1; ++index) CheckAt(index);
    CheckSlice();
  }

  void CheckAt(uint64_t index) {
    const bool known = index >= start_ && index <= entries_.size();
    ASSERT_EQ(log_.TermAt(LogIndex(index)), known ? std::optional(TermAt(index)) : std::nullopt);
    if (known) {
      ASSERT_EQ(configurations_.At(LogIndex(index)), ConfigurationAt(index));
    }
    if (index > start_ && index <= entries_.size()) {
      ASSERT_EQ(log_.At(LogIndex(index)), entries_[index - 1]);
    }
  }

  void CheckSlice() {
    const uint64_t last = entries_.size();
    const uint64_t from = random_.Between(start_ + 1, last + 1);
    const size_t bytes_max = random_.Below(200);
    const size_t entries_max = random_.Between(1, 5);
    std::vector<Entry> expected;
    size_t bytes = 0;
    for (uint64_t index = from; index <= last && expected.size() < entries_max; ++index) {
      bytes += EntryBytes(entries_[index - 1]);
      if (bytes > bytes_max && !expected.empty()) break;
      expected.push_back(entries_[index - 1]);
    }
    ASSERT_EQ(log_.Slice(LogIndex(from), LogIndex(last), bytes_max, entries_max), expected);
  }

  Random random_;
  const Configuration first_;
  uint64_t term_ = 0;
  uint64_t start_ = 0;
  std::vector<Entry> entries_;
  MemoryLog log_;
  Configurations configurations_;
};

TEST(LogPropertyTest, TheLogAndItsConfigurationsAreWhatWasAppendedAndNotTruncated) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Model model(seed);
    for (int event = 0; event < 80 && !testing::Test::HasFatalFailure(); ++event) model.OneEvent();
    ASSERT_FALSE(testing::Test::HasFatalFailure());
  }
}

}  // namespace
}  // namespace conclave::raft
