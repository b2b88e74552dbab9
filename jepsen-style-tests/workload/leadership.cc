// Transfers of leadership, to members that may take it and to some that may not. What must hold of
// them is for the Raft invariants and for everybody else's histories to say.
#include "jepsen-style-tests/workload/all_workloads.h"

namespace conclave::sim {

namespace {

constexpr Duration kPauseMax = Seconds(6);

class Leadership : public Workload {
 public:
  Leadership(World* world, History* history, Random drawn)
      : Workload("leadership", world, history, drawn) {}

  bool disturbs() const override { return true; }
  void Start() override { Spawn(Client(NewSession())); }
  std::vector<checker::Report> Check() override { return {}; }

 private:
  Co<void> Client(Session& session) {
    while (loading()) {
      co_await session.SleepUpTo(kPauseMax);
      const auto status = co_await session.Status();
      const uint64_t leader = status.response.leader();
      const Member* const known = world().FindMember(raft::NodeId(leader));
      // Asked of another member it is refused, which is to be tried as well.
      if (known != nullptr && !session.random().OneIn(8)) session.GoTo(known->position());
      co_await session.MoveLeader(Target(session.random()));
    }
  }

  // A member's id, or once in a while that of none.
  uint64_t Target(Random& random) {
    return random.OneIn(12) ? 99 : world().member(random.Below(world().size())).id().value();
  }
};

}  // namespace

std::unique_ptr<Workload> MakeLeadership(World* world, History* history, Random random) {
  return std::make_unique<Leadership>(world, history, random);
}

}  // namespace conclave::sim
