"""Runs the tests that share one allocation, each under a lease of its own within the allocation's.

Orders come by a file in the folder of the allocation's job, where only its user may write: one a line, appended by
whoever submitted the job. Nobody need be there: what was ordered is done, and then the allocation is given back.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from trainci.errors import EXIT_MACHINE, EXIT_OK
from trainci.executors import node
from trainci.executors.launcher import become, import_all, print_to
from trainci.host.files import open_plain
from trainci.host.processes import reap
from trainci.lease import protocol

ORDERS = "orders"
_TICK_S = 0.1
# So long it waits for another order with nothing to do.
_IDLE_S = 10.0


@dataclass(frozen=True)
class Order:
    """Begin the test whose files are in ``folder`` beside ours, or with ``end`` end it; without one, all is done.

    It wants so many devices, and may take so many seconds.
    """

    folder: str = ""
    gpus: int = 0
    seconds: float = 0.0
    end: bool = False


def give(directory: Path, order: Order) -> None:
    """Append an order for the agent whose folder this is.

    :raises OSError: it cannot be written.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(directory / ORDERS, flags, 0o600), "w") as file:
        # A line that a full disk cut off stays apart.
        file.write(f"\n{json.dumps(asdict(order))}\n")


def has_begun(directory: Path) -> bool:
    """Whether a test has begun that was ordered of the agent whose folder this is."""
    folders = [directory.parent / order.folder for order in _orders(directory)[0] if order.folder]
    return any((folder / node.STATUS).exists() for folder in folders)


def _orders(directory: Path, start: int = 0) -> tuple[list[Order], int]:
    """Those that begin at byte ``start``, and where the next one will."""
    # Opened again: so a network's file system shows what is new in it.
    with contextlib.suppress(OSError), open_plain(directory / ORDERS) as file:
        file.seek(start)
        *lines, rest = file.read().split(b"\n")
        return [Order(**json.loads(line)) for line in lines if line.endswith(b"}")], file.tell() - len(rest)
    return [], start


def main(directory: str) -> int:
    """Do what is ordered, until there is no more."""
    found = Path(directory).stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        sys.stderr.write(f"trainci: {directory}: others may write there; nothing is started.\n")
        return EXIT_MACHINE
    import_all()
    devices = list(filter(None, os.environ.get(protocol.DEVICES_VARIABLE, "").split(",")))
    deadline = float(os.environ[protocol.DEADLINE_VARIABLE])
    agent = Agent(Path(directory), len(devices), len(os.sched_getaffinity(0)), deadline)
    while agent.step(time.monotonic()):
        time.sleep(_TICK_S)
    return EXIT_OK


class Agent:
    """Has so many devices, and ``slots`` for tests that need none, until ``deadline`` (of the monotonic clock)."""

    def __init__(self, directory: Path, devices: int, slots: int, deadline: float) -> None:
        self._directory = directory
        self._devices = devices
        self._slots = slots
        self._deadline = deadline
        self._read = 0
        self._known: set[str] = set()
        self._waiting: list[Order] = []
        self._running: dict[int, Order] = {}
        self._closing = False
        self._busy_at = 0.0

    def step(self, now: float) -> bool:
        """Do what can be done; False once there is nothing more, or nothing that this allocation has room for."""
        orders, self._read = _orders(self._directory, self._read)
        for order in orders:
            self._obey(order)
        self._collect()
        for order in list(self._waiting):
            if self._has_room(order, now):
                self._waiting.remove(order)
                self._begin(order)
        if self._running or not self._busy_at:
            self._busy_at = now
        return bool(self._running) or not (self._closing or self._waiting or now - self._busy_at > _IDLE_S)

    def _obey(self, order: Order) -> None:
        if not order.folder:
            self._closing = True
        elif order.end:
            self._waiting = [other for other in self._waiting if other.folder != order.folder]
            for pid, other in self._running.items():
                if other.folder == order.folder:
                    # The number is still this child's: it is collected by us alone, and elsewhere.
                    os.kill(pid, signal.SIGTERM)
        elif order.folder not in self._known:
            self._known.add(order.folder)
            self._waiting.append(order)

    def _has_room(self, order: Order, now: float) -> bool:
        running = self._running.values()
        if now + order.seconds > self._deadline:
            return False
        if not order.gpus:
            return sum(not other.gpus for other in running) < self._slots
        return order.gpus <= self._devices - sum(other.gpus for other in running)

    def _begin(self, order: Order) -> None:
        directory = self._directory.parent / order.folder
        status = node.begin(directory)
        if status is None:
            # It was withdrawn, or another allocation has it.
            return
        pid = os.fork()
        if pid == 0:
            become(lambda: _lease(directory, status))
        os.close(status)
        self._running[pid] = order

    def _collect(self) -> None:
        reap(self._ended)

    def _ended(self, pid: int, status: int) -> None:
        order = self._running.pop(pid)
        _see_it_reported(self._directory.parent / order.folder, os.waitstatus_to_exitcode(status))


def _lease(directory: Path, status: int) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    print_to(os.open(directory / node.OUTPUT, flags, 0o600))
    return node.run(directory, status)


def _see_it_reported(directory: Path, code: int) -> None:
    """A lease that was killed has told of no end, and nobody else would."""
    status = directory / node.STATUS
    told = status.read_bytes()
    if b'"event": "ended"' in told:
        return
    lost = protocol.Ended(lost=f"the process that held the lease ended with {code} and no report")
    with status.open("ab") as file:
        file.write((b"" if told[-1:] in (b"", b"\n") else b"\n") + protocol.dump(lost))
