#include "jepsen-style-tests/sim/trace.h"

#include <fmt/format.h>

#include <cstring>

namespace conclave::sim {

void Trace::Mix(std::string_view bytes) {
  Mix(bytes.size());
  for (; bytes.size() >= sizeof(uint64_t); bytes.remove_prefix(sizeof(uint64_t))) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), sizeof(word));
    Mix(word);
  }
  uint64_t rest = 0;
  std::memcpy(&rest, bytes.data(), bytes.size());
  Mix(rest);
}

void Trace::Note(Instant now, std::string_view text) {
  Mix(static_cast<uint64_t>(now.time_since_epoch().count()));
  Mix(text);
  std::string line = fmt::format("{:11.6f} {}", ToSeconds(now.time_since_epoch()), text);
  if (print_) print_(line);
  lines_.push_back(std::move(line));
  if (lines_.size() > kLinesKept) lines_.pop_front();
}

}  // namespace conclave::sim
