"""What the file of a vendor gives: a module of this shape, named in ``VENDORS``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from trainci.model.device import Device

Heard = Callable[[], tuple[tuple[str, int], ...]]
"""Gives, at each call, the errors that came since the call before: pairs of UUID and the vendor's number."""


class Vendor(Protocol):
    """The devices of one vendor, and the questions about them. Each may raise MachineError: the driver fails."""

    @property
    def VARIABLE(self) -> str:
        """The environment variable that says which devices a process sees."""

    def discover(self) -> tuple[Device, ...]:
        """Every device of the host, one that cannot be used with its ``fault``; empty where there is no driver."""

    def knows(self, uuid: str) -> bool:
        """Is this the UUID of a device of this vendor? Nothing is asked of the driver."""

    def load(self) -> None:
        """Load what the questions need, which takes longer than their answers; nothing is opened."""

    def session(self) -> AbstractContextManager[None]:
        """Questions that are asked within it share one opening of the driver."""

    def memory_used(self, uuid: str) -> int:
        """Bytes of the device's memory that are in use, by whatever process; 0 for one without any of its own."""

    def users(self, uuid: str) -> tuple[int, ...]:
        """The ids of the processes that compute on the device, as far as they can be seen from here."""

    def utilization(self, uuid: str) -> int | None:
        """How many percent of the time something computed on the device just now; None where that is not known."""

    def faults(self, uuid: str) -> str:
        """Why the device should not be used, in a sentence; empty for a sound one."""

    def listen(self, uuids: Sequence[str]) -> Heard:
        """Hear the errors of these devices from now on, until this process ends."""

    def topology(self) -> tuple[tuple[str, str, int], ...]:
        """Pairs of devices that a fast link joins; the number is 1 for each pair."""

    def numa_node(self, uuid: str) -> int:
        """The NUMA node that the device hangs on, -1 where the kernel does not say."""
