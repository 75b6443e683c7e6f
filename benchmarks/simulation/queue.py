"""The scheduler's own `Queue`, speaking to a simulated beanstalkd."""

from __future__ import annotations

import socket

from benchmarks.simulation.broker import SimulatedBroker
from scheduler.queue import Queue


class SimulatedQueue(Queue):
    def __init__(self, broker: SimulatedBroker) -> None:
        super().__init__("simulated:1")
        self._broker = broker

    def _dial(self) -> socket.socket:
        return self._broker.dial()
