"""The gate that a lease of devices with a driver passes before its command starts: they must be fit."""

from __future__ import annotations

import time
from collections.abc import Callable

from trainci.lease.queue.hold import Lease
from trainci.lease.store import outside
from trainci.lease.store.health import Probe, Unfit, unfit
from trainci.lease.store.marks import forgiven, quarantine
from trainci.lease.store.mutex import Mutex


def passes(probe: Probe, lease: Lease, pause: Callable[[float], None], mutex: Callable[[], Mutex]) -> bool:
    """Is everything that others left behind gone, and no other process there? If not, it is marked and released.

    Between two looks ``pause`` is called with seconds; it may raise, and then the lease is released, too.
    """
    try:
        found = _unfit(lease, probe, pause, mutex)
    except BaseException:
        _release(lease)
        raise
    if found is not None:
        _release(lease, *found)
    lease.probe = probe
    return found is None


def _unfit(
    lease: Lease, probe: Probe, pause: Callable[[float], None], mutex: Callable[[], Mutex]
) -> tuple[str, Unfit] | None:
    """The first device that is not fit, and why."""
    directory = lease.directory
    with probe.session():
        for device in lease.devices:
            uuid, fault = device.uuid, forgiven(directory, device.uuid)
            was_in_use = outside.was_in_use(directory, uuid)
            # Nobody of the queue has had it since: there is no memory to wait for.
            found = unfit(probe, uuid, fault, pause, *([0.0] if was_in_use else []))
            if found is not None:
                return uuid, found
            if was_in_use:
                with mutex():
                    outside.clear(directory, uuid)
    return None


def _release(lease: Lease, uuid: str = "", why: Unfit | None = None) -> None:
    """Give it back, with a mark on the device that was found unfit."""
    with Mutex(lease.directory):
        try:
            if why is not None and why.broken:
                quarantine(lease.directory, uuid, why.reason, time.time())
            elif why is not None:
                outside.note(lease.directory, uuid, why.reason, time.time())
        finally:
            lease.release()
