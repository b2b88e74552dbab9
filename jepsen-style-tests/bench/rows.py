"""What is measured: the rows of docs/performance.md, each a load on a fresh cluster, and the figures that it is for."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure of a row. A ratio says how many times better Conclave is than etcd in the same run; a bound is on
    Conclave's own figure. `key` names it in what a measurement returns."""

    key: str
    unit: str
    lower_is_better: bool = False
    ratio_at_least: float | None = None
    at_most: float | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """`kind` is the way of measuring (see measure.py), `arguments` are conclave-bench's."""

    name: str
    members: int
    figures: tuple[Figure, ...]
    arguments: tuple[str, ...] = ()
    kind: str = "load"


def _rate(ratio: float | None, unit: str = "/s") -> Figure:
    return Figure("ops_per_s", unit, ratio_at_least=ratio)


def _cpu(at_most: float | None) -> Figure:
    return Figure("server_cpu_us_per_op", "us CPU", lower_is_better=True, at_most=at_most)


def _p50(ratio: float) -> Figure:
    return Figure("p50_us", "us p50", lower_is_better=True, ratio_at_least=ratio)


def _device(ratio: float) -> Figure:
    return Figure("device_bytes_per_op", "device bytes", lower_is_better=True, ratio_at_least=ratio)


ROWS = (
    Row("put-1-64", 1, (_rate(3.5), _cpu(14), _device(2)), ("--op=put", "--outstanding=64")),
    Row("put-1-512", 1, (_rate(4.5), _cpu(11)), ("--op=put", "--outstanding=512")),
    Row("put-3-64", 3, (_rate(5), _cpu(45)), ("--op=put", "--outstanding=64")),
    Row("put-3-512", 3, (_rate(6), _cpu(30)), ("--op=put", "--outstanding=512")),
    Row("get-3-64", 3, (_rate(6), _cpu(12)), ("--op=range", "--outstanding=64")),
    Row("serializable-get-3-64", 3, (_rate(6), _cpu(6)), ("--op=range", "--serializable", "--outstanding=64")),
    Row("txn-1-64", 1, (_rate(8), _cpu(None)), ("--op=txn", "--outstanding=64")),
    Row("txn-3-64", 3, (_rate(8), _cpu(None)), ("--op=txn", "--outstanding=64")),
    Row("put-1-1", 1, (_p50(1.8), _device(1)), ("--op=put", "--outstanding=1")),
    Row("put-3-1", 3, (_p50(2),), ("--op=put", "--outstanding=1")),
    Row("watch-1000-1", 1, (_rate(3, "events/s"), _cpu(1)), ("--op=watch", "--outstanding=1", "--connections=10")),
    Row("watch-1000-8", 1, (_rate(3, "events/s"), _cpu(1)), ("--op=watch", "--outstanding=8", "--connections=10")),
    Row("keepalive-10000", 1, (_rate(5), _cpu(None)), ("--op=keepalive", "--outstanding=64")),
    Row("load-1m", 1, (Figure("seconds", "s", lower_is_better=True, ratio_at_least=4),),
        ("--op=put", "--outstanding=512", "--sequential", "--key-space=1000000", "--ops=1000000", "--warm-up=0")),
    Row("kill-leader", 3, (Figure("gap_median_ms", "ms median", lower_is_better=True, at_most=300),
                           Figure("gap_worst_ms", "ms worst", lower_is_better=True, at_most=1000)),
        ("--op=put", "--outstanding=64", "--timeout=0.25"), kind="kill"),
    Row("idle-3", 3, (Figure("core_percent", "% of a core", lower_is_better=True, at_most=1),), kind="idle"),
)
