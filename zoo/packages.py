"""Model packages: bioimage.io model descriptions 0.5 in a zip, read with `bioimageio.spec`.

What the standard has no word for stands in `config.zooscope`: the head, measured runtimes, preview limits, samples.
A package is checked as a stranger's file: the archive first, then the description, then that every file it names is in
the archive and has the sha256 that it names. Nothing is ever fetched from elsewhere.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from zoo.package_archive import PackageInvalid, check_archive
from zoo.package_config import covers_of, zooscope_config
from zoo.package_description import DESCRIPTION_NAMES as DESCRIPTION_NAMES
from zoo.package_description import check_files, citations, read_description, source_of, validated
from zoo.package_heads import check_head, check_stride
from zoo.package_metadata import fastest, read_about
from zoo.package_requires import check_requires, weights_formats
from zoo.package_tensors import read_tensors
from zoo.package_variants import read_variants
from zoo.package_weights import Weights, choose_weights
from zoo.settings import Settings

MAXIMUM_CARD = 2**18
DEFAULT_HALO = 128


@dataclass(frozen=True)
class ModelPackage:
    """What the rest of Zooscope needs to know of a model package; `path` is the zip.

    `axes` and `output_axes` are the orders of the network's input and output tensors, such as "byxc"; without a y the
    output is a list of boxes. `input_size` is the only (y, x) that the network takes, or empty. `pixel_size_um` is the
    side of the pixels the model was made for in micrometres, None when it has none; when `pixel_size_nominal`, it is
    only told, never used to resize. `stride` and `halo` are in the model's pixels. `cover` shows a result;
    `cover_before` the same picture without it, or is empty. `frames` are the counts of planes the package has networks
    for, of which `variants` has the weights file and `variant_tests` the test input and output, where given.
    `weights_data` is a file that must lie beside the weights, or empty. Without a `network` the head alone finds
    objects in the prepared plane.
    `tolerances` tell how exactly the test output is reproduced, as the standard writes it. `requires` is what
    `zoo.package_requires` checks, `weights_formats` the formats of which a worker needs one. `about` is what
    `zoo.package_metadata` tells.
    """

    path: Path
    sha256: str
    size: int
    id: str
    version: str
    name: str
    description: str
    licence: str
    authors: list[dict[str, Any]]
    cite: list[dict[str, Any]]
    tags: list[str]
    axes: str
    channels: int
    channel_names: list[str]
    output_channels: list[str]
    preprocessing: list[dict[str, Any]]
    postprocessing: list[dict[str, Any]]
    weights_format: str
    weights_file: str
    weights_sha256: str
    head: dict[str, Any]
    ert: dict[str, Any]
    stride: int
    halo: int
    pixel_size_um: float | None
    pixel_size_nominal: bool
    grey_to_rgb: bool
    frames: tuple[int, ...]
    preview: dict[str, Any]
    samples: list[dict[str, Any]]
    cover: str
    cover_before: str
    card: str
    finds: str = ""
    images: str = ""
    not_for: str = ""
    scores: list[dict[str, Any]] = field(default_factory=list)
    test_input: str = ""
    test_output: str = ""
    created: str = ""
    variants: dict[int, str] = field(default_factory=dict)
    variant_tests: dict[int, list[str]] = field(default_factory=dict)
    output_axes: str = ""
    input_size: list[int] = field(default_factory=list)
    minimum_size: int = 1
    weights_data: str = ""
    network: bool = True
    tolerances: list[dict[str, Any]] = field(default_factory=list)
    requires: dict[str, Any] = field(default_factory=dict)
    weights_formats: list[str] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def output_stride(self) -> int:
        """Pixels from one cell of the network's maps to the next: above 1 for detectors on a grid."""
        return int(self.head.get("stride", 1))

    def open(self, member: str) -> bytes:
        """The bytes of one file of the package; raises `PackageInvalid` if it is not there."""
        with zipfile.ZipFile(self.path) as archive:
            try:
                return archive.read(member)
            except KeyError as error:
                raise PackageInvalid(f"The package {self.id} has no file {member!r}.") from error

    def extract_weights(self, folder: Path, frames: int | None = None) -> Path:
        """Write the weights file, of the standard's network or of that for `frames` planes, into `folder` (made if
        missing) under its own base name, and what must lie beside it; returns its path."""
        folder.mkdir(parents=True, exist_ok=True)
        member = self.weights_file if frames is None else self.variants[frames]
        with zipfile.ZipFile(self.path) as archive:
            for name in filter(None, (self.weights_data, member)):
                target = folder / Path(name).name
                with archive.open(name) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out)
        return target


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def preload() -> None:
    """Import the validator now: it takes seconds, which a worker that waits for its first job has to spare."""
    import bioimageio.spec.model.v0_5  # noqa: F401


def read_package(path: Path, settings: Settings) -> ModelPackage:
    """Check the zip at `path` and read its description; raises `ArchiveRefused` or `PackageInvalid`."""
    size = path.stat().st_size
    if size > settings.package_bytes:
        raise PackageInvalid(
            f"The package has {size / 2**20:.0f} MiB; {settings.package_bytes / 2**20:.0f} MiB are allowed."
        )
    check_archive(path, settings.package_bytes * 2)
    with zipfile.ZipFile(path) as archive:
        raw = read_description(archive)
        config = zooscope_config(raw, archive.namelist())
        described = validated(archive)
        check_files(archive, raw)
        card_file = source_of(raw.get("documentation"))
        card = archive.read(card_file)[:MAXIMUM_CARD].decode("utf-8", "replace") if card_file else ""
        sha256 = file_sha256(path)
        weights = choose_weights(described, sha256, settings.reviewed_packages)
        variants, variant_tests = read_variants(archive, config, weights.file)
    package = _package(path, sha256, raw, described, weights, card)
    about = read_about(raw, package.head, package.axes, variants, weights.format, package.network)
    return replace(package, frames=tuple(variants), variants=variants, variant_tests=variant_tests, about=about)


def _package(path: Path, sha256: str, raw: dict[str, Any], described: Any, weights: Weights, card: str) -> ModelPackage:
    tensors = read_tensors(described)
    config = (raw.get("config") or {}).get("zooscope") or {}
    pixel_size = config.get("pixel_size") or {}
    covers = covers_of(raw, source_of)
    given = config if tensors.head is None else {"head": tensors.head} | config
    head, stride = check_head(given, tensors.output_channels), int(config.get("stride", tensors.step))
    if (head["kind"] == "boxes") != ("y" not in tensors.output_axes):
        raise PackageInvalid("The head boxes is for networks whose output is a list of boxes, and for those alone.")
    check_stride(head, stride, tensors.scales)
    halo = int(head.get("stride", 1)) * tensors.halo or DEFAULT_HALO
    return ModelPackage(
        path=path,
        sha256=sha256,
        size=path.stat().st_size,
        id=str(described.id or path.stem),
        version=str(described.version or "1"),
        name=described.name,
        description=described.description,
        licence=str(described.license or ""),
        authors=[author.model_dump(mode="json", exclude_none=True) for author in described.authors],
        cite=citations(described),
        tags=list(described.tags),
        axes=tensors.axes,
        channels=len(tensors.channel_names),
        channel_names=tensors.channel_names,
        output_channels=tensors.output_channels,
        preprocessing=tensors.preprocessing,
        postprocessing=tensors.postprocessing,
        weights_format=weights.format,
        weights_file=weights.file,
        weights_sha256=weights.sha256,
        head=head,
        ert=dict(config.get("ert") or {}),
        stride=stride,
        halo=int(config.get("halo", halo)),
        pixel_size_um=pixel_size.get("value_um") or tensors.pixel_size_um,
        pixel_size_nominal=bool(pixel_size.get("nominal", False)),
        grey_to_rgb=bool((config.get("input") or {}).get("grey_to_rgb", False)),
        frames=(1,),
        preview=dict(config.get("preview") or {}),
        samples=list(config.get("samples") or []),
        cover=covers[0],
        cover_before=covers[1],
        card=card,
        finds=str(config.get("finds", "")),
        images=str(config.get("images", "")),
        not_for=str(config.get("not_for", "")),
        scores=list(config.get("scores") or []),
        test_input=source_of(raw["inputs"][0].get("test_tensor")),
        test_output=source_of(raw["outputs"][0].get("test_tensor")),
        created=str(raw.get("timestamp", "")),
        output_axes=tensors.output_axes,
        input_size=tensors.input_size,
        minimum_size=1 if "stride" in config else tensors.minimum_size,
        weights_data=weights.data,
        network=bool(config.get("network", True)),
        tolerances=list(((raw.get("config") or {}).get("bioimageio") or {}).get("reproducibility_tolerance") or []),
        requires=check_requires(config),
        weights_formats=weights_formats(described, weights.format),
    )


FRAME_KEYS = ("variants", "variant_tests")


def to_document(package: ModelPackage) -> dict[str, Any]:
    """The document of one model version: everything of the package but its path."""
    document = {name: value for name, value in package.__dict__.items() if name != "path"}
    for name in FRAME_KEYS:
        document[name] = {str(frames): value for frames, value in document[name].items()}
    document["frames"] = list(package.frames)
    if (speed := fastest(package.ert)) is not None:
        document["speed_s_per_mp"] = speed
    return document | {"package_sha256": package.sha256, "package_bytes": package.size}


def from_document(document: dict[str, Any], path: Path) -> ModelPackage:
    """The package of a version's document, whose zip is at `path`; what older documents lack is as by default."""
    known = {each.name: document[each.name] for each in fields(ModelPackage) if each.name in document}
    for name in FRAME_KEYS:
        known[name] = {int(frames): value for frames, value in known.get(name, {}).items()}
    known["variants"] = known["variants"] or {1: document["weights_file"]}
    return ModelPackage(**known | {"path": path, "frames": tuple(known["variants"])})
