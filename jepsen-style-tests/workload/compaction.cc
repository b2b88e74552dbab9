// Compactions of revisions, at recent ones and at implausible ones: what others read and watch must
// bear it. Nothing is judged here; the revision oracle knows what was compacted.
#include <algorithm>

#include "jepsen-style-tests/workload/all_workloads.h"

namespace conclave::sim {

namespace {

// How far behind the present it compacts.
constexpr uint64_t kBehindMax = 60;
// There is no need for it as often as for others.
constexpr Duration kPauseMax = Seconds(3);

class Compaction : public Workload {
 public:
  Compaction(World* world, History* history, Random drawn)
      : Workload("compaction", world, history, drawn) {}

  void Start() override { Spawn(Client(NewSession())); }
  std::vector<checker::Report> Check() override { return {}; }

 private:
  Co<void> Client(Session& session) {
    while (loading()) {
      co_await session.SleepUpTo(kPauseMax);
      const int64_t revision = Revision(session.random());
      co_await session.Compact(revision, /*physical=*/session.random().OneIn(4));
    }
  }

  int64_t Revision(Random& random) {
    const int64_t present = history().revision_seen();
    switch (random.Below(12)) {
      case 0:
        return present + static_cast<int64_t>(random.Between(1, 1000));  // of the future
      case 1:
        return static_cast<int64_t>(random.Below(static_cast<uint64_t>(present)));
      case 2:
        return present;
      default:
        return std::max<int64_t>(1, present - static_cast<int64_t>(random.Below(kBehindMax)));
    }
  }
};

}  // namespace

std::unique_ptr<Workload> MakeCompaction(World* world, History* history, Random random) {
  return std::make_unique<Compaction>(world, history, random);
}

}  // namespace conclave::sim
