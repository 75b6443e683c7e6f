"""What each command of beanstalkd's protocol does to the simulated one; one function a command, given its words."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.simulation.entries import BURIED, DELAYED, RESERVED, Entry

if TYPE_CHECKING:
    from benchmarks.simulation.wire import Link

NAME = re.compile(rb"[A-Za-z0-9+/;.$_()][-A-Za-z0-9+/;.$_()]{0,199}")
LONGEST_BODY = 65535
NOT_FOUND = b"NOT_FOUND\r\n"
_order = itertools.count()


def put(link: Link, words: list[bytes], body: bytes) -> bytes:
    broker = link.broker
    priority, delay, ttr = (int(word) for word in words[:3])
    if not all(0 <= number < 2**32 for number in (priority, delay, ttr)):
        return b"BAD_FORMAT\r\n"
    if len(body) > LONGEST_BODY:
        return b"JOB_TOO_BIG\r\n"
    if broker.draining:
        return b"DRAINING\r\n"
    entry = Entry(broker.next_id, link.used, body, 0 if broker.fifo else priority, max(1, ttr))
    broker.next_id += 1
    broker.entries.add(entry)
    if delay:
        broker.entries.delay(entry, broker.now() + delay)
    else:
        broker.entries.make_ready(entry)
    broker.log(entry)
    return b"INSERTED %d\r\n" % entry.id


def use(link: Link, words: list[bytes]) -> bytes:
    if not NAME.fullmatch(words[0]):
        return b"BAD_FORMAT\r\n"
    entries, before = link.broker.entries, link.used
    link.used = words[0].decode()
    entries.tube(link.used).using += 1
    entries.tube(before).using -= 1
    entries.forget_if_unused(before)
    return b"USING " + words[0] + b"\r\n"


def watch(link: Link, words: list[bytes]) -> bytes:
    if not NAME.fullmatch(words[0]):
        return b"BAD_FORMAT\r\n"
    name = words[0].decode()
    if name not in link.watched:
        link.watched.add(name)
        link.broker.entries.tube(name).watching += 1
    return b"WATCHING %d\r\n" % len(link.watched)


def ignore(link: Link, words: list[bytes]) -> bytes:
    name = words[0].decode()
    if name in link.watched:
        if len(link.watched) == 1:
            return b"NOT_IGNORED\r\n"
        link.watched.remove(name)
        link.broker.entries.tube(name).watching -= 1
        link.broker.entries.forget_if_unused(name)
    return b"WATCHING %d\r\n" % len(link.watched)


def reserve(link: Link, words: list[bytes]) -> None:
    """Wait, no time at all if need be."""
    seconds = float(words[0]) if words else float("inf")
    link.waits_until, link.waits_as = link.broker.now() + seconds, next(_order)
    link.answer_wait()


def reserve_job(link: Link, words: list[bytes]) -> bytes:
    entry = link.broker.entries.jobs.get(int(words[0]))
    return NOT_FOUND if entry is None or entry.state == RESERVED else link.take(entry)


def delete(link: Link, words: list[bytes]) -> bytes:
    entry = link.broker.entries.jobs.get(int(words[0]))
    if entry is None or (entry.state == RESERVED and entry.holder is not link):
        return NOT_FOUND
    link.broker.entries.remove(entry)
    return b"DELETED\r\n"


def release(link: Link, words: list[bytes]) -> bytes:
    entry = link.reserved.get(int(words[0]))
    priority, delay = int(words[1]), int(words[2])
    if not all(0 <= number < 2**32 for number in (priority, delay)):
        return b"BAD_FORMAT\r\n"
    if entry is None:
        return NOT_FOUND
    entry.priority = 0 if link.broker.fifo else priority
    entry.counts["releases"] += 1
    if delay:
        link.broker.entries.delay(entry, link.broker.now() + delay)
        link.broker.log(entry)
    else:
        link.broker.entries.make_ready(entry)
    return b"RELEASED\r\n"


def bury(link: Link, words: list[bytes]) -> bytes:
    entry = link.reserved.get(int(words[0]))
    if entry is None:
        return NOT_FOUND
    entry.priority = int(words[1])
    link.broker.entries.bury(entry)
    link.broker.log(entry)
    return b"BURIED\r\n"


def touch(link: Link, words: list[bytes]) -> bytes:
    entry = link.reserved.get(int(words[0]))
    if entry is None:
        return NOT_FOUND
    link.broker.entries.renew(entry, link.broker.now())
    return b"TOUCHED\r\n"


def peek(link: Link, words: list[bytes]) -> bytes:
    entry = link.broker.entries.jobs.get(int(words[0]))
    if entry is None:
        return NOT_FOUND
    return b"FOUND %d %d\r\n" % (entry.id, len(entry.body)) + entry.body + b"\r\n"


def kick(link: Link, words: list[bytes]) -> bytes:
    return b"KICKED %d\r\n" % link.broker.kick(link.used, int(words[0]))


def kick_job(link: Link, words: list[bytes]) -> bytes:
    entry = link.broker.entries.jobs.get(int(words[0]))
    return b"KICKED\r\n" if entry is not None and link.broker.kick_job(entry) else NOT_FOUND


def pause(link: Link, words: list[bytes]) -> bytes:
    tube = link.broker.entries.tubes.get(words[0].decode())
    if tube is None:
        return NOT_FOUND
    tube.pause = int(words[1])
    tube.unpause_at = link.broker.now() + tube.pause
    return b"PAUSED\r\n"


def using(link: Link, words: list[bytes]) -> bytes:
    return b"USING %b\r\n" % link.used.encode()


def tubes(link: Link, words: list[bytes]) -> bytes:
    return _list(sorted(link.broker.entries.tubes))


def stats(link: Link, words: list[bytes]) -> bytes:
    broker = link.broker
    states = {f"current-jobs-{state}": broker.count(state) for state in ("ready", RESERVED, DELAYED, BURIED)}
    return _dictionary(
        states
        | {"current-tubes": len(broker.entries.tubes), "current-connections": len(broker.links)}
        | {"max-job-size": LONGEST_BODY, "draining": str(broker.draining).lower(), "id": broker.id}
    )


def stats_job(link: Link, words: list[bytes]) -> bytes:
    entry = link.broker.entries.jobs.get(int(words[0]))
    if entry is None:
        return NOT_FOUND
    left = max(0, int(entry.deadline - link.broker.now())) if entry.state in (RESERVED, DELAYED) else 0
    figures = {"id": entry.id, "tube": entry.tube, "state": entry.state, "pri": entry.priority, "ttr": entry.ttr}
    return _dictionary(figures | {"time-left": left} | entry.counts)


def stats_tube(link: Link, words: list[bytes]) -> bytes:
    tube = link.broker.entries.tubes.get(words[0].decode())
    if tube is None:
        return NOT_FOUND
    inside = [entry.state for entry in link.broker.entries.jobs.values() if entry.tube == tube.name]
    counts = {f"current-jobs-{state}": inside.count(state) for state in ("ready", RESERVED, DELAYED, BURIED)}
    left = max(0, round(tube.unpause_at - link.broker.now()))
    return _dictionary(
        {"name": tube.name} | counts
        | {"current-using": tube.using, "current-watching": tube.watching}
        | {"pause": tube.pause, "pause-time-left": left}
    )  # fmt: skip


def _dictionary(figures: dict[str, Any]) -> bytes:
    return _yaml("".join(f"{name}: {value}\n" for name, value in figures.items()))


def _list(names: list[str]) -> bytes:
    return _yaml("".join(f"- {name}\n" for name in names))


def _yaml(text: str) -> bytes:
    data = f"---\n{text}".encode()
    return b"OK %d\r\n" % len(data) + data + b"\r\n"


COMMANDS: dict[bytes, Callable[[Link, list[bytes]], bytes | None]] = {
    b"put": lambda link, words: b"BAD_FORMAT\r\n",
    b"use": use,
    b"watch": watch,
    b"ignore": ignore,
    b"reserve": reserve,
    b"reserve-with-timeout": reserve,
    b"reserve-job": reserve_job,
    b"delete": delete,
    b"release": release,
    b"bury": bury,
    b"touch": touch,
    b"peek": peek,
    b"kick": kick,
    b"kick-job": kick_job,
    b"pause-tube": pause,
    b"list-tube-used": using,
    b"list-tubes": tubes,
    b"stats": stats,
    b"stats-job": stats_job,
    b"stats-tube": stats_tube,
}
