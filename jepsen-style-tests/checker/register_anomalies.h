// Names for what is wrong with a register's history that has no linearization. Called by
// linearizability.cc once the search has failed or given up; any lane. Each name is a proof of its
// own from two or three operations; a history may well be wrong in a way that has no name here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jepsen-style-tests/checker/linearizability.h"

namespace conclave::checker {

struct RegisterAnomaly {
  std::string name;   // as listed in linearizability.h
  std::string proof;  // for people, several lines
};

// The first anomaly with a name among the operations of one key, which are not null. O(n^2).
std::optional<RegisterAnomaly> NameRegisterAnomaly(
    const std::vector<const RegisterOperation*>& operations);

}  // namespace conclave::checker
