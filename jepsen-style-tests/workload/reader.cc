// Clients that read linearizably, first of all through a member that has just started: what an
// earlier life of it asked for must not answer them, nor what it has not applied yet. And one that
// reads everything in chunks, while it changes. They change nothing; the revision oracle judges
// what they see.
#include <string>

#include "jepsen-style-tests/workload/all_workloads.h"

namespace conclave::sim {

namespace {

constexpr Duration kLookEvery = Milliseconds(10);
constexpr uint64_t kLooksPerRead = 40;  // while nobody starts
constexpr Duration kStreamEvery = Milliseconds(400);

class Reader : public Workload {
 public:
  Reader(World* world, History* history, Random drawn)
      : Workload("reader", world, history, drawn) {}

  void Start() override {
    for (uint64_t n = random().Between(1, 2); n > 0; --n) Spawn(Client(NewSession()));
    if (random().OneIn(2)) Spawn(Streamer(NewSession()));
  }
  std::vector<checker::Report> Check() override { return {}; }

 private:
  Co<void> Client(Session& session) {
    const std::string everything(1, '\0');
    etcdserverpb::RangeRequest first_key;
    first_key.set_key(everything);
    first_key.set_range_end(everything);
    first_key.set_limit(1);
    int64_t visited_ns = 0;  // the start that was visited last
    while (loading()) {
      const Member& newest = Newest();
      const bool has_started = newest.started_ns() > visited_ns;
      if (has_started) session.GoTo(newest.position());
      visited_ns = newest.started_ns();
      if (has_started || session.random().OneIn(kLooksPerRead)) co_await session.Range(first_key);
      co_await session.SleepUpTo(kLookEvery);
    }
  }

  Co<void> Streamer(Session& session) {
    const std::string everything(1, '\0');
    etcdserverpb::RangeRequest request;
    request.set_key(everything);
    request.set_range_end(everything);
    while (loading()) {
      Random& draws = session.random();
      request.set_limit(draws.OneIn(3) ? static_cast<int64_t>(draws.Below(20)) : 0);
      request.set_keys_only(draws.OneIn(6));
      request.set_serializable(draws.OneIn(4));
      const int64_t revision = history().revision_seen() - static_cast<int64_t>(draws.Below(10));
      request.set_revision(draws.OneIn(4) ? revision : 0);
      co_await session.RangeStream(request);
      co_await session.SleepUpTo(kStreamEvery);
    }
  }

  // The voter that started last.
  const Member& Newest() {
    const Member* newest = &world().member(size_t{0});
    for (const size_t position : world().Serving()) {
      const Member& member = world().member(position);
      if (member.started_ns() > newest->started_ns()) newest = &member;
    }
    return *newest;
  }
};

}  // namespace

std::unique_ptr<Workload> MakeReader(World* world, History* history, Random random) {
  return std::make_unique<Reader>(world, history, random);
}

}  // namespace conclave::sim
