// Terms: a *certain* operation returned, so it must be placed; an *open* one (outcome unknown) may
// be. The certain ones are ordered by return. A configuration is: the *frontier* (all certain
// operations before it are placed, it is not), the certain operations after the frontier that are
// placed, the open ones that are used, and the register's state. Only an operation called by the
// time the frontier returned may be placed next, so what is placed after the frontier is concurrent
// with it and fits a few bits.
//
// What keeps the search small, and why each rule loses nothing:
//  1. A candidate that the state satisfies and that leaves it (a read) is placed at once: any order
//     that places it later can place it now.
//  2. Open operations are placed as late as possible: right before a certain one that the state
//  does
//     not satisfy. Elsewhere they can be moved later, or be left out because they are overwritten.
//  3. Leaving a state that certain operations still ask for and that nothing can bring back is a
//     dead end.
//  4. Of operations with the same effect the first is placed first: of certain ones the one that
//     returned first, of open ones the one that was called first.
//  5. A configuration has failed if one with the same frontier, placed set and state has, that used
//     a subset of the same open operations.
//  6. A state that nothing after the frontier asks about is as good as kUnobserved.
#include "jepsen-style-tests/checker/register_search.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/inlined_vector.h>

#include <algorithm>
#include <utility>

#include "raft/base/check.h"

namespace conclave::checker {
namespace {

using Guard = Transition::Guard;

// How far a search that did not pass is followed again for an explanation.
constexpr uint64_t kExplainStepsMax = 50'000;

// A set of small numbers; trailing zero words do not count.
class BitSet {
 public:
  bool Has(size_t bit) const {
    return bit / 64 < words_.size() && (words_[bit / 64] >> (bit % 64) & 1) != 0;
  }
  void Add(size_t bit) {
    if (bit / 64 >= words_.size()) words_.resize(bit / 64 + 1);
    words_[bit / 64] |= uint64_t{1} << (bit % 64);
  }
  void Remove(size_t bit) {
    words_[bit / 64] &= ~(uint64_t{1} << (bit % 64));
    while (!words_.empty() && words_.back() == 0) words_.pop_back();
  }
  bool IsSubsetOf(const BitSet& other) const {
    if (words_.size() > other.words_.size()) return false;
    for (size_t i = 0; i < words_.size(); ++i) {
      if ((words_[i] & ~other.words_[i]) != 0) return false;
    }
    return true;
  }

  bool operator==(const BitSet&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const BitSet& set) {
    return H::combine(std::move(h), set.words_);
  }

 private:
  absl::InlinedVector<uint64_t, 2> words_;
};

// What has happened so far, but for the open operations used.
struct Position {
  size_t frontier = 0;  // an index of certain operations
  ValueId state = kAbsent;
  BitSet placed;  // slots of certain operations after the frontier

  bool operator==(const Position&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const Position& position) {
    return H::combine(std::move(h), position.frontier, position.state, position.placed);
  }
};

struct Configuration {
  Position position;
  BitSet used;  // indexes of open operations
};

// One way on: open operations, in order, and then a certain one.
struct Move {
  absl::InlinedVector<uint32_t, 2> open;
  uint32_t certain = 0;
};

struct Frame {
  Configuration at;
  size_t order_size = 0;  // operations placed by then
  std::vector<Move> moves;
  size_t tried = 0;
};

bool Satisfies(ValueId state, const Transition& operation) {
  switch (operation.guard) {
    case Guard::kNone:
      return true;
    case Guard::kEquals:
      return state == operation.guarded;
    case Guard::kDiffers:
      return state != operation.guarded;
  }
  CHECK_MSG(false, "no such guard");
}

bool SameEffect(const Transition& a, const Transition& b) {
  return a.guard == b.guard && a.guarded == b.guarded && a.stored == b.stored;
}

class Search {
 public:
  // `explain`: find the longest order, too, which costs time.
  Search(const std::vector<Transition>& transitions, size_t value_count, uint64_t steps_max,
         bool explain);

  SearchResult Run();

 private:
  void FindCandidates();
  void GroupOpen();
  void CountDemand(size_t value_count);

  int64_t FrontierReturn(const Position& position) const {
    return certain_[position.frontier]->returned_ns;
  }
  bool Done(const Position& position) const { return position.frontier == certain_.size(); }

  // Placing and taking back. `Place` and `Take` are false in a dead end (rule 3); *state is then
  // the state that was left.
  bool Place(const Transition& operation, ValueId* state);
  bool Take(const Move& move, Configuration* configuration);
  void Settle(Configuration* configuration);
  void MarkPlaced(uint32_t certain, Position* position) const;
  void Rewind(size_t order_size);

  std::vector<Move> MovesFrom(const Configuration& at) const;
  void AddMoves(const Configuration& at, uint32_t certain, std::vector<Move>* moves) const;
  std::optional<uint32_t> FirstUnused(const std::vector<uint32_t>& group,
                                      const Configuration& at) const;
  void AddWaysTo(ValueId wanted, const Configuration& at, std::vector<ValueId>* passed, Move* tail,
                 std::vector<Move>* moves) const;

  bool HasFailed(const Configuration& configuration) const;
  void RememberFailed(const Configuration& configuration);
  bool IsPlaced(uint32_t certain, const Position& position) const;
  void RememberLongest(const Position& position, bool dead_end);
  void Push(Configuration configuration);
  bool Advance();

  const uint64_t steps_max_;
  const bool explain_;
  uint64_t steps_ = 0;

  std::vector<const Transition*> certain_;         // by return
  std::vector<uint32_t> slots_;                    // of certain_: its bit while it is concurrent
  std::vector<std::vector<uint32_t>> candidates_;  // by frontier: called by the time it returned
  std::vector<const Transition*> open_;            // by call
  // Open operations of the same effect, in order of call.
  std::vector<std::vector<uint32_t>> groups_;
  std::vector<std::vector<size_t>> groups_storing_;  // by value: indexes of groups_

  std::vector<size_t> last_asked_;  // by value: one past the last frontier that asks about it
  std::vector<uint32_t> asking_;    // by value: certain operations not placed that need the state
  std::vector<uint32_t> sources_;   // by value: operations not placed that would store it

  std::vector<const Transition*> order_;  // what is placed, in order
  std::vector<Frame> stack_;
  absl::flat_hash_map<Position, std::vector<BitSet>> failed_;
  SearchResult result_;
};

Search::Search(const std::vector<Transition>& transitions, size_t value_count, uint64_t steps_max,
               bool explain)
    : steps_max_(steps_max), explain_(explain) {
  for (const Transition& operation : transitions) {
    if (operation.returned_ns != kNeverReturned) {
      certain_.push_back(&operation);
    } else if (operation.stored.has_value()) {
      open_.push_back(&operation);
    }
  }
  std::stable_sort(certain_.begin(), certain_.end(),
                   [](const auto* a, const auto* b) { return a->returned_ns < b->returned_ns; });
  std::stable_sort(open_.begin(), open_.end(),
                   [](const auto* a, const auto* b) { return a->called_ns < b->called_ns; });
  FindCandidates();
  groups_storing_.resize(value_count);
  GroupOpen();
  CountDemand(value_count);
}

// A sweep by return: an operation is active, and holds a slot, from the first frontier that
// returned after its call to the one that it is itself.
void Search::FindCandidates() {
  std::vector<uint32_t> by_call(certain_.size());
  for (uint32_t i = 0; i < by_call.size(); ++i) by_call[i] = i;
  std::stable_sort(by_call.begin(), by_call.end(), [this](uint32_t a, uint32_t b) {
    return certain_[a]->called_ns < certain_[b]->called_ns;
  });
  slots_.resize(certain_.size());
  candidates_.resize(certain_.size());
  std::vector<uint32_t> free_slots;
  std::vector<uint32_t> active;
  uint32_t slot_count = 0;
  size_t next = 0;
  for (uint32_t frontier = 0; frontier < certain_.size(); ++frontier) {
    for (; next < by_call.size() &&
           certain_[by_call[next]]->called_ns <= certain_[frontier]->returned_ns;
         ++next) {
      if (free_slots.empty()) free_slots.push_back(slot_count++);
      slots_[by_call[next]] = free_slots.back();
      free_slots.pop_back();
      active.push_back(by_call[next]);
    }
    candidates_[frontier] = active;
    std::sort(candidates_[frontier].begin(), candidates_[frontier].end());
    std::erase(active, frontier);
    free_slots.push_back(slots_[frontier]);
  }
}

void Search::GroupOpen() {
  using Effect = std::pair<std::pair<Guard, ValueId>, ValueId>;
  absl::flat_hash_map<Effect, size_t> group_of;
  for (uint32_t i = 0; i < open_.size(); ++i) {
    const ValueId stored = *open_[i]->stored;
    const auto [it, added] =
        group_of.try_emplace({{open_[i]->guard, open_[i]->guarded}, stored}, groups_.size());
    if (added) {
      groups_.emplace_back();
      groups_storing_[stored].push_back(it->second);
    }
    groups_[it->second].push_back(i);
  }
}

void Search::CountDemand(size_t value_count) {
  last_asked_.resize(value_count);
  asking_.resize(value_count);
  sources_.resize(value_count);
  for (size_t i = 0; i < certain_.size(); ++i) {
    const Transition& operation = *certain_[i];
    if (operation.guard != Guard::kNone) last_asked_[operation.guarded] = i + 1;
    if (operation.guard == Guard::kEquals) ++asking_[operation.guarded];
    if (operation.stored.has_value()) ++sources_[*operation.stored];
  }
  for (const Transition* operation : open_) {
    if (operation->guard != Guard::kNone) last_asked_[operation->guarded] = certain_.size();
    ++sources_[*operation->stored];
  }
}

bool Search::Place(const Transition& operation, ValueId* state) {
  order_.push_back(&operation);
  const bool certain = operation.returned_ns != kNeverReturned;
  if (certain && operation.guard == Guard::kEquals) --asking_[operation.guarded];
  if (!operation.stored.has_value()) return true;
  --sources_[*operation.stored];
  if (*state != *operation.stored && asking_[*state] > 0 && sources_[*state] == 0) return false;
  *state = *operation.stored;
  return true;
}

void Search::Rewind(size_t order_size) {
  for (; order_.size() > order_size; order_.pop_back()) {
    const Transition& operation = *order_.back();
    const bool certain = operation.returned_ns != kNeverReturned;
    if (certain && operation.guard == Guard::kEquals) ++asking_[operation.guarded];
    if (operation.stored.has_value()) ++sources_[*operation.stored];
  }
}

void Search::MarkPlaced(uint32_t certain, Position* position) const {
  position->placed.Add(slots_[certain]);
  while (!Done(*position) && position->placed.Has(slots_[position->frontier])) {
    position->placed.Remove(slots_[position->frontier++]);
  }
}

bool Search::Take(const Move& move, Configuration* configuration) {
  for (uint32_t open : move.open) {
    configuration->used.Add(open);
    if (!Place(*open_[open], &configuration->position.state)) return false;
  }
  const bool alive = Place(*certain_[move.certain], &configuration->position.state);
  MarkPlaced(move.certain, &configuration->position);
  return alive;
}

// Rules 1 and 6.
void Search::Settle(Configuration* configuration) {
  Position& position = configuration->position;
  for (bool advanced = true; advanced && !Done(position);) {
    advanced = false;
    for (uint32_t certain : candidates_[position.frontier]) {
      const Transition& operation = *certain_[certain];
      if (operation.stored.has_value() || position.placed.Has(slots_[certain])) continue;
      if (!Satisfies(position.state, operation)) continue;
      Place(operation, &position.state);
      const size_t frontier = position.frontier;
      MarkPlaced(certain, &position);
      advanced = position.frontier != frontier;
      if (advanced) break;  // other candidates now
    }
  }
  if (last_asked_[position.state] <= position.frontier) position.state = kUnobserved;
}

// Rules 2 and 4.
std::vector<Move> Search::MovesFrom(const Configuration& at) const {
  std::vector<Move> moves;
  if (Done(at.position)) return moves;
  absl::InlinedVector<const Transition*, 16> seen;
  for (uint32_t certain : candidates_[at.position.frontier]) {
    if (at.position.placed.Has(slots_[certain])) continue;
    const auto same = [&](const Transition* other) {
      return SameEffect(*other, *certain_[certain]);
    };
    if (std::any_of(seen.begin(), seen.end(), same)) continue;
    seen.push_back(certain_[certain]);
    AddMoves(at, certain, &moves);
  }
  return moves;
}

void Search::AddMoves(const Configuration& at, uint32_t certain, std::vector<Move>* moves) const {
  const Transition& operation = *certain_[certain];
  const ValueId state = at.position.state;
  if (Satisfies(state, operation)) {
    moves->push_back({.open = {}, .certain = certain});
  } else if (operation.guard == Guard::kEquals) {
    std::vector<ValueId> passed = {state, operation.guarded};
    Move tail{.open = {}, .certain = certain};
    AddWaysTo(operation.guarded, at, &passed, &tail, moves);
  } else {
    // One open operation that leaves the state is enough: any further one can come later.
    for (const std::vector<uint32_t>& group : groups_) {
      const Transition& effect = *open_[group.front()];
      if (*effect.stored == state || !Satisfies(state, effect)) continue;
      const std::optional<uint32_t> open = FirstUnused(group, at);
      if (open.has_value()) moves->push_back({.open = {*open}, .certain = certain});
    }
  }
}

// Rule 4 for open operations.
std::optional<uint32_t> Search::FirstUnused(const std::vector<uint32_t>& group,
                                            const Configuration& at) const {
  for (uint32_t open : group) {
    if (open_[open]->called_ns > FrontierReturn(at.position)) break;
    if (!at.used.Has(open)) return open;
  }
  return std::nullopt;
}

// Adds every chain of open operations that ends in the state `wanted`, followed by `tail` (built
// from its end, so reversed until it is added). A chain passes through no state twice: it would
// have a part to leave out.
void Search::AddWaysTo(ValueId wanted, const Configuration& at, std::vector<ValueId>* passed,
                       Move* tail, std::vector<Move>* moves) const {
  for (size_t index : groups_storing_[wanted]) {
    const std::optional<uint32_t> open = FirstUnused(groups_[index], at);
    if (!open.has_value()) continue;
    const Transition& effect = *open_[*open];
    tail->open.push_back(*open);
    if (Satisfies(at.position.state, effect)) {
      moves->push_back(*tail);
      std::reverse(moves->back().open.begin(), moves->back().open.end());
    } else if (std::find(passed->begin(), passed->end(), effect.guarded) == passed->end()) {
      passed->push_back(effect.guarded);
      AddWaysTo(effect.guarded, at, passed, tail, moves);
      passed->pop_back();
    }
    tail->open.pop_back();
  }
}

// Rule 5.
bool Search::HasFailed(const Configuration& configuration) const {
  const auto it = failed_.find(configuration.position);
  return it != failed_.end() &&
         std::any_of(it->second.begin(), it->second.end(),
                     [&](const BitSet& used) { return used.IsSubsetOf(configuration.used); });
}

void Search::RememberFailed(const Configuration& configuration) {
  std::vector<BitSet>& sets = failed_[configuration.position];
  std::erase_if(sets, [&](const BitSet& used) { return configuration.used.IsSubsetOf(used); });
  sets.push_back(configuration.used);
}

bool Search::IsPlaced(uint32_t certain, const Position& position) const {
  if (certain < position.frontier) return true;
  return certain_[certain]->called_ns <= FrontierReturn(position) &&
         position.placed.Has(slots_[certain]);
}

// Keeps the order that led to the position if it is the longest so far. What is stuck is, in a dead
// end, whatever asks for the state that was left, else whatever had to come next.
void Search::RememberLongest(const Position& position, bool dead_end) {
  if (!explain_ || (!result_.stuck.empty() && order_.size() <= result_.prefix.size())) return;
  result_.prefix.clear();
  for (const Transition* operation : order_) result_.prefix.push_back(operation->source);
  result_.stuck.clear();
  for (auto i = static_cast<uint32_t>(position.frontier); i < certain_.size(); ++i) {
    const Transition& operation = *certain_[i];
    const bool stuck =
        dead_end ? operation.guard == Guard::kEquals && operation.guarded == position.state
                 : operation.called_ns <= FrontierReturn(position);
    if (stuck && !IsPlaced(i, position)) result_.stuck.push_back(operation.source);
  }
}

void Search::Push(Configuration configuration) {
  Settle(&configuration);
  if (HasFailed(configuration)) return;
  std::vector<Move> moves = MovesFrom(configuration);
  stack_.push_back({std::move(configuration), order_.size(), std::move(moves)});
}

// Tries the next move of the last frame, or drops it when it has none. False when all is done.
bool Search::Advance() {
  Frame& frame = stack_.back();
  Rewind(frame.order_size);
  if (frame.tried == frame.moves.size()) {
    RememberLongest(frame.at.position, /*dead_end=*/false);
    RememberFailed(frame.at);
    stack_.pop_back();
    return !stack_.empty();
  }
  ++steps_;
  Configuration next = frame.at;
  if (Take(frame.moves[frame.tried++], &next)) {
    Push(std::move(next));
  } else {
    RememberLongest(next.position, /*dead_end=*/true);
  }
  return true;
}

SearchResult Search::Run() {
  Push({});
  while (true) {
    if (Done(stack_.back().at.position)) break;
    if (steps_ >= steps_max_) {
      result_.verdict = Verdict::kUnknown;
      break;
    }
    if (!Advance()) {
      result_.verdict = Verdict::kFail;
      break;
    }
  }
  result_.steps = steps_;
  return std::move(result_);
}

}  // namespace

SearchResult SearchLinearization(const std::vector<Transition>& transitions, size_t value_count,
                                 uint64_t steps_max) {
  SearchResult result = Search(transitions, value_count, steps_max, /*explain=*/false).Run();
  if (result.verdict == Verdict::kPass) return result;
  const uint64_t explain_steps = std::min(steps_max, kExplainStepsMax);
  SearchResult explained = Search(transitions, value_count, explain_steps, /*explain=*/true).Run();
  result.prefix = std::move(explained.prefix);
  result.stuck = std::move(explained.stuck);
  return result;
}

}  // namespace conclave::checker
