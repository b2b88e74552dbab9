#include "server/logging/log_output.h"

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "fmt/format.h"

namespace conclave::server {
namespace {

class StreamOutput : public LogOutput {
 public:
  explicit StreamOutput(std::FILE* stream) : stream_(stream) {}

  // Readers wait for certain lines, so each is handed over at once.
  void Write(std::string_view line) override {
    std::fwrite(line.data(), 1, line.size(), stream_);
    std::fflush(stream_);
  }

 protected:
  std::FILE* const stream_;
};

class FileOutput : public StreamOutput {
 public:
  explicit FileOutput(std::FILE* file) : StreamOutput(file) {}
  ~FileOutput() override { std::fclose(stream_); }
};

}  // namespace

absl::StatusOr<std::unique_ptr<LogOutput>> OpenLogOutput(const std::string& name) {
  if (name == "default" || name == "stderr") return std::make_unique<StreamOutput>(stderr);
  if (name == "stdout") return std::make_unique<StreamOutput>(stdout);
  std::FILE* file = std::fopen(name.c_str(), "ae");
  if (file == nullptr) {
    return absl::InvalidArgumentError(
        fmt::format("--log-outputs: expected the path of a file that can be written, but {}: {}",
                    name, std::generic_category().message(errno)));
  }
  return std::make_unique<FileOutput>(file);
}

}  // namespace conclave::server
