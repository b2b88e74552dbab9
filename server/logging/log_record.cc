#include "server/logging/log_record.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "fmt/chrono.h"
#include "nlohmann/json.hpp"
#include "raft/base/check.h"

namespace conclave::server {
namespace {

using Json = nlohmann::json;

// Numbers are in the machine's own order: a record never leaves the process.
template <typename T>
void PutRaw(RecordBuffer& buffer, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  buffer.append(bytes, bytes + sizeof(T));
}

void PutText(RecordBuffer& buffer, std::string_view text) {
  PutRaw(buffer, static_cast<uint32_t>(text.size()));
  buffer.append(text.data(), text.data() + text.size());
}

// Takes the parts of a record off its front.
class Parts {
 public:
  explicit Parts(std::string_view record) : rest_(record) {}

  bool done() const { return rest_.empty(); }

  template <typename T>
  T Raw() {
    CHECK(rest_.size() >= sizeof(T));
    T value;
    std::memcpy(&value, rest_.data(), sizeof(T));
    rest_.remove_prefix(sizeof(T));
    return value;
  }

  std::string_view Text() {
    const auto size = Raw<uint32_t>();
    CHECK(rest_.size() >= size);
    const std::string_view text = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return text;
  }

  LogScalar Scalar() {
    switch (Raw<uint8_t>()) {
      case 0:
        return Raw<bool>();
      case 1:
        return Raw<int64_t>();
      case 2:
        return Raw<uint64_t>();
      case 3:
        return Raw<double>();
      default:
        return Text();
    }
  }

 private:
  std::string_view rest_;
};

std::string Quoted(std::string_view text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool IsPlain(char c) { return c > ' ' && c < 0x7f; }

std::string HumanMessage(std::string_view text) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return IsPlain(c) || c == ' '; })) {
    return std::string(text);
  }
  const std::string quoted = Quoted(text);
  return quoted.substr(1, quoted.size() - 2);
}

std::string HumanText(std::string_view text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return IsPlain(c) && c != '"' && c != '=' && c != '\\';
  });
  return plain ? std::string(text) : Quoted(text);
}

std::string ScalarText(const LogScalar& scalar, LineFormat format) {
  return std::visit(
      [&](const auto& value) -> std::string {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, std::string_view>) {
          return format == LineFormat::kJson ? Quoted(value) : HumanText(value);
        } else if constexpr (std::is_same_v<T, double>) {
          return format == LineFormat::kJson ? Json(value).dump() : fmt::format("{}", value);
        } else {
          return fmt::format("{}", value);
        }
      },
      scalar);
}

std::string TimeText(std::chrono::system_clock::time_point when) {
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(when.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(millis / 1000), millis % 1000);
}

}  // namespace

void EncodeRecord(LogLevel level, std::string_view message, std::initializer_list<LogField> fields,
                  RecordBuffer& buffer) {
  PutRaw(buffer, static_cast<uint8_t>(level));
  PutText(buffer, message);
  for (const LogField& field : fields) {
    PutText(buffer, field.key);
    const LogScalar& scalar = field.value.scalar();
    PutRaw(buffer, static_cast<uint8_t>(scalar.index()));
    std::visit(
        [&](const auto& value) {
          if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string_view>) {
            PutText(buffer, value);
          } else {
            PutRaw(buffer, value);
          }
        },
        scalar);
  }
}

std::string FormatRecord(std::string_view record, std::chrono::system_clock::time_point when,
                         LineFormat format) {
  Parts parts(record);
  const std::string_view level = LogLevelName(static_cast<LogLevel>(parts.Raw<uint8_t>()));
  const std::string_view message = parts.Text();
  std::string line;
  if (format == LineFormat::kJson) {
    line = fmt::format("{{\"ts\":\"{}\",\"level\":\"{}\",\"msg\":{}", TimeText(when), level,
                       Quoted(message));
  } else {
    std::string upper(level);
    for (char& c : upper) c = static_cast<char>(c - 'a' + 'A');
    line = fmt::format("{} {:<5} {}", TimeText(when), upper, HumanMessage(message));
  }
  while (!parts.done()) {
    const std::string_view key = parts.Text();
    const std::string value = ScalarText(parts.Scalar(), format);
    line += format == LineFormat::kJson ? fmt::format(",{}:{}", Quoted(key), value)
                                        : fmt::format(" {}={}", key, value);
  }
  line += format == LineFormat::kJson ? "}\n" : "\n";
  return line;
}

}  // namespace conclave::server
