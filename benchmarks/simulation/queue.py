"""The scheduler's own `Queue`, speaking to a simulated beanstalkd."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager

from benchmarks.simulation.broker import SimulatedBroker
from scheduler.queue import Queue


class SimulatedQueue(Queue):
    """`around` is entered for every command that is sent."""

    def __init__(
        self, broker: SimulatedBroker, around: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    ) -> None:
        super().__init__("simulated:1")
        self._broker = broker
        self._around = around

    def _dial(self) -> socket.socket:
        connected = self._broker.dial()
        connected.around = self._around
        return connected
