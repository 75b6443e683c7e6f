"""Drafts of bare networks and of whole packages, and a worker's part of their check, by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from draft_fields import FIELDS
from flask import Flask
from standard_package import write_onnx
from web_helpers import WorkerHand, png

from zoo.package_inspect import inspect_file


def put_file(app: Flask, uuid: str, role: str, name: str, data: bytes) -> None:
    """As an upload does."""
    parts = app.extensions["zooscope"]
    with parts.scheduler.blob_lock:
        sha256 = parts.blobs.put_bytes(data).sha256
        parts.submissions.set_file(uuid, role, name, sha256, len(data))


def bare_draft(app: Flask, owner: str, folder: Path, weights: Path | None = None, **fields: Any) -> dict[str, Any]:
    """A draft of a bare network, by default ONNX, with a grey test image and all that the form asks for."""
    weights = weights or write_onnx(folder / "network.onnx")
    parts = app.extensions["zooscope"]
    found = inspect_file(weights, weights.name).fields
    draft = parts.submissions.create(owner, found | FIELDS | fields)
    put_file(app, draft["id"], "weights", weights.name, weights.read_bytes())
    put_file(app, draft["id"], "test_image", "cells.png", png(96, 80, 1))
    return dict(parts.submissions.get(draft["id"]))


def package_draft(app: Flask, owner: str, package: Path) -> dict[str, Any]:
    """A draft of a package that came whole, with the words that it brings."""
    parts = app.extensions["zooscope"]
    words = {"task": "segment", "structure": ["nucleus"], "modality": ["fluorescence microscopy"]}
    draft = parts.submissions.create(owner, words | inspect_file(package, package.name).fields | words)
    put_file(app, draft["id"], "package", package.name, package.read_bytes())
    return dict(parts.submissions.get(draft["id"]))


def report(passed: bool = True, **more: Any) -> dict[str, Any]:
    names = ("load", "reproduce", "test_image", "figures")
    steps = [{"name": name, "ok": passed, "sentence": f"{name} done.", "hint": "", "seconds": 0.1} for name in names]
    figures = {"cpu": {"load_s": 0.5, "seconds_per_megapixel": 0.25, "measured_on": "2 cores x86_64", "n": 3}}
    return {
        "passed": passed, "steps": steps, "load_s": 0.5, "seconds_per_megapixel": 0.25, "measured": [], "device": "cpu",
        "difference": 0.0, "objects": 3, "found": {"objects": 3}, "peak_memory_bytes": 10**8, "tensors_made": True,
        "ert": figures, "software": {"zooscope": "1"}, "at": 1.0,
    } | more  # fmt: skip


def npy(*shape: int) -> bytes:
    out = io.BytesIO()
    np.save(out, np.full(shape, 0.5, np.float32))
    return out.getvalue()


def files_of_check(tensors: bool = True, **more: Any) -> dict[str, bytes]:
    """What a worker posts of a check that it could do."""
    made = {
        "report.json": json.dumps(report(**more)).encode(),
        "manifest.json": b"{}",
        "log.txt": b"load: ok\n",
        "cover.png": png(64, 64),
        "cover-before.png": png(64, 64, seed=1),
        "overlay.png": png(96, 80),
    }
    return made | ({"test_input.npy": npy(1, 1, 80, 96), "test_output.npy": npy(1, 1, 80, 96)} if tensors else {})


def finish_check(worker: WorkerHand, files: dict[str, bytes] | None = None) -> dict[str, Any]:
    """Take the check that waits and post what it made; returns the claim."""
    claim = worker.start()
    assert claim["kind"] == "check"
    worker.finish(claim, files or files_of_check())
    return claim
