"""What Prometheus reads: the queue as it is now, and what happened to jobs in this process since it started.

Queue depths come from the job documents at the time of asking, so every replica tells the same; counters and
histograms are each replica's own, to be summed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scheduler.contract import STAGES

SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000)
RATIOS = (0.25, 0.5, 0.67, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2, 4)
ERRORS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 4)
SHORTEST_SECONDS = 1e-3
MAXIMUM_CODE = 50
WORKER_STATES = ("starting", "waiting", "working", "draining")


class Metrics:
    """`status` gives what `Depths` tells; the other methods are called as things happen."""

    def __init__(self, status: Callable[[], Mapping[str, Any]]) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Now(status))
        self._attempts = Counter(
            "zooscope_attempts", "Attempts at jobs, by how they ended.", ["kind", "outcome"], registry=self.registry
        )
        self._failures = Counter(
            "zooscope_failures", "Failed attempts, by the code of their reason.", ["code"], registry=self.registry
        )
        self._waited = Histogram(
            "zooscope_wait_seconds", "From submission to the first start.", ["kind"], buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self._ran = Histogram(
            "zooscope_run_seconds", "From the start of an attempt to its result.", ["kind"], buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self._ratio = Histogram(
            "zooscope_ert_ratio", "Runtimes over what was expected of them.", buckets=RATIOS, registry=self.registry
        )
        self._error = Histogram(
            "zooscope_ert_error", "How far runtimes were from what was expected of them, as a part of the runtime.",
            ["kind"], buckets=ERRORS, registry=self.registry,
        )  # fmt: skip
        self._stages = Histogram(
            "zooscope_stage_seconds", "Stages of jobs that were done.", ["stage"], buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)

    def started(self, body: Mapping[str, Any], now: float) -> None:
        if body["attempt"] == 1:
            self._waited.labels(body["kind"]).observe(max(0.0, now - body["created_at"]))

    def done(self, body: Mapping[str, Any]) -> None:
        # A result may come from a worker whose start was never heard.
        seconds = max(0.0, body["finished_at"] - (body["started_at"] or body["finished_at"]))
        self._attempts.labels(body["kind"], "done").inc()
        self._ran.labels(body["kind"]).observe(seconds)
        if body["started_at"] and body["estimate"]["seconds"] > 0:
            self._ratio.observe(seconds / body["estimate"]["seconds"])
            error = abs(seconds - body["estimate"]["seconds"]) / max(seconds, SHORTEST_SECONDS)
            self._error.labels(body["kind"]).observe(error)
        for stage, took in body["result"]["timings"].items():
            # Names come from a worker: only those of the contract become labels.
            if stage in STAGES and isinstance(took, int | float):
                self._stages.labels(stage).observe(float(took))

    def ended(self, kind: str, outcome: str, code: str = "") -> None:
        """An attempt that was no success: failed, lost or handed back."""
        self._attempts.labels(kind, outcome).inc()
        if code:
            self._failures.labels(code[:MAXIMUM_CODE]).inc()


class _Now(Collector):
    def __init__(self, status: Callable[[], Mapping[str, Any]]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        waiting = GaugeMetricFamily("zooscope_queued_jobs", "Jobs that wait.", labels=["kind"])
        oldest = GaugeMetricFamily("zooscope_oldest_seconds", "Age of the oldest job that waits.", labels=["kind"])
        running = GaugeMetricFamily("zooscope_running_jobs", "Jobs that run.", labels=["kind"])
        for kind, figures in status["kinds"].items():
            waiting.add_metric([kind], figures["queued"])
            oldest.add_metric([kind], figures["oldest_s"])
            running.add_metric([kind], figures["running"])
        workers = GaugeMetricFamily("zooscope_workers", "Workers seen in the last minute.", labels=["state"])
        for state in WORKER_STATES:
            workers.add_metric([state], sum(worker["state"] == state for worker in status["workers"]))
        paused = GaugeMetricFamily("zooscope_paused_seconds", "How long a pause still lasts, 0: none.", labels=["kind"])
        for kind in status["kinds"]:
            paused.add_metric([kind], status["paused"].get(kind, 0))
        yield from (waiting, oldest, running, workers, paused)
        yield GaugeMetricFamily("zooscope_buried_jobs", "Jobs that failed for good.", value=status["buried"])
        up = float(status["beanstalkd"] == "ok")
        yield GaugeMetricFamily("zooscope_queue_up", "Whether beanstalkd answers and takes jobs.", value=up)

    def describe(self) -> Iterator[Metric]:
        """Nothing beforehand: asking the queue waits until somebody scrapes."""
        return iter(())
