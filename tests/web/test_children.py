from __future__ import annotations

import os
import signal
import sys
import time

from web.children import FIRST_DELAY_SECONDS, Child


def child(program: str) -> Child:
    return Child("helper", [sys.executable, "-c", program], os.environ)


def test_a_crashed_child_starts_again_after_a_growing_delay() -> None:
    crashing = child("raise SystemExit(3)")
    crashing.start()
    assert crashing.process is not None
    crashing.process.wait()
    now = time.monotonic()
    assert crashing.check(now) == "The helper stopped (exit status 3); it starts again in 1 s."
    assert crashing.due == now + FIRST_DELAY_SECONDS
    first = crashing.process
    assert crashing.check(now) is None
    assert crashing.process is first
    crashing.check(now + FIRST_DELAY_SECONDS)
    assert crashing.process is not first
    crashing.process.wait()
    assert "in 2 s" in (crashing.check(now + 2) or "")


def test_a_child_that_ignores_sigterm_is_killed_with_its_session() -> None:
    stubborn = child(
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(subprocess.Popen(['sleep', '60']).pid, file=open(sys.argv[1], 'w'), flush=True)\n"
        "signal.pause()"
    )
    read, write = os.pipe()
    stubborn.command.append(f"/dev/fd/{write}")
    stubborn.fds = (write,)
    stubborn.start()
    os.close(write)
    with os.fdopen(read) as told:
        grandchild = int(told.readline())
    stubborn.stop(0.1)
    assert stubborn.process is not None
    assert stubborn.process.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 5
    while _runs(grandchild) and time.monotonic() < deadline:
        os.sched_yield()
    assert not _runs(grandchild)


def test_a_child_asked_to_be_replaced_while_it_is_being_replaced_is_replaced_once_more() -> None:
    patient = child("import signal; signal.pause()")
    patient.replaces = "--replaces"
    patient.start()
    try:
        first = patient.process
        assert first is not None
        for _ in range(3):
            patient.replace()
        second = patient.process
        assert second is not None
        assert second.args[-2:] == ["--replaces", str(first.pid)]  # type: ignore[index]
        patient.check(time.monotonic())
        assert patient.process is second
        first.terminate()
        first.wait()
        patient.check(time.monotonic())
        third = patient.process
        assert third is not None
        assert third.args[-1] == str(second.pid)  # type: ignore[index]
        second.terminate()
        second.wait()
        patient.check(time.monotonic())
        assert patient.process is third
    finally:
        patient.stop(5)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
