"""The gate that a lease of devices with a driver passes before its command starts: they must be fit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from trainci.lease.queue.hold import Lease
from trainci.lease.store import outside
from trainci.lease.store.health import MEMORY_RETURNS_S, Probe, Unfit, unfit
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
    if found:
        _release(lease, found)
    lease.probe = probe
    return not found


def _unfit(
    lease: Lease, probe: Probe, pause: Callable[[float], None], mutex: Callable[[], Mutex]
) -> dict[str, Unfit]:
    """Which devices are not fit, and why. Memory of all of them is waited for together."""
    directory, found = lease.directory, {}
    give_up_at = time.monotonic() + MEMORY_RETURNS_S
    with probe.session():
        for device in lease.devices:
            uuid, fault = device.uuid, forgiven(directory, device.uuid)
            was_in_use = outside.was_in_use(directory, uuid)
            # Of one that was, nobody of the queue has had it since: there is no memory to wait for.
            within = 0.0 if was_in_use else give_up_at - time.monotonic()
            why = unfit(probe, uuid, fault, pause, within)
            if why is not None:
                found[uuid] = why
            elif was_in_use:
                with mutex():
                    outside.clear(directory, uuid)
    return found


def _release(lease: Lease, found: Mapping[str, Unfit] = MappingProxyType({})) -> None:
    """Give it back, with a mark on each device that was found unfit."""
    with Mutex(lease.directory):
        try:
            for uuid, why in found.items():
                if why.broken:
                    quarantine(lease.directory, uuid, why.reason, time.time())
                else:
                    outside.note(lease.directory, uuid, why.reason, time.time())
        finally:
            lease.release()
