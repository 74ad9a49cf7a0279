"""What Prometheus reads at /metrics: numbers of requests, jobs, deliveries and protocols; no names, no digests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from assay.serve.counters import Counters

BUCKETS = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 15, 60, 300)
PLAIN = ("connections", "turned_away", "timeouts", "protocol_errors", "faults", "over_size", "received_bytes")
SORTED = ("commands", "actions", "gaps")
Numbers = Callable[[], Mapping[str, float]]


class Metrics:
    """One application's numbers, in a registry of their own."""

    def __init__(self, protocols: Mapping[str, Counters], gauges: Numbers) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "assay_http_requests",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._elapsed = Histogram(
            "assay_http_request_seconds",
            "Time to the end of the answer.",
            ("route",),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._received = Counter("assay_http_received_bytes", "Bytes of bodies.", registry=self._registry)
        self.deliveries = Counter(
            "assay_webhook_deliveries", "Attempts to deliver an event.", ("outcome",), registry=self._registry
        )
        self._registry.register(_Protocols(protocols))
        self._registry.register(_Gauges(gauges))

    def request(self, method: str, route: str, status: int, elapsed_s: float, received: int) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._elapsed.labels(route).observe(elapsed_s)
        self._received.inc(received)

    def text(self) -> bytes:
        """Write all in Prometheus' text format. Asks the store: for a thread."""
        return generate_latest(self._registry)


class _Protocols(Collector):
    def __init__(self, protocols: Mapping[str, Counters]) -> None:
        self._protocols = protocols

    def collect(self) -> Iterator[Metric]:
        for name in PLAIN:
            family = CounterMetricFamily(
                f"assay_protocol_{name}", f"Of each protocol: {name}.", labels=["protocol"]
            )
            for protocol, counters in self._protocols.items():
                family.add_metric([protocol], getattr(counters, name))
            yield family
        for name in SORTED:
            family = CounterMetricFamily(
                f"assay_protocol_{name}", f"Of each protocol: {name}.", labels=["protocol", "word"]
            )
            for protocol, counters in self._protocols.items():
                for word, count in dict(getattr(counters, name)).items():
                    family.add_metric([protocol, word], count)
            yield family
        active = GaugeMetricFamily("assay_protocol_active", "Connections that are open.", labels=["protocol"])
        for protocol, counters in self._protocols.items():
            active.add_metric([protocol], counters.active)
        yield active


class _Gauges(Collector):
    def __init__(self, gauges: Numbers) -> None:
        self._gauges = gauges

    def describe(self) -> Iterator[Metric]:
        return iter(())  # nothing is asked before somebody reads

    def collect(self) -> Iterator[Metric]:
        for name, value in self._gauges().items():
            yield GaugeMetricFamily(f"assay_{name}", f"{name.replace('_', ' ')}.", value=value)
