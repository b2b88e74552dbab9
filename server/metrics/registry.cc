#include "server/metrics/registry.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <variant>

#include "fmt/format.h"
#include "raft/base/check.h"

namespace conclave::server {
namespace {

constexpr std::string_view kCounter = "counter";
constexpr std::string_view kGauge = "gauge";
constexpr std::string_view kHistogram = "histogram";

// The grammar of names; those of labels have no colon.
bool IsName(std::string_view name, bool is_label) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  return std::all_of(name.begin(), name.end(), [is_label](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (c == ':' && !is_label);
  });
}

std::string Escaped(std::string_view text, bool quotes) {
  std::string escaped;
  for (char c : text) {
    if (c == '\\') {
      escaped += "\\\\";
    } else if (c == '\n') {
      escaped += "\\n";
    } else if (c == '"' && quotes) {
      escaped += "\\\"";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

// a="x",b="y", in the order of their names.
std::string LabelText(MetricLabels labels) {
  std::sort(labels.begin(), labels.end());
  std::string text;
  for (const auto& [name, value] : labels) {
    CHECK_MSG(IsName(name, /*is_label=*/true), name);
    text += fmt::format("{}{}=\"{}\"", text.empty() ? "" : ",", name, Escaped(value, true));
  }
  return text;
}

std::string NumberText(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", number);
}

std::string SeriesName(std::string_view name, std::string_view suffix, std::string_view labels) {
  if (labels.empty()) return fmt::format("{}{}", name, suffix);
  return fmt::format("{}{}{{{}}}", name, suffix, labels);
}

// Writes the lines of one series.
struct Lines {
  std::string_view name;
  std::string_view labels;
  std::string& text;

  void operator()(const Counter& counter) const {
    text += fmt::format("{} {}\n", SeriesName(name, "", labels), NumberText(counter.total()));
  }
  void operator()(const Gauge& gauge) const {
    text += fmt::format("{} {}\n", SeriesName(name, "", labels), NumberText(gauge.value()));
  }
  void operator()(const Histogram& histogram) const {
    uint64_t below = 0;
    for (size_t i = 0; i < histogram.counts().size(); ++i) {
      below += histogram.counts()[i];
      const bool last = i == histogram.bounds().size();
      const std::string bound = fmt::format("{}{}le=\"{}\"", labels, labels.empty() ? "" : ",",
                                            last ? "+Inf" : NumberText(histogram.bounds()[i]));
      text += fmt::format("{} {}\n", SeriesName(name, "_bucket", bound), below);
    }
    text += fmt::format("{} {}\n", SeriesName(name, "_sum", labels), NumberText(histogram.sum()));
    text += fmt::format("{} {}\n", SeriesName(name, "_count", labels), histogram.count());
  }
};

}  // namespace

struct MetricRegistry::Series {
  std::string labels;
  std::variant<Counter, Gauge, Histogram> value;
};

struct MetricRegistry::Family {
  std::string help;
  std::string_view kind;
  std::vector<std::unique_ptr<Series>> series;
  std::set<std::string> labels;  // of the series, to see repetitions
};

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {
  CHECK(std::is_sorted(bounds_.begin(), bounds_.end()));
}

void Histogram::Observe(double value) {
  ++counts_[std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin()];
  ++count_;
  sum_ += value;
}

std::vector<double> ExponentialBounds(double start, double factor, size_t count) {
  std::vector<double> bounds;
  for (double bound = start; bounds.size() < count; bound *= factor) bounds.push_back(bound);
  return bounds;
}

MetricRegistry::MetricRegistry() = default;
MetricRegistry::~MetricRegistry() = default;

MetricRegistry::Series& MetricRegistry::AddSeries(std::string_view name, std::string_view help,
                                                  std::string_view kind, MetricLabels labels) {
  CHECK_MSG(IsName(name, /*is_label=*/false), name);
  auto it = families_.find(name);
  if (it == families_.end()) {
    it = families_.emplace(std::string(name), Family{std::string(help), kind, {}, {}}).first;
  }
  Family& family = it->second;
  CHECK_MSG(family.kind == kind, name);
  auto series = std::make_unique<Series>();
  series->labels = LabelText(std::move(labels));
  CHECK_MSG(family.labels.insert(series->labels).second, name);
  family.series.push_back(std::move(series));
  return *family.series.back();
}

Counter* MetricRegistry::AddCounter(std::string_view name, std::string_view help,
                                    MetricLabels labels) {
  return &AddSeries(name, help, kCounter, std::move(labels)).value.emplace<Counter>();
}

Gauge* MetricRegistry::AddGauge(std::string_view name, std::string_view help, MetricLabels labels) {
  return &AddSeries(name, help, kGauge, std::move(labels)).value.emplace<Gauge>();
}

Histogram* MetricRegistry::AddHistogram(std::string_view name, std::string_view help,
                                        std::vector<double> bounds, MetricLabels labels) {
  Series& series = AddSeries(name, help, kHistogram, std::move(labels));
  return &series.value.emplace<Histogram>(std::move(bounds));
}

void MetricRegistry::BeforeRender(std::function<void()> refresh) {
  refreshes_.push_back(std::move(refresh));
}

std::string MetricRegistry::Render() {
  for (const std::function<void()>& refresh : refreshes_) refresh();
  std::string text;
  for (const auto& [name, family] : families_) {
    text += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, Escaped(family.help, false), name,
                        family.kind);
    for (const std::unique_ptr<Series>& series : family.series) {
      std::visit(Lines{name, series->labels, text}, series->value);
    }
  }
  return text;
}

}  // namespace conclave::server
