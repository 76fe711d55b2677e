"""The GPUs of a host: one fair queue for all users, processes and containers, with no daemon.

The truth about a device is one kernel lock (flock) on its file, held by every process of the job. Whoever comes,
goes or finds somebody gone runs a *pass* over the queue (``queue``), which asks the pure ``policy`` who is next.
Nothing is imported here: the start-up of ``trainci lease`` is part of every hand-over of a device.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainci.lease.view import Status
    from trainci.model import Device


def status(lock_dir: str | None = None, devices: Sequence[Device] = ()) -> Status:
    """Who holds each device since when, and who waits. See ``trainci.lease.view.read``."""
    from trainci.lease.view import read

    return read(lock_dir, devices)


def release(uuid: str, lock_dir: str | None = None) -> bool:
    """Clear the quarantine of a device. See ``trainci.lease.view.release``."""
    from trainci.lease.view import release as clear

    return clear(uuid, lock_dir)
