"""What a job is told by environment variables. Pure."""

from __future__ import annotations

from trainci.errors import UsageError
from trainci.lease.queue.hold import MARKER, Lease
from trainci.lease.store.ports import BLOCK
from trainci.lease.store.records import Place


def pick(places: tuple[Place, ...], names: str) -> tuple[Place, ...]:
    """The devices that a list such as ``0,3`` or ``GPU-8a56…,GPU-1c5b…`` names, in its order.

    :raises UsageError: one of them is not among ``places``, or the list is empty.
    """
    chosen: list[Place] = []
    for name in names.split(","):
        text = name.strip()
        hits = [place for place in places if text in (place.uuid, str(place.index))]
        if not hits:
            there = ",".join(str(place.index) for place in places) or "none"
            raise UsageError(f"device {text!r} is not one of those that can be used here ({there}).")
        if hits[0] not in chosen:
            chosen.append(hits[0])
    return tuple(chosen)


def job_variables(
    lease: Lease, variable: str, by_uuid: bool, hidden: bool, parent: dict[str, str]
) -> dict[str, str]:
    """The environment of a job: that of ``parent`` with its devices and ports.

    ``variable`` is the device variable's name; ``by_uuid`` writes UUIDs into it instead of numbers, ``hidden``
    nothing, so that no GPU is seen.
    """
    outer = parent.get(MARKER)
    names = [place.uuid if by_uuid or place.index < 0 else str(place.index) for place in lease.places]
    return {
        **parent,
        MARKER: f"{outer}/{lease.record.id}" if outer else lease.record.id,
        variable: "" if hidden else ",".join(names),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "TRAINCI_DEVICES": ",".join(place.uuid for place in lease.places),
        "TRAINCI_PORT_BASE": str(lease.port_base),
        "TRAINCI_PORT_COUNT": str(BLOCK),
        "MASTER_PORT": str(lease.port_base),
    }
