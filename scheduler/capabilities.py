"""What a job needs of a worker and what a worker can do, matched by tubes.

A job waits in the tube of its kind and requirement, such as `zooscope.preview.keras+onnx-gpu16`: weights that a worker
runs, of which one is enough, and the GPU it takes, in steps of memory as cards are sold. A job without needs waits in
`zooscope.preview`. There are few requirements, so that a worker watches every tube it can serve; beanstalkd hands out
the smallest priority among them all, so that the order of fairness holds across tubes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import UserError

TUBE_PREFIX = "zooscope."
# `reviewed` are formats that can hold programs; a worker runs them where its operator named packages as reviewed.
FORMATS = ("keras", "onnx", "reviewed")
WORDS = {"keras": "Keras models", "onnx": "ONNX models", "reviewed": "reviewed TensorFlow models"}
FORMAT_SETS = ((), ("keras",), ("onnx",), ("keras", "onnx"), ("reviewed",))
GPU_LEVELS = (8, 16, 24, 48, 80)
# A card sold with 16 GB tells of 15 GiB, one sold with 24 GB of 22.5.
AS_SOLD = 0.9


class BadRequirement(UserError):
    code = "bad-requirement"


class NobodyCanServe(UserError):
    code = "nobody-can-serve"
    status = 409


@dataclass(frozen=True)
class Needs:
    """One of `formats` is enough, none are needed when it is empty; `gpu_memory_gb` is 0 or one of GPU_LEVELS."""

    formats: tuple[str, ...] = ()
    gpu: bool = False
    gpu_memory_gb: int = 0

    @classmethod
    def read(cls, requires: Mapping[str, Any]) -> Needs:
        """From {formats: [...], device: "any"|"gpu", gpu_memory_gb: number}, all of which may be left out; raises
        BadRequirement. Memory is rounded up to the next level.
        """
        formats, device = requires.get("formats", ()), requires.get("device", "any")
        memory = requires.get("gpu_memory_gb", 0)
        if not isinstance(formats, list | tuple) or any(one not in FORMATS for one in formats):
            raise BadRequirement("The job asks for unknown formats.", f"Formats: {', '.join(FORMATS)}.")
        if device not in ("any", "cpu", "gpu"):
            raise BadRequirement(f"The job asks for the device {str(device)[:20]!r}.", "Ask for any or gpu.")
        if isinstance(memory, bool) or not isinstance(memory, int | float) or not 0 <= memory <= GPU_LEVELS[-1]:
            raise BadRequirement(
                f"The job asks for {str(memory)[:20]} GB of GPU memory.", f"Ask for up to {GPU_LEVELS[-1]}."
            )
        level = next(level for level in (0, *GPU_LEVELS) if level >= memory)
        return cls(_canonical(formats), device == "gpu" or level > 0, level)

    @classmethod
    def of_tube(cls, tube: str) -> Needs:
        """What a tube of this module stands for; of a tube that is none, no needs."""
        return _NEEDS.get(tube.removeprefix(TUBE_PREFIX).partition(".")[2], cls())

    @property
    def requirement(self) -> str:
        """Its word in a tube's name, empty without needs."""
        gpu = f"gpu{self.gpu_memory_gb or ''}" if self.gpu else ""
        return "-".join(filter(None, ("+".join(self.formats), gpu)))

    def tube(self, kind: str) -> str:
        return TUBE_PREFIX + ".".join(filter(None, (kind, self.requirement)))

    def text(self) -> str:
        """For people, such as "a GPU with 16 GB that runs ONNX models"."""
        runs = " or ".join(WORDS[one] for one in self.formats)
        gpu = f"a GPU with {self.gpu_memory_gb} GB" if self.gpu_memory_gb else "a GPU" if self.gpu else ""
        return f"{gpu} that runs {runs}" if gpu and runs else gpu or (f"a worker that runs {runs}" if runs else "")


@dataclass(frozen=True)
class Ability:
    """What a worker can do: the kinds of jobs, the formats, which of them on its GPU, and the GPU's memory in GB.

    A worker that says nothing of formats is an older one, which runs the formats that everyone runs.
    """

    kinds: tuple[str, ...] = ("preview",)
    formats: tuple[str, ...] = ("keras", "onnx")
    gpu_formats: tuple[str, ...] = ()
    gpu_memory_gb: float = 0.0

    def serves(self, needs: Needs) -> bool:
        formats = self.gpu_formats if needs.gpu else self.formats
        if needs.gpu and not formats:
            return False
        enough = needs.gpu_memory_gb * AS_SOLD <= self.gpu_memory_gb
        return enough and (not needs.formats or any(one in formats for one in needs.formats))

    def tubes(self) -> list[str]:
        """Every tube of which it can serve all jobs."""
        return [needs.tube(kind) for kind in self.kinds for needs in ALL_NEEDS if self.serves(needs)]


def _canonical(formats: Iterable[str]) -> tuple[str, ...]:
    """Weights that can hold programs are only run where there are no others."""
    wanted = tuple(one for one in FORMATS if one in formats)
    return wanted if wanted in FORMAT_SETS else tuple(one for one in wanted if one != "reviewed")


def _all_needs() -> tuple[Needs, ...]:
    devices = [(False, 0), (True, 0), *((True, level) for level in GPU_LEVELS)]
    return tuple(Needs(formats, *device) for formats, device in itertools.product(FORMAT_SETS, devices))


ALL_NEEDS = _all_needs()
_NEEDS = {needs.requirement: needs for needs in ALL_NEEDS}


def tubes_of(kind: str) -> list[str]:
    """Every tube in which jobs of this kind may wait."""
    return [needs.tube(kind) for needs in ALL_NEEDS]


def check_served(kind: str, needs: Needs, online: Iterable[Ability]) -> None:
    """Raise NobodyCanServe when workers are online and none of them can ever run such a job.

    While no worker is online at all, jobs are accepted: one is being started, or restarted.
    """
    abilities = list(online)
    if abilities and not any(kind in ability.kinds and ability.serves(needs) for ability in abilities):
        hint = "Choose another model, or ask the operator for " + (needs.text() or "a worker that takes such jobs")
        raise NobodyCanServe(_missing(kind, needs, abilities), f"{hint}.")


def _missing(kind: str, needs: Needs, abilities: list[Ability]) -> str:
    """The first thing that all the workers lack, for people."""
    told = "The worker that is online" if len(abilities) == 1 else f"None of the {len(abilities)} workers online"
    not_one = len(abilities) == 1
    able = [ability for ability in abilities if kind in ability.kinds]
    if not able:
        return f"{told} {'takes no' if not_one else 'takes'} jobs of the kind {kind[:40]!r}."
    able = [ability for ability in able if ability.serves(Needs(needs.formats))]
    if not able:
        runs = " or ".join(WORDS[one] for one in needs.formats)
        return f"{told} {'does not run' if not_one else 'runs'} {runs}, as this model needs."
    able = [ability for ability in able if ability.serves(Needs(needs.formats, gpu=True))]
    if not able:
        return f"{told} has {'no' if not_one else 'a'} GPU for this model, which needs one."
    most = math.floor(max(ability.gpu_memory_gb for ability in able))
    wanted = f"{'no' if not_one else 'a'} GPU with {needs.gpu_memory_gb} GB"
    return f"{told} has {wanted}, which this model needs; the largest has {most} GB."
