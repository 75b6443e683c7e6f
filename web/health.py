"""Whether the service is well, for machines: /healthz (the process), /readyz (what it needs), /metrics (figures)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, jsonify
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from web.service import Service, service

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Any:
    """The process answers. Nothing beyond it is asked: starting it again would not mend that."""
    return jsonify({"ok": True})


@blueprint.get("/readyz")
def readyz() -> Any:
    """Requests may be sent here: 200, or 503 with what is wrong in the same fields."""
    found = service().readiness.checks()
    well = set(found.values()) == {"ok"}
    response = jsonify({"ok": well} | found)
    response.status_code = 200 if well else 503
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.get("/metrics")
def metrics() -> Response:
    """For Prometheus: queue, workers, attempts, runtimes, streams."""
    return Response(service().scheduler.metrics.text(), mimetype="text/plain; version=0.0.4")


class WebFigures(Collector):
    """What only the web server knows of the figures for Prometheus."""

    def __init__(self, parts: Service) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        streams = self._parts.streams
        yield GaugeMetricFamily("zooscope_event_streams", "Event streams that are open.", value=streams.open)
        yield GaugeMetricFamily("zooscope_event_streams_limit", "Event streams at most.", value=streams.limit)
        refused = CounterMetricFamily("zooscope_event_streams_refused", "Event streams that found no place.")
        refused.add_metric([], streams.refused)
        yield refused
        free = shutil.disk_usage(self._parts.settings.blobs_folder).free
        yield GaugeMetricFamily("zooscope_disk_free_bytes", "Free disk of the data folder.", value=free)
        ready = GaugeMetricFamily("zooscope_ready", "What /readyz looks at: 1 when it is well.", labels=["check"])
        for check, word in self._parts.readiness.checks().items():
            ready.add_metric([check], float(word == "ok"))
        yield ready

    def describe(self) -> Iterator[Metric]:
        """Nothing beforehand: asking waits until somebody scrapes."""
        return iter(())
