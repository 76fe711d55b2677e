"""What a job is told by environment variables, and what an inherited device variable leaves us. Pure."""

from __future__ import annotations

from trainci.errors import UsageError
from trainci.lease.queue.hold import MARKER, Lease
from trainci.lease.store.ports import BLOCK
from trainci.lease.store.records import Place


def inherited(places: tuple[Place, ...], value: str | None) -> tuple[Place, ...]:
    """The devices that an inherited ``CUDA_VISIBLE_DEVICES`` leaves; all when there is none.

    Entries are indices, UUIDs, beginnings of UUIDs, or names of MIG instances; CUDA ignores everything after the
    first entry that it does not know (CUDA C++ Programming Guide, "CUDA Environment Variables").

    :raises UsageError: a MIG instance by its old name, under which it would be another device than by its UUID.
    """
    if value is None:
        return places
    left: list[Place] = []
    for entry in value.split(","):
        place = _named(places, entry.strip())
        if place is None:
            break
        if place not in left:
            left.append(place)
    return tuple(left)


def _named(places: tuple[Place, ...], entry: str) -> Place | None:
    if entry.isdecimal():
        hits = [place for place in places if place.index == int(entry)]
    else:
        hits = [place for place in places if entry and place.uuid.startswith(entry)]
    if len(hits) == 1:
        return hits[0]
    if hits or not entry.startswith("MIG-"):
        return None
    if "/" in entry:
        raise UsageError(
            f"the inherited device variable names {entry!a} in the way of drivers before R470: write its UUID, as "
            "`nvidia-smi -L` shows it."
        )
    # A MIG instance that NVML does not list by itself is a device of its own all the same.
    return Place(entry, -1) if entry.replace("-", "").isalnum() else None


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
