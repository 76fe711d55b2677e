"""How devices are used, for those who watch a run: a lease, which starts fast, does not ask."""

from __future__ import annotations

from collections.abc import Sequence

from trainci.host.devices import VENDORS, session
from trainci.model.look import Usage


def usage(uuids: Sequence[str]) -> tuple[Usage, ...]:
    """How busy each of these devices is, and how much of its memory is in use; virtual ones are left out.

    :raises MachineError: the driver fails or does not know one of them.
    """
    known = [(uuid, vendor) for uuid in uuids for vendor in VENDORS.values() if vendor.knows(uuid)]
    if not known:
        return ()
    with session():
        return tuple(Usage(uuid, vendor.utilization(uuid), vendor.memory_used(uuid)) for uuid, vendor in known)
