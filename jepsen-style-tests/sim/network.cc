#include "jepsen-style-tests/sim/network.h"

#include <algorithm>
#include <utility>

namespace conclave::sim {

Duration Network::Delay() {
  const bool slow = random_.Below(1000) < options_.slow_permille;
  const Duration max = slow ? options_.slow_max : options_.delay_max;
  return Duration(static_cast<int64_t>(
      random_.Between(static_cast<uint64_t>(options_.delay_min.count()),
                      static_cast<uint64_t>(std::max(max, options_.delay_min).count()))));
}

void Network::Send(End from, End to, Carriage carriage, Deliver deliver) {
  ++counts_.sent;
  auto shared = std::make_shared<const Deliver>(std::move(deliver));
  if (carriage == Carriage::kStream) {
    links_[{from, to}].stream.push_back(std::move(shared));
    return SendStream(from, to);
  }
  if (random_.Below(1000) < options_.loss_permille) {
    ++counts_.lost;
    return;
  }
  SendDatagram(from, to, shared);
  if (carriage == Carriage::kDatagram && random_.Below(1000) < options_.repeat_permille) {
    ++counts_.repeated;
    SendDatagram(from, to, shared);
  }
}

Instant Network::ArrivalTime(Link& link, bool in_order) {
  const Instant at = std::max(scheduler_->Now(), link.clogged_until) + Delay();
  if (at >= link.last_in_order) return link.last_in_order = at;
  if (in_order) return link.last_in_order;
  ++counts_.overtaken;
  return at;
}

void Network::SendDatagram(End from, End to, const Shared& deliver) {
  Link& link = links_[{from, to}];
  scheduler_->At(ArrivalTime(link, options_.ordered), [this, from, to, deliver] {
    const Link& now = links_[{from, to}];
    if (!now.cut) return (*deliver)();
    ++counts_.cut;
  });
}

void Network::SendStream(End from, End to) {
  Link& link = links_[{from, to}];
  scheduler_->At(ArrivalTime(link, /*in_order=*/true), [this, from, to] {
    Link& now = links_[{from, to}];
    if (now.cut) {
      ++now.held_up;
      return;
    }
    const Shared deliver = std::move(now.stream.front());
    now.stream.pop_front();
    (*deliver)();
  });
}

bool Network::IsCut(End from, End to) const {
  const auto link = links_.find({from, to});
  return link != links_.end() && link->second.cut;
}

void Network::Heal(End from, End to) {
  Link& link = links_[{from, to}];
  link.cut = false;
  link.clogged_until = {};
  for (size_t held_up = std::exchange(link.held_up, 0); held_up > 0; --held_up) {
    SendStream(from, to);
  }
}

void Network::HealAll() {
  for (auto& [ends, link] : links_) Heal(ends.first, ends.second);
}

}  // namespace conclave::sim
