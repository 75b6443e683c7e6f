"""`zooscope preview`: one model on one region, in this process, with the files a job of the service would give.

Everything that can be refused is checked before TensorFlow is imported. Files are written to a folder beside the
output and moved there when all of them are whole, so that a mistake leaves nothing behind.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from scheduler.contract import STAGES, Progress
from worker.preview_options import BadArgument, add_options, given_inputs, given_settings
from worker.stream.choice import UNLIMITED, too_large, unlimited
from zoo.channel_fit import fit_channels
from zoo.images import Crop, ImageInfo, PixelSize, decode_crop, encode_crop, inspect
from zoo.packages import ModelPackage, file_sha256, read_package
from zoo.pixel_scale import check_budget, scale_to_model
from zoo.planes import check_planes, cut_crop
from zoo.preview_settings import resolve
from zoo.roi import Region
from zoo.settings import Settings, read_settings

SEED_FOLDER = Path(__file__).parent.parent / "zoo" / "seed"
BAR = "{desc:<22} {percentage:3.0f}%|{bar:30}| {elapsed}{postfix}"


@dataclass(frozen=True)
class Request:
    """What the command line asks for, checked."""

    package: ModelPackage
    info: ImageInfo
    image: Path
    region: Region
    plane: int
    channels: tuple[int, ...] | None
    pixel_size: PixelSize | None
    settings: dict[str, Any]
    frames: int
    streamed: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, help="PNG, JPEG, TIFF or OME-Zarr, zipped or as a folder")
    parser.add_argument("--model", required=True, help="a model that comes with Zooscope, or a package's .zip file")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the result's files")
    parser.add_argument("--device", default="auto", help="auto, cpu or gpu:<number>")
    add_options(parser, lambda model: read_package(find_package(model, read_settings()), read_settings()))


def run(arguments: argparse.Namespace) -> int:
    """Run the preview; returns 0. Raises typed errors, after which nothing of it is in the output folder."""
    settings = read_settings()
    request = _checked(arguments, settings)
    out = _writable(arguments.out)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as name:
        result = Path(name) / "result"
        result.mkdir()
        with _bar() as bar:
            summary = _compute(request, arguments.device, settings, result, bar)
        _move(result, out)
    objects = "1 object" if summary["objects"] == 1 else f"{summary['objects']} objects"
    print(f"{objects} in {summary['width']} x {summary['height']} pixels: {arguments.out}")
    return 0


def _checked(arguments: argparse.Namespace, settings: Settings) -> Request:
    """Check everything there is to check without computing; raises UserErrors."""
    image: Path = arguments.image
    if not image.exists():
        raise BadArgument(f"There is no file {str(image)!r}.", "Give the path of an image.")
    package = read_package(find_package(arguments.model, settings), settings)
    resolved = resolve(given_settings(arguments), package)
    info = inspect(image, image.name, unlimited(settings))
    if info.format in ("png", "jpeg"):
        # They can only be read as a whole.
        inspect(image, image.name, settings)
    region, plane, channels, pixel_size = given_inputs(arguments, info)
    fit_channels(info.rgb, info.channels, channels, package.channels, package.grey_to_rgb)
    frames = check_planes(info, resolved, package.frames)
    scale = scale_to_model(
        pixel_size, package.pixel_size_um, nominal=package.pixel_size_nominal, rescale=resolved["rescale"]
    )
    budget = min(settings.roi_pixels, package.preview.get("maximum_pixels") or settings.roi_pixels)
    check_budget(region.height, region.width, scale, UNLIMITED)
    streamed = too_large(package, region, scale, frames, budget, settings.stream_memory_bytes)
    return Request(package, info, image, region, plane, channels, pixel_size, resolved, frames, streamed)


def find_package(model: str, settings: Settings) -> Path:
    """The zip of a seed model's id, or the path that was given; raises `BadArgument` naming the seed models."""
    folder = settings.seed_folder or SEED_FOLDER
    seeds = {path.stem: path for path in sorted(folder.glob("*.zip"))}
    if model in seeds:
        return seeds[model]
    if Path(model).is_file():
        return Path(model)
    known = f"Models that come with Zooscope: {', '.join(seeds)}." if seeds else "Give the path of a package."
    raise BadArgument(f"There is no model {model!r}.", known)


def _writable(out: Path) -> Path:
    """The output folder's resolved path, whose parent exists; raises `BadArgument` when nothing can be written."""
    out = out.resolve()
    try:
        if out.exists() and not out.is_dir():
            raise BadArgument(f"{str(out)!r} is a file.", "Give a folder for the result's files.")
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadArgument(f"The folder {str(out)!r} cannot be made: {error.strerror}.") from error
    if not os.access(out if out.exists() else out.parent, os.W_OK):
        raise BadArgument(f"The folder {str(out)!r} cannot be written to.", "Choose another with -o.")
    return out


def _crop(request: Request, settings: Settings) -> Crop:
    """The region's pixels exactly as a job of the service would carry them."""
    cut = cut_crop(
        request.image,
        request.image.name,
        unlimited(settings),
        request.info,
        request.region,
        request.plane,
        request.channels,
        request.pixel_size,
        request.frames,
    )
    return decode_crop(encode_crop(cut))


def _source(request: Request) -> dict[str, Any]:
    """Where the pixels are from."""
    return {
        "image_name": request.image.name,
        # The files of a Zarr's folder have no sum that others would get, too.
        "image_sha256": None if request.image.is_dir() else file_sha256(request.image),
        "roi": request.region.to_json(),
        "plane": request.plane,
        "channels": None if request.channels is None else list(request.channels),
        "rgb": request.info.rgb,
        "pixel_size_um": request.pixel_size.x_um if request.pixel_size else None,
    }


@contextlib.contextmanager
def _bar() -> Iterator[tqdm]:
    with tqdm(total=100, file=sys.stderr, bar_format=BAR, leave=False, disable=not sys.stderr.isatty()) as bar:
        yield bar


def _compute(request: Request, device: str, settings: Settings, folder: Path, bar: tqdm) -> dict[str, Any]:
    """Compute the preview into `folder`, beside which a streamed one has its working files."""
    source = _source(request)
    crop = None if request.streamed else _crop(request, settings)
    bar.set_description_str(STAGES["loading"])
    with _quiet_stderr():
        from worker.preview import ModelCache, PreviewJob, run_preview
        from worker.stream.reading import ImageRegion
        from worker.stream.run import run_streamed
        from worker.stream.scratch import Scratch

        models = ModelCache(settings, device)

    def report(progress: Progress) -> None:
        bar.set_description_str(STAGES[progress.stage])
        bar.set_postfix_str(progress.message)
        bar.update(100 * progress.fraction - bar.n)

    if crop is not None:
        job = PreviewJob(request.package, crop, request.settings, source)
        return run_preview(job, models, folder, report, lambda line: None, lambda: False).summary
    image = ImageRegion(
        request.image,
        request.info,
        request.region,
        request.plane,
        request.channels,
        request.pixel_size,
        request.frames,
        unlimited(settings),
    )
    work = folder.parent / "work"
    work.mkdir()
    scratch = Scratch(work, settings.stream_memory_bytes)
    return run_streamed(
        request.package,
        image,
        request.settings,
        source,
        models,
        folder,
        scratch,
        report,
        lambda line: None,
        lambda: False,
    ).summary


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Without the lines that TensorFlow's libraries write to stderr while they are loaded, whatever the log level."""
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _move(result: Path, out: Path) -> None:
    """The whole folder where there is none yet, else file by file in place of those of an earlier run."""
    if not out.exists():
        result.rename(out)
        return
    for file in sorted(result.iterdir()):
        file.replace(out / file.name)
