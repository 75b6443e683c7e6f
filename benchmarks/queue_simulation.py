"""A thousand workers and a hundred users, with the real scheduler on a simulated beanstalkd and clock.

Prints how long jobs wait by kind and by user, how fairly the workers' time is shared (Jain's index over users who ask
for more than there is: 1 when all get the same, 1/n when one gets everything), and how much work is wasted when
machines die. Beside it the same load handed out first in, first out, as beanstalkd alone would do it.

Every job must be done, once, with nothing left in the queue; otherwise it ends with status 1.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.simulation.load import BURSTS, Wish, wishes
from benchmarks.simulation.service import Run, Simulation
from benchmarks.table import print_table
from scheduler.fairness import KINDS

MEMORY = Path("/dev/shm")
SEED = 20261121
DEATHS = (0.0, 0.01, 0.1)


@dataclass(frozen=True)
class Size:
    """`bursts` of the users ask for some `jobs` at once, the others for something every `pause` seconds."""

    workers: int
    users: int
    bursts: int
    jobs: int
    seconds: float
    pause: float


FULL = Size(workers=1000, users=100, bursts=70, jobs=30, seconds=900.0, pause=45.0)
QUICK = Size(workers=12, users=6, bursts=4, jobs=8, seconds=200.0, pause=30.0)


def simulate(size: Size, asked: Sequence[Wish], deaths: float, fifo: bool = False) -> tuple[Simulation, float]:
    """The simulation after its end, and the seconds it took on this machine."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        simulation = Simulation(Path(folder), asked, size.workers, deaths, SEED, fifo)
        began = time.perf_counter()
        simulation.run()
        return simulation, time.perf_counter() - began


def waits(runs: Sequence[Run], kind: str = "", owner: str = "") -> list[float]:
    """Seconds from submission to the first start, in order."""
    chosen = [run for run in runs if kind in ("", run.wish.kind) and run.wish.owner.startswith(owner)]
    return sorted((run.started or 0.0) - run.wish.at for run in chosen)


def quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def told(ordered: Sequence[float]) -> str:
    median, slow, longest = quantile(ordered, 0.5), quantile(ordered, 0.95), ordered[-1]
    return f"{median:8.1f} s {slow:8.1f} s {longest:8.1f} s"


def jain(runs: Sequence[Run], workers: int) -> tuple[float, int]:
    """The index over users with bursts of the most frequent kind, and how many they are.

    A share is the seconds that workers spent on the user's jobs until half of all these bursts could have been done;
    who asked for less than an equal share is left out.
    """
    mine: dict[str, list[Run]] = {}
    for run in runs:
        if run.wish.owner.startswith("burst") and run.wish.kind == BURSTS[0][0]:
            mine.setdefault(run.wish.owner, []).append(run)
    half = sum(run.wish.seconds for owned in mine.values() for run in owned) / 2
    end = max(owned[0].wish.at for owned in mine.values()) + half / workers
    shares = [
        sum(max(0.0, min(stop, end) - start) for run in owned for start, stop in run.spans)
        for owned in mine.values()
        if sum(run.wish.seconds for run in owned) >= half / len(mine)
    ]
    total = sum(share * share for share in shares)
    return (sum(shares) ** 2 / (len(shares) * total) if total else 1.0), len(shares)


def report(name: str, workers: int, simulation: Simulation, seconds: float) -> None:
    runs = simulation.runs
    rows = [(f"{kind}, waits", told(found), f"{len(found)} jobs") for kind in KINDS if (found := waits(runs, kind))]
    rows += [
        (f"users with {word}, wait", told(waits(runs, owner=owner)), "")
        for owner, word in (("burst", "bursts"), ("looks", "one job now and then"))
    ]
    if gaps := sorted(gap for run in runs for gap in run.gaps):
        rows.append(("a job whose machine died, is idle", told(gaps), "until its lease ends and a worker is free"))
    index, users = jain(runs, workers)
    worked, wasted = sum(run.worked for run in runs), sum(run.wasted for run in runs)
    again = sum(run.attempts - 1 for run in runs)
    rows += [
        ("Jain's fairness index", f"{index:.3f}", f"over {users} users who asked for more than their share"),
        ("wasted work", f"{100 * wasted / (worked + wasted):.2f} %", f"{again} attempts more than jobs"),
        ("all done after", f"{simulation.now:,.0f} s", f"simulated in {seconds:.0f} s on this machine"),
    ]
    print_table(f"{name} (median, 95th percentile, longest)", rows)


def faults_of(simulation: Simulation) -> list[str]:
    """What must not be."""
    twice = sum(run.results != 1 for run in simulation.runs)
    left = list(simulation.left_over())
    return [f"{twice} jobs were not done exactly once"] * bool(twice) + [f"left in the queue: {left[:3]}"] * bool(left)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a dozen workers: to see that it works")
    size = QUICK if parser.parse_args().quick else FULL
    asked = wishes(SEED, size.users, size.bursts, size.jobs, size.seconds, size.pause)
    print(f"{size.workers} workers, {size.users} users, {len(asked)} jobs in {size.seconds:g} s", flush=True)
    faults: list[str] = []
    for deaths, fifo in [*((share, False) for share in DEATHS), (0.0, True)]:
        simulation, seconds = simulate(size, asked, deaths, fifo)
        order = "first in, first out, as bare beanstalkd" if fifo else "the scheduler's order"
        report(f"{order}; {100 * deaths:g} % of attempts lose their machine", size.workers, simulation, seconds)
        faults += faults_of(simulation)
    if faults:
        raise SystemExit("\n".join(faults))


if __name__ == "__main__":
    main()
