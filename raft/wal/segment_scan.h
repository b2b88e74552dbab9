// What the bytes of one segment say: which records are whole, which were durable once and are
// damaged, and what is left of an unfinished write at the end. No files; used by recovery, by the
// dump tool and by the simulator's damage.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "raft/wal/record.h"

namespace conclave::raft {

struct SegmentScan {
  struct Record {
    uint64_t offset = 0;
    RecordHeader header;
  };
  // Bytes that were durable once and are no record now.
  struct Damage {
    uint64_t offset = 0;
    uint64_t end = 0;      // where the next whole record is; `offset` if there is none
    uint64_t witness = 0;  // a record that was written after they were durable; 0 if it is not one
  };

  std::vector<Record> records;  // all that are whole, in order
  std::vector<Damage> damages;  // between them or after the last one, in order
  uint64_t end = 0;             // where the records end
  bool end_lost = false;        // damaged from there on
  bool leftovers = false;       // pieces of an unfinished write are there
  uint64_t used = 0;            // after it all is zero
};

// Nothing in the segment can be an unfinished write.
inline constexpr uint64_t kAllDurable = UINT64_MAX;

// `durable`: what was written before this offset was durable once, as is known from elsewhere. What
// the segment's own records vouch for is found besides.
SegmentScan ScanSegment(std::string_view segment, uint32_t id_sum, uint64_t durable = 0);

}  // namespace conclave::raft
