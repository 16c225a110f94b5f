"""Figures of the running service, in Prometheus' text form."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.3, 0.6, 1.2, 5.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)


class Telemetry:
    """Counters of one service (a registry of its own, so that tests can start several)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "lvm_requests_total", "Requests by route and status", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "lvm_request_seconds", "Time from request to answer", ["route"], buckets=SECONDS, registry=self.registry
        )
        self.batches = Histogram(
            "lvm_batch_size", "Requests worked on together", ["kind"], buckets=SIZES, registry=self.registry
        )
        self.waiting = Gauge("lvm_queue_depth", "Requests that wait", registry=self.registry)
        self.ready = Gauge("lvm_ready", "1 when requests are answered", registry=self.registry)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def batch(self, kind: str, size: int) -> None:
        """Count a batch."""
        self.batches.labels(kind).observe(size)

    def text(self, waiting: int) -> bytes:
        """Everything, as /metrics answers it."""
        self.waiting.set(waiting)
        return generate_latest(self.registry)
