#include "client/bench/bench_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>
#include <vector>

#include "client/bench/bench_report.h"

namespace conclave::client {
namespace {

constexpr double kWidth = 860;
constexpr double kHeight = 240;
constexpr double kLeft = 80;    // room for the numbers of the vertical axis
constexpr double kBottom = 34;  // room for those of the horizontal one
constexpr int kGridLines = 5;

using Points = std::vector<std::pair<double, double>>;

struct Line {
  const char* name;
  const char* color;
  Points points;
};

struct Plot {
  std::string title;
  std::string x_name;
  std::vector<Line> lines;
  bool logarithmic = false;  // vertically
  std::vector<std::pair<double, std::string>> x_labels;
};

// Where a plot's numbers stand on the page.
class Scale {
 public:
  explicit Scale(const Plot& plot) : logarithmic_(plot.logarithmic) {
    double low = HUGE_VAL;
    for (const Line& line : plot.lines) {
      for (const auto& [x, y] : line.points) {
        x_max_ = std::max(x_max_, x);
        y_max_ = std::max(y_max_, y);
        if (y > 0) low = std::min(low, y);
      }
    }
    if (!logarithmic_) return;
    y_min_ = std::pow(10, std::floor(std::log10(std::min(low, y_max_))));
    y_max_ = std::max(y_max_, y_min_ * 10);
  }

  double X(double x) const { return kLeft + x / x_max_ * (kWidth - kLeft - 10); }
  double Y(double y) const {
    const double part = logarithmic_
                            ? std::log(std::max(y, y_min_) / y_min_) / std::log(y_max_ / y_min_)
                            : y / y_max_;
    return (kHeight - kBottom) - part * (kHeight - kBottom - 10);
  }
  // Values at which the grid has lines.
  std::vector<double> Grid() const {
    std::vector<double> values;
    if (logarithmic_) {
      for (double value = y_min_; value <= y_max_; value *= 10) values.push_back(value);
    } else {
      for (int i = 0; i <= kGridLines; ++i) values.push_back(y_max_ * i / kGridLines);
    }
    return values;
  }
  double x_max() const { return x_max_; }

 private:
  const bool logarithmic_;
  double x_max_ = 1e-9;
  double y_min_ = 0;
  double y_max_ = 1e-9;
};

std::string Text(double x, double y, const char* anchor, const std::string& text) {
  return fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='{}'>{}</text>\n", x, y, anchor,
                     text);
}

std::string ToSvg(const Plot& plot) {
  const Scale scale(plot);
  std::string svg = fmt::format("<h2>{}</h2>\n<svg viewBox='0 0 {} {}' width='{}'>\n", plot.title,
                                kWidth, kHeight, kWidth);
  for (const double value : scale.Grid()) {
    const double y = scale.Y(value);
    svg += fmt::format("<line x1='{}' y1='{:.1f}' x2='{}' y2='{:.1f}' class='grid'/>\n", kLeft, y,
                       kWidth - 10, y);
    svg += Text(kLeft - 6, y + 4, "end", fmt::format("{:.6g}", value));
  }
  auto x_labels = plot.x_labels;
  for (int i = 0; x_labels.size() <= kGridLines && plot.x_labels.empty(); ++i) {
    const double value = scale.x_max() * i / kGridLines;
    x_labels.emplace_back(value, fmt::format("{:.3g}", value));
  }
  for (const auto& [x, label] : x_labels) {
    svg += Text(scale.X(x), kHeight - kBottom + 16, "middle", label);
  }
  svg += Text((kLeft + kWidth) / 2, kHeight - 3, "middle", plot.x_name);
  double legend_x = kLeft + 10;
  for (const Line& line : plot.lines) {
    svg += fmt::format("<polyline fill='none' stroke='{}' points='", line.color);
    for (const auto& [x, y] : line.points)
      svg += fmt::format("{:.1f},{:.1f} ", scale.X(x), scale.Y(y));
    svg += fmt::format("'/>\n<text x='{}' y='12' fill='{}'>{}</text>\n", legend_x, line.color,
                       line.name);
    legend_x += 90;
  }
  return svg + "</svg>\n";
}

template <typename Value>
Points OverTime(const BenchResult& result, Value value) {
  Points points;
  for (const BenchInterval& interval : result.intervals) {
    points.emplace_back(interval.end_s, value(interval));
  }
  return points;
}

Plot ThroughputPlot(const BenchResult& result) {
  double began_s = 0;
  Plot plot{.title = "Operations per second", .x_name = "seconds", .lines = {}, .x_labels = {}};
  plot.lines.push_back({"per second", "#0b62a4", OverTime(result, [&](const BenchInterval& each) {
                          const double length = each.end_s - std::exchange(began_s, each.end_s);
                          return length > 0 ? static_cast<double>(each.operations) / length : 0;
                        })});
  return plot;
}

Plot LatencyPlot(const BenchResult& result) {
  Plot plot{.title = "Latency over time, microseconds",
            .x_name = "seconds",
            .lines = {},
            .logarithmic = true,
            .x_labels = {}};
  plot.lines = {
      {"p50", "#0b62a4", OverTime(result, [](const auto& each) { return Micros(each.p50_ns); })},
      {"p99", "#d9822b", OverTime(result, [](const auto& each) { return Micros(each.p99_ns); })},
      {"max", "#b2182b", OverTime(result, [](const auto& each) { return Micros(each.max_ns); })}};
  return plot;
}

// The horizontal axis counts nines, so that the tail has room.
Plot PercentilePlot(const BenchResult& result) {
  Plot plot{.title = "Latency by percentile, microseconds",
            .x_name = "percentile",
            .lines = {},
            .logarithmic = true,
            .x_labels = {{0, "0"}, {1, "90"}, {2, "99"}, {3, "99.9"}, {4, "99.99"}}};
  Points points;
  for (double nines = 0.02; nines <= 4; nines += 0.02) {
    const double percent = 100 * (1 - std::pow(10, -nines));
    points.emplace_back(nines, Micros(result.latency.PercentileNs(percent)));
  }
  plot.lines = {{"latency", "#0b62a4", std::move(points)}};
  return plot;
}

std::string Escaped(const std::string& text) {
  std::string escaped;
  for (const char each : text) {
    if (each == '<') {
      escaped += "&lt;";
    } else if (each == '&') {
      escaped += "&amp;";
    } else {
      escaped += each;
    }
  }
  return escaped;
}

}  // namespace

std::string ToPage(const BenchOptions& options, const BenchResult& result) {
  std::string page =
      "<!DOCTYPE html>\n<meta charset='utf-8'>\n<title>conclave-bench</title>\n"
      "<style>body{font:15px sans-serif;margin:2em;max-width:900px}svg text{font:12px sans-serif}"
      ".grid{stroke:#ddd}polyline{stroke-width:1.5}h2{font-size:16px}</style>\n";
  page += fmt::format("<h1>conclave-bench: {}</h1>\n<pre>{}</pre>\n", NameOf(options.operation),
                      Escaped(ToTable(options, result)));
  page +=
      ToSvg(ThroughputPlot(result)) + ToSvg(LatencyPlot(result)) + ToSvg(PercentilePlot(result));
  return page;
}

}  // namespace conclave::client
