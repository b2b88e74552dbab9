#include "server/config/version.h"

namespace conclave::server {

std::string_view ConclaveVersion() { return CONCLAVE_VERSION; }

}  // namespace conclave::server
