#include "server/net/system_error.h"

#include <cctype>
#include <system_error>

#include "fmt/format.h"

namespace conclave::server {

std::string SystemWords(int error) {
  std::string words = std::generic_category().message(error);
  if (!words.empty()) {
    words[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(words[0])));
  }
  return words;
}

absl::Status SystemError(std::string_view what, int error) {
  return absl::UnavailableError(fmt::format("{}: {}", what, SystemWords(error)));
}

}  // namespace conclave::server
