"""Who asks for what in the simulation: users with bursts of long jobs, and users who look at previews now and then."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

# Median seconds of a job of each kind, and the spread (sigma of the logarithm).
SECONDS = {
    "preview": (4.0, 0.6),
    "check": (20.0, 0.5),
    "evaluate": (90.0, 0.5),
    "train": (900.0, 0.4),
    "run": (240.0, 0.4),
}
# What a person who looks around asks for, in shares; a burst is of one kind.
LOOKING = (("preview", 0.9), ("check", 0.07), ("evaluate", 0.03))
BURSTS = (("run", 0.8), ("train", 0.2))
# Estimates are off by this much (sigma of the logarithm).
ESTIMATE_ERROR = 0.25


@dataclass(frozen=True)
class Wish:
    """A job that `owner` submits `at` seconds after the beginning, and that will run for `seconds`."""

    at: float
    owner: str
    kind: str
    seconds: float
    estimate: float


def wishes(seed: int, users: int, bursts: int, jobs: int, seconds: float, pause: float) -> list[Wish]:
    """What `users` ask for in `seconds`, in order: `bursts` of them some `jobs` at once (half to double as many) in the
    first tenth, the others something every `pause` seconds on average.
    """
    random_ = random.Random(seed)
    asked: list[Wish] = []
    for number in range(users):
        owner = f"{'burst' if number < bursts else 'looks'}-{number:03d}"
        if number < bursts:
            kind = _one_of(random_, BURSTS)
            at = random_.uniform(0, seconds / 10)
            # Trainings are longer than units of a data set, so fewer of them are asked for.
            count = jobs * random_.uniform(0.5, 2) * SECONDS["run"][0] / SECONDS[kind][0]
            asked += [_wish(random_, at, owner, kind) for _ in range(max(1, round(count)))]
        else:
            asked += [_wish(random_, at, owner, _one_of(random_, LOOKING)) for at in _arrivals(random_, seconds, pause)]
    return sorted(asked, key=lambda wish: wish.at)


def _arrivals(random_: random.Random, seconds: float, pause: float) -> Iterator[float]:
    at = random_.expovariate(1 / pause)
    while at < seconds:
        yield at
        at += random_.expovariate(1 / pause)


def _one_of(random_: random.Random, shares: tuple[tuple[str, float], ...]) -> str:
    return random_.choices([kind for kind, _ in shares], [share for _, share in shares])[0]


def _wish(random_: random.Random, at: float, owner: str, kind: str) -> Wish:
    median, spread = SECONDS[kind]
    seconds = median * random_.lognormvariate(0, spread)
    return Wish(at, owner, kind, seconds, seconds * random_.lognormvariate(0, ESTIMATE_ERROR))
