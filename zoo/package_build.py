"""Writing a model package: weights, test tensors and words become a bioimage.io 0.5 zip that its tools open."""

from __future__ import annotations

import gc
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.packages import PackageInvalid

NANOMETRES_PER_MICROMETRE = 1000


@dataclass(frozen=True)
class PackageParts:
    """What goes into a package. Files are paths on disk; they keep their base names in the zip.

    `pixel_size_um` goes into the axes when it is a property of the training images (`nominal` False in
    `zooscope["pixel_size"]`). `zooscope` becomes `config.zooscope`. Axes are always (batch, y, x, channel); the maps
    have a cell every `output_stride` pixels, and `halo` is in pixels of the input.
    """

    id: str
    version: str
    name: str
    description: str
    licence: str
    authors: list[dict[str, str]]
    cite: list[dict[str, str]]
    tags: list[str]
    card: Path
    covers: list[Path]
    weights: Path
    keras_version: str
    tensorflow_version: str
    channel_names: list[str]
    output_channels: list[str]
    preprocessing: list[dict[str, Any]]
    minimum_size: int
    stride: int
    halo: int
    pixel_size_um: float | None
    test_input: Path
    test_output: Path
    sample: Path
    attachments: list[Path] = field(default_factory=list)
    output_stride: int = 1
    output_range: tuple[float | None, float | None] = (0.0, 1.0)
    bioimageio: dict[str, Any] = field(default_factory=dict)
    zooscope: dict[str, Any] = field(default_factory=dict)


def build_package(parts: PackageParts, out: Path) -> Path:
    """Write the package to `out`, whole or not at all; raises `PackageInvalid` when the description is not valid."""
    from bioimageio.spec import save_bioimageio_package
    from pydantic import ValidationError

    out.parent.mkdir(parents=True, exist_ok=True)
    # A folder of its own: the writer must never find its output among its inputs.
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".package-") as folder, warnings.catch_warnings():
        # The writer of bioimageio.spec 0.5.12 leaves the files it packs to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            described = _describe(parts)
            built = save_bioimageio_package(described, output_path=Path(folder) / out.name, compression_level=9)
        except (ValidationError, ValueError) as error:
            raise PackageInvalid(f"The package cannot be written: {error}") from error
        Path(built).replace(out)
        del described
        gc.collect()
    return out


def _space(parts: PackageParts) -> dict[str, Any]:
    if parts.pixel_size_um is None:
        return {}
    return {"unit": "nanometer", "scale": round(parts.pixel_size_um * NANOMETRES_PER_MICROMETRE, 6)}


def _describe(parts: PackageParts) -> Any:
    from bioimageio.spec.common import FileDescr
    from bioimageio.spec.model import v0_5

    scale = _space(parts)
    size = v0_5.ParameterizedSize(min=parts.minimum_size, step=parts.stride)
    inputs = v0_5.InputTensorDescr(
        id=v0_5.TensorId("image"),
        axes=[
            v0_5.BatchAxis(),
            v0_5.SpaceInputAxis(id=v0_5.AxisId("y"), size=size, **scale),
            v0_5.SpaceInputAxis(id=v0_5.AxisId("x"), size=size, **scale),
            v0_5.ChannelAxis(channel_names=[v0_5.Identifier(name) for name in parts.channel_names]),
        ],
        test_tensor=FileDescr(source=parts.test_input),
        sample_tensor=FileDescr(source=parts.sample),
        data=v0_5.IntervalOrRatioDataDescr(type="float32"),
        preprocessing=parts.preprocessing,  # type: ignore[arg-type]
    )
    maps = v0_5.OutputTensorDescr(
        id=v0_5.TensorId("maps"),
        axes=[v0_5.BatchAxis(), *(_output_axis(name, parts, scale) for name in ("y", "x")), _maps_axis(parts)],
        test_tensor=FileDescr(source=parts.test_output),
        data=v0_5.IntervalOrRatioDataDescr(type="float32", range=parts.output_range),
    )
    weights = v0_5.KerasV3WeightsDescr(
        source=parts.weights,
        keras_version=v0_5.Version(parts.keras_version),
        backend=("tensorflow", v0_5.Version(parts.tensorflow_version)),
    )
    return v0_5.ModelDescr(
        id=v0_5.ModelId(parts.id),
        version=v0_5.Version(parts.version),
        name=parts.name,
        description=parts.description,
        license=parts.licence,  # type: ignore[arg-type]
        authors=[v0_5.Author(**author) for author in parts.authors],  # type: ignore[arg-type]
        cite=[v0_5.CiteEntry(**entry) for entry in parts.cite],  # type: ignore[arg-type]
        tags=parts.tags,
        documentation=FileDescr(source=parts.card),
        covers=[FileDescr(source=cover) for cover in parts.covers],
        attachments=[FileDescr(source=path) for path in parts.attachments],
        inputs=[inputs],
        outputs=[maps],
        weights=v0_5.WeightsDescr(keras_v3=weights),
        config=v0_5.Config(bioimageio=v0_5.BioimageioConfig(**parts.bioimageio), zooscope=parts.zooscope),  # type: ignore[call-arg]
    )


def _output_axis(name: str, parts: PackageParts, scale: dict[str, Any]) -> Any:
    from bioimageio.spec.model import v0_5

    reference = v0_5.SizeReference(tensor_id=v0_5.TensorId("image"), axis_id=v0_5.AxisId(name))
    scale = scale | {"scale": scale.get("scale", 1.0) * parts.output_stride}
    halo = parts.halo // parts.output_stride
    return v0_5.SpaceOutputAxisWithHalo(id=v0_5.AxisId(name), size=reference, halo=halo, **scale)


def _maps_axis(parts: PackageParts) -> Any:
    from bioimageio.spec.model import v0_5

    return v0_5.ChannelAxis(channel_names=[v0_5.Identifier(name) for name in parts.output_channels])
