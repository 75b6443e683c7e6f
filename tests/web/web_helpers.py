"""What tests of the web room do again and again: make a picture, upload it, submit a job, be a worker."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import tifffile
from flask.testing import FlaskClient
from PIL import Image

from scheduler import contract


def png(width: int = 64, height: int = 48, channels: int = 3, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, channels), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels if channels == 3 else pixels[:, :, 0]).save(out, format="PNG")
    return out.getvalue()


def upload(client: FlaskClient, data: bytes | None = None, name: str = "cells.png") -> dict[str, Any]:
    answer = client.post("/api/v1/images", data={"file": (io.BytesIO(png() if data is None else data), name)})
    assert answer.status_code == 201, answer.text
    return answer.get_json()


def submit(client: FlaskClient, **more: Any) -> dict[str, Any]:
    """One job of `cells` on a fresh upload."""
    body = {"image": upload(client)["id"], "roi": [8, 4, 40, 32], "models": [{"id": "cells"}]} | more
    answer = client.post("/api/v1/jobs", json=body)
    assert answer.status_code == 201, answer.text
    return answer.get_json()["jobs"][0]


OBJECTS = """id,class,score,x_min,y_min,x_max,y_max,area_px
1,cell,0.75,10,6,16,12,36
2,cell,0.5,20,16,28,24,64
"""


def _square(number: int, start: int, side: int) -> dict[str, Any]:
    """A QuPath detection in pixels of the image, of which the region begins at 8, 4."""
    x, y, right, bottom = start + 8, start + 4, start + 8 + side, start + 4 + side
    ring = [[x, y], [right, y], [right, bottom], [x, bottom], [x, y]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"id": number, "classification": {"name": "cell"}},
    }


@lru_cache
def result_files(height: int = 32, width: int = 40) -> dict[str, bytes]:
    """What a worker posts: two squares, labelled 1 and 2."""
    labels = np.zeros((height, width), np.uint16)
    labels[2:8, 2:8], labels[12:20, 12:20] = 1, 2
    probability = np.stack([(labels > 0).astype(np.float32), np.zeros_like(labels, np.float32)])
    written = {}
    for name, pixels in (("probability.ome.tif", probability), ("labels.ome.tif", labels)):
        out = io.BytesIO()
        tifffile.imwrite(out, pixels, ome=True, metadata={"axes": "CYX" if pixels.ndim == 3 else "YX"})
        written[name] = out.getvalue()
    return written | {
        "overlay.png": png(width, height),
        "objects.csv": OBJECTS.encode(),
        "objects.geojson": json.dumps(
            {"type": "FeatureCollection", "features": [_square(1, 2, 6), _square(2, 12, 8)]}
        ).encode(),
        "manifest.json": b"{}",
        "log.txt": b"done\n",
    }


@dataclass
class WorkerHand:
    """Speaks a worker's part over the scheduler's HTTP API."""

    client: FlaskClient
    token: str

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self.client.post(path, json=body, headers={"Authorization": f"Bearer {self.token}"})

    def start(self) -> dict[str, Any]:
        """Take the next job and start it; returns the claim."""
        request = contract.ReserveRequest("hand", timeout_seconds=5.0)
        answer = self.post(contract.path(contract.RESERVE), request.to_json())
        assert answer.status_code == 200, answer.text
        claim = answer.get_json()
        started = self.post(contract.path(contract.START, uuid=claim["uuid"]), {"lease": claim["lease"]})
        assert started.status_code == 200, started.text
        return claim

    def progress(self, claim: dict[str, Any], stage: str, fraction: float) -> Any:
        body = {"lease": claim["lease"], "progress": contract.Progress(stage, fraction, "tile 1 of 2").to_json()}
        return self.post(contract.path(contract.PROGRESS, uuid=claim["uuid"]), body)

    def upload(self, claim: dict[str, Any], name: str, data: bytes) -> dict[str, Any]:
        """Post one file of the result; returns it as the result lists it."""
        answer = self.client.put(
            contract.path(contract.FILE, uuid=claim["uuid"], name=name),
            query_string={"lease": claim["lease"], "sha256": hashlib.sha256(data).hexdigest()},
            data=data,
            headers={"Authorization": f"Bearer {self.token}"},
        )
        assert answer.status_code == 200, answer.text
        return {"name": name, "media_type": contract.MEDIA_TYPES[name]} | answer.get_json()

    def finish(self, claim: dict[str, Any], files: dict[str, bytes] | None = None) -> None:
        listed = [self.upload(claim, name, data) for name, data in (files or result_files()).items()]
        body = {"lease": claim["lease"], "files": listed, "summary": {"objects": 2}, "timings": {"inferring": 0.5}}
        answer = self.post(contract.path(contract.RESULT, uuid=claim["uuid"]), body)
        assert answer.status_code == 200, answer.text


def error_of(answer: Any) -> tuple[int, str]:
    body = json.loads(answer.data)
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "hint"}
    return answer.status_code, body["error"]["code"]
