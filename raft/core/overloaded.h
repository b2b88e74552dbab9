// One lambda per alternative of a std::variant, for std::visit: how the core takes events and
// messages apart. Any lane.
#pragma once

namespace conclave::raft {

template <typename... Lambdas>
struct Overloaded : Lambdas... {
  using Lambdas::operator()...;
};
template <typename... Lambdas>
Overloaded(Lambdas...) -> Overloaded<Lambdas...>;

}  // namespace conclave::raft
