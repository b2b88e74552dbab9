// The simulated network: what is sent arrives after a drawn delay, late, twice or never, as the
// links between two ends say. Ends are numbers: members have their ids, clients larger ones
// (kFirstClient). It moves closures, not bytes: what arrives runs `deliver`. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "jepsen-style-tests/sim/scheduler.h"
#include "raft/base/random.h"

namespace conclave::sim {

using End = uint64_t;
inline constexpr End kFirstClient = 1000;

// What a carrier of this kind may do to it.
enum class Carriage {
  kDatagram,  // lost, repeated, overtaken: what Raft itself must bear (rule R3 of raft/core/core.h)
  kOnce,      // lost or overtaken, never repeated
  kStream,    // a connection: in order, and late rather than lost
};

struct NetworkOptions {
  Duration delay_min = std::chrono::microseconds(50);
  Duration delay_max = Milliseconds(1);
  uint64_t slow_permille = 0;  // of messages take up to slow_max instead
  Duration slow_max{};
  uint64_t loss_permille = 0;    // datagrams and kOnce
  uint64_t repeat_permille = 0;  // datagrams
  // Datagrams of one link stay in order, as over a connection.
  bool ordered = true;
};

struct NetworkCounts {
  uint64_t sent = 0, lost = 0, repeated = 0, cut = 0, overtaken = 0;
};

class Network {
 public:
  using Deliver = std::function<void()>;

  Network(Scheduler* scheduler, const NetworkOptions& options, Random random)
      : scheduler_(scheduler), options_(options), random_(random) {}

  // `deliver` runs at the receiving end: once, or as often as the carriage allows.
  void Send(End from, End to, Carriage carriage, Deliver deliver);

  // Where messages are repeated: true for one in `times`.
  bool RepeatsOneIn(uint64_t times) {
    return options_.repeat_permille > 0 && random_.Below(times) == 0;
  }
  uint64_t Draw(uint64_t bound) { return random_.Below(bound); }  // below `bound`

  // One direction of a link. What arrives while it is cut is lost, but of streams, which
  // wait for its healing.
  void Cut(End from, End to) { links_[{from, to}].cut = true; }
  bool IsCut(End from, End to) const;
  void Heal(End from, End to);
  void HealAll();
  // Everything sent over it until `until` arrives after that: a full queue somewhere.
  void Clog(End from, End to, Instant until) { links_[{from, to}].clogged_until = until; }

  // From now on; heals nothing.
  void set_options(const NetworkOptions& options) { options_ = options; }
  const NetworkCounts& counts() const { return counts_; }

 private:
  using Shared = std::shared_ptr<const Deliver>;
  struct Link {
    bool cut = false;
    Instant clogged_until{};
    Instant last_in_order{};  // when the latest ordered delivery is due
    // Of streams, in order: each arrival takes the first. So those that a cut held up stay ahead.
    std::deque<Shared> stream;
    size_t held_up = 0;  // arrivals that fell due while it was cut
  };

  Duration Delay();
  Instant ArrivalTime(Link& link, bool in_order);
  void SendDatagram(End from, End to, const Shared& deliver);
  void SendStream(End from, End to);

  Scheduler* const scheduler_;
  NetworkOptions options_;
  Random random_;
  NetworkCounts counts_;
  std::map<std::pair<End, End>, Link> links_;
};

}  // namespace conclave::sim
