// Numbers for Prometheus: counters, gauges and histograms by name and labels, and their text form
// (exposition format 0.0.4). A registry and everything in it belongs to one lane: updates are plain
// additions, and Render runs on that same lane. What another lane counts is read through
// BeforeRender, from something that may be read from here.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace conclave::server {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

// What an answer to GET /metrics is labelled as.
inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

// A count of things that happened since the process started, or a sum that only grows, such as
// seconds.
class Counter {
 public:
  void Add(double count = 1) { total_ += count; }
  // For a total that is counted elsewhere; it must never be less than before.
  void SetTotal(double total) { total_ = total; }
  double total() const { return total_; }

 private:
  double total_ = 0;  // exact up to 2^53
};

// A value as of now.
class Gauge {
 public:
  void Set(double value) { value_ = value; }
  void Add(double change) { value_ += change; }
  double value() const { return value_; }

 private:
  double value_ = 0;
};

// How many observations were at most each of some bounds.
class Histogram {
 public:
  // `bounds` ascend; the last, infinite one is added.
  explicit Histogram(std::vector<double> bounds);

  void Observe(double value);

  const std::vector<double>& bounds() const { return bounds_; }
  // Observations at most bounds()[i] and above the bound before; the last one counts what is above
  // them all.
  const std::vector<uint64_t>& counts() const { return counts_; }
  uint64_t count() const { return count_; }
  double sum() const { return sum_; }

 private:
  const std::vector<double> bounds_;
  std::vector<uint64_t> counts_;
  uint64_t count_ = 0;
  double sum_ = 0;
};

// start, start x factor, start x factor^2, ...: `count` bounds.
std::vector<double> ExponentialBounds(double start, double factor, size_t count);

class MetricRegistry {
 public:
  MetricRegistry();
  ~MetricRegistry();
  MetricRegistry(const MetricRegistry&) = delete;
  MetricRegistry& operator=(const MetricRegistry&) = delete;

  // Each adds one series, at zero. Series of one name must be of one kind, and differ in their
  // labels (CHECK). The pointers are good as long as the registry is.
  Counter* AddCounter(std::string_view name, std::string_view help, MetricLabels labels = {});
  Gauge* AddGauge(std::string_view name, std::string_view help, MetricLabels labels = {});
  Histogram* AddHistogram(std::string_view name, std::string_view help, std::vector<double> bounds,
                          MetricLabels labels = {});

  // Runs `refresh` at the start of every Render, in the order added: it sets what is not counted as
  // it happens, and may add series.
  void BeforeRender(std::function<void()> refresh);

  // All series, families in the order of their names.
  std::string Render();

 private:
  struct Series;
  struct Family;

  Series& AddSeries(std::string_view name, std::string_view help, std::string_view kind,
                    MetricLabels labels);

  std::map<std::string, Family, std::less<>> families_;
  std::vector<std::function<void()>> refreshes_;
};

}  // namespace conclave::server
