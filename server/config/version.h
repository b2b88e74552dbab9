// The version of this program, as --version, the logs and the metrics tell it. It is not the
// version of etcd that clients are told: that is ServerConfig::reported_version. Any lane.
#pragma once

#include <string_view>

namespace conclave::server {

// As in "0.1.0".
std::string_view ConclaveVersion();

}  // namespace conclave::server
